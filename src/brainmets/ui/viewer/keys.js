// Every key and gesture of the workbench, and the list that shows them.

const SHORTCUTS = [
  ["Move", [
    ["↑ ↓ · wheel", "one slice"], ["Page Up / Down", "ten slices"], ["← →", "previous, next lesion"], [", .", "previous, next lesion without a label"],
    ["click, drag", "crosshair; a click on a lesion selects it"], ["double-click · m", "enlarge a view, and back"],
  ]],
  ["Judge", [
    ["1 2 3 4", "metastasis, uncertain, other lesion, not a lesion"], ["k", "keep, or leave out"],
    ["u · shift+u", "undo, redo"], ["s", "save"],
  ]],
  ["Edit", [
    ["b e a i j", "brush, eraser, add, split, join; again puts it away"], ["[ ] · t", "size, 3-D ball"],
    ["shift+arrows", "crosshair within the slice"], ["Space", "use the tool at the crosshair"],
    ["Enter · Escape", "accept, discard what is grown"], ["g", "draw a new lesion"],
  ]],
  ["Look", [
    ["right drag · shift+drag", "window and level"], ["w", "next window preset"],
    ["shift+1 2 3 4 · y", "another image of the examination; side by side"],
    ["v", "brightest voxel of a slab of 10 mm"], ["r", "ruler: drag, or Space at both ends"],
    ["+ − 0 · ctrl+wheel", "zoom, fit"], ["ctrl+drag", "move the enlarged picture"],
    ["o x l p n", "outline, crosshair, diameters, probability map, neurological"],
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
    if (event.target.matches("input:not([type=checkbox]), select, textarea, dialog *") || this.help.open) return;
    if (event.target.matches("button, input") && (event.key === " " || event.key === "Enter")) return;
    const image = event.shiftKey && /^Digit([1-4])$/.exec(event.code); // whatever is printed on it with shift
    const act = (image && (() => this.bench.sequences?.show(Number(image[1]) - 1))) ||
      (event.shiftKey && this.#nudges(plane)[event.key]) || this.#acts(plane)[event.key];
    if (!act) return;
    event.preventDefault();
    event.stopPropagation(); // Streamlit has shortcuts of its own
    act();
  }

  #nudges(plane) {
    const { bench } = this;
    return {
      ArrowLeft: () => bench.nudge(plane, -1, 0), ArrowRight: () => bench.nudge(plane, 1, 0),
      ArrowUp: () => bench.nudge(plane, 0, -1), ArrowDown: () => bench.nudge(plane, 0, 1),
    };
  }

  #edits(plane) {
    const { tools, data } = this.bench;
    if (!tools || data.other) return {};
    const choices = Object.entries(TOOLS).map(([tool, { key }]) => [key, () => tools.choose(tool)]);
    return {
      ...Object.fromEntries(choices), "[": () => tools.resize(-1), "]": () => tools.resize(1),
      t: () => tools.toggleBall(), g: () => this.bench.select(null), " ": () => this.bench.looks.ruler.actHere(plane) || tools.actHere(plane),
      Enter: () => tools.accept(), Escape: () => tools.escape(),
    };
  }

  #acts(plane) {
    const { bench } = this;
    const { steps } = bench;
    const words = Object.fromEntries(Object.entries(LABELS).map(([label, { key }]) => [key, () => bench.reviewPanel?.say(label)]));
    return {
      ArrowUp: () => bench.scroll(plane, 1), ArrowDown: () => bench.scroll(plane, -1),
      PageUp: () => bench.scroll(plane, 10), PageDown: () => bench.scroll(plane, -10),
      ArrowRight: () => bench.step(1), ArrowLeft: () => bench.step(-1),
      ".": () => bench.step(1, { unread: true }), ",": () => bench.step(-1, { unread: true }),
      y: () => bench.sequences?.toggle(), v: () => bench.looks.flipSlab(), r: () => bench.looks.ruler.toggle(), " ": () => bench.looks.ruler.actHere(plane),
      o: () => bench.flip("outline"), x: () => bench.flip("cross"), l: () => bench.flip("lines"), p: () => bench.flip("map"),
      d: () => bench.flip("differ"), n: () => bench.flip("mirrored"), w: () => bench.looks.nextPreset(),
      "+": () => bench.zoomBy(1.25), "=": () => bench.zoomBy(1.25), "-": () => bench.zoomBy(0.8), 0: () => bench.zoomBy(0),
      m: () => bench.promote(plane), c: () => bench.space?.toggleCut(), "?": () => this.show(),
      u: () => steps.undo(), U: () => steps.redo(), s: () => bench.unsaved && bench.saver.save(),
      k: () => bench.reviewPanel?.say("not_a_lesion"), ...words,
      ...this.#edits(plane),
    };
  }
}
