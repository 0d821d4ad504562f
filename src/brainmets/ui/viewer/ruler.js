// Measuring by hand: lines drawn in a slice, their lengths along the patient's own axes.

const GRIP_PX = 2; // a press that moved less draws no line
const TEXT_PX = 12;

class Ruler {
  constructor(bench) {
    this.bench = bench;
    this.on = false;
    this.lines = []; // {plane, position, from, to}: voxels, not whole ones
    this.root = element("div", "ruler");
    this.toggled = button("Ruler", () => this.toggle(), { title: "Draw a line in a slice; its length is shown there (r)" });
    this.clear = button("Clear", () => this.#clear(), { title: "Remove all lines" });
    this.told = element("span", "hint");
    this.told.setAttribute("role", "status");
    this.root.append(this.toggled, this.clear, this.told);
    this.#fill();
  }

  // Editing and measuring take turns: a press does one of the two.
  get active() {
    return this.on && !this.bench.tools?.active;
  }

  toggle() {
    const { tools } = this.bench;
    const was = this.active;
    if (tools?.active) tools.choose(tools.active);
    this.on = !was;
    this.open = null;
    this.#fill();
  }

  press(pane, event) {
    if (!this.active) return false;
    const at = pane.placeAt(event);
    this.open = { plane: pane.plane, position: this.bench.at[pane.through], from: at, to: at, x: event.clientX, y: event.clientY };
    this.lines.push(this.open);
    return true;
  }

  drag(pane, event) {
    if (!this.open) return;
    this.open.to = pane.placeAt(event);
    this.#fill();
  }

  release(pane, event) {
    const { open } = this;
    this.open = null;
    if (!open) return;
    if (Math.hypot(event.clientX - open.x, event.clientY - open.y) < GRIP_PX) this.lines.pop();
    this.#fill();
  }

  // By keys: one end at the crosshair, then the other.
  actHere(plane) {
    if (!this.active || !(plane in PLANES)) return false;
    const { at } = this.bench;
    const position = at[PLANES[plane].through];
    if (this.open?.plane === plane && this.open.position === position) {
      this.open.to = [...at];
      this.open = null;
    } else {
      this.open = { plane, position, from: [...at], to: [...at] };
      this.lines.push(this.open);
    }
    this.#fill();
    return true;
  }

  length({ from, to }) {
    const { spacing } = this.bench.scan;
    return Math.hypot(...from.map((v, axis) => (to[axis] - v) * spacing[axis]));
  }

  words(line) {
    return `${NUMBER.format(this.length(line))} ${this.bench.pixels ? "px" : "mm"}`;
  }

  // The lines of the slice that a pane shows, each with its length.
  draw(context, pane, placed) {
    const position = this.bench.at[pane.through];
    const here = this.lines.filter((line) => line.plane === pane.plane && line.position === position);
    pane.canvas.dataset.ruler = here.map((line) => this.words(line)).join(" · ");
    context.font = `600 ${TEXT_PX}px ui-sans-serif, system-ui, sans-serif`;
    context.textAlign = "left";
    context.textBaseline = "bottom";
    for (const line of here) {
      const [x1, y1] = placed(line.from), [x2, y2] = placed(line.to);
      for (const [width, colour] of [[3.5, "rgb(0 0 0 / 0.65)"], [1.5, "rgb(140 255 170)"]]) {
        context.lineWidth = width;
        context.strokeStyle = colour;
        context.beginPath();
        context.moveTo(x1, y1);
        context.lineTo(x2, y2);
        for (const [x, y] of [[x1, y1], [x2, y2]]) context.moveTo(x + 3, y), context.arc(x, y, 3, 0, 2 * Math.PI);
        context.stroke();
      }
      context.lineWidth = 3;
      context.strokeStyle = "rgb(0 0 0 / 0.75)";
      context.strokeText(this.words(line), Math.max(x1, x2) + 6, y1 > y2 === x1 > x2 ? Math.max(y1, y2) : Math.min(y1, y2));
      context.fillStyle = "rgb(190 255 205)";
      context.fillText(this.words(line), Math.max(x1, x2) + 6, y1 > y2 === x1 > x2 ? Math.max(y1, y2) : Math.min(y1, y2));
    }
  }

  #clear() {
    this.lines = [];
    this.open = null;
    this.#fill();
  }

  #fill() {
    this.toggled.setAttribute("aria-pressed", String(this.on));
    this.clear.hidden = !this.lines.length;
    const last = this.lines.at(-1);
    this.told.textContent = last ? this.words(last) : this.on ? "Drag in a slice" : "";
    this.bench.panes?.forEach((pane) => pane.canvas && pane.plane !== "render" && this.bench.redraw());
  }
}
