// Every key and gesture of the workbench, and the list that shows them.

const SHORTCUTS = [
  ["Move", [
    ["↑ ↓ · wheel", "one slice"], ["Page Up / Down", "ten slices"], ["← →", "previous, next lesion"],
    ["click, drag", "crosshair; a click on a lesion selects it"], ["double-click · m", "enlarge a view, and back"],
  ]],
  ["Judge", [
    ["1 2 3 4", "metastasis, uncertain, other lesion, not a lesion"], ["k", "keep, or leave out"],
    ["u · shift+u", "undo, redo"], ["s", "save"],
  ]],
  ["Look", [
    ["right drag · shift+drag", "window and level"], ["w", "next window preset"],
    ["+ − 0 · ctrl+wheel", "zoom, fit"], ["ctrl+drag", "move the enlarged picture"],
    ["o x l p n", "outline, crosshair, diameters, confidence map, neurological"],
    ["c", "3-D: cut the head open at the crosshair"], ["?", "this list"],
  ]],
];

class Keys {
  constructor(bench) {
    this.bench = bench;
    this.help = element("dialog", "help");
    this.help.append(element("h3", "", "Keys and pointer"));
    for (const [topic, rows] of SHORTCUTS) {
      const list = element("dl");
      for (const [keys, meaning] of rows) list.append(element("dt", "", keys), element("dd", "", meaning));
      this.help.append(element("h4", "", topic), list);
    }
    const close = button("Close", () => this.help.close(), { className: "primary" });
    this.help.append(close);
    this.help.addEventListener("click", (event) => event.target === this.help && this.help.close());
  }

  show() {
    this.help.showModal();
  }

  // `plane` is the one the key was pressed on.
  press(event, plane) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (event.target.matches("input, select, textarea, dialog *") || this.help.open) return;
    const act = this.#acts(plane)[event.key];
    if (!act) return;
    event.preventDefault();
    event.stopPropagation(); // Streamlit has shortcuts of its own
    act();
  }

  #acts(plane) {
    const { bench } = this;
    const { readings } = bench;
    const words = Object.fromEntries(Object.entries(LABELS).map(([label, { key }]) => [key, () => bench.verdicts?.say(label)]));
    return {
      ArrowUp: () => bench.scroll(plane, 1), ArrowDown: () => bench.scroll(plane, -1),
      PageUp: () => bench.scroll(plane, 10), PageDown: () => bench.scroll(plane, -10),
      ArrowRight: () => bench.step(1), ArrowLeft: () => bench.step(-1),
      o: () => bench.flip("outline"), x: () => bench.flip("cross"), l: () => bench.flip("lines"), p: () => bench.flip("map"),
      d: () => bench.flip("differ"), n: () => bench.flip("mirrored"), w: () => bench.looks.nextPreset(),
      "+": () => bench.zoomBy(1.25), "=": () => bench.zoomBy(1.25), "-": () => bench.zoomBy(0.8), 0: () => bench.zoomBy(0),
      m: () => bench.promote(plane), c: () => bench.space?.toggleCut(), "?": () => this.show(),
      u: () => readings.undo(), U: () => readings.redo(), s: () => bench.unsaved && bench.save(),
      k: () => bench.verdicts?.say("not_a_lesion"), ...words,
    };
  }
}
