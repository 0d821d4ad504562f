// The tools that change outlines: brush, eraser, add, split, join; by pointer, touch or keys.

const TOOLS = {
  brush: { name: "Brush", key: "b", hint: "Draw on the selected lesion, or on the one you begin on; with none selected a new one begins." },
  eraser: { name: "Eraser", key: "e", hint: "Draw over voxels that are not lesion." },
  add: { name: "Add", key: "a", hint: "Click into a lesion that was missed; Enter accepts, Escape discards." },
  split: { name: "Split", key: "i", hint: "Draw a line across the selected lesion, or press Space to cut it at the crosshair." },
  join: { name: "Join", key: "j", hint: "Click the lesion that belongs to the selected one." },
};
const SIZES_MM = { min: 1, max: 40, step: 1 };

class Tools {
  constructor(bench) {
    this.bench = bench;
    this.edits = bench.edits;
    this.active = null;
    this.root = element("fieldset", "tools");
    const row = element("div", "words");
    row.setAttribute("role", "group");
    row.setAttribute("aria-label", "Editing tools");
    this.buttons = Object.entries(TOOLS).map(([tool, { name, key, hint }]) => {
      const one = button(name, () => this.choose(tool), { title: `${hint} (${key})` });
      one.dataset.tool = tool;
      return one;
    });
    row.append(...this.buttons);
    this.size = this.#slider("Size", SIZES_MM, 5, "Diameter of brush and eraser ([ ])", () => this.fill());
    this.ball = element("input");
    this.ball.type = "checkbox";
    const ball = element("label", "toggle");
    ball.title = "Draw in all slices that the ball reaches (t)";
    ball.append(this.ball, element("span", "", "3-D ball"));
    this.ball.addEventListener("change", () => this.fill());
    this.fresh = button("New lesion", () => bench.select(null), { title: "What is drawn next is a lesion of its own (g)" });
    this.extent = this.#slider("Extent", { min: 0, max: LEVELS - 2, step: 1 }, 32, "How far the lesion is grown", () => this.#regrow());
    const decide = element("div", "actions");
    this.told = element("span", "hint extent-told");
    decide.append(this.told, button("Discard", () => this.discard(), { title: "Escape" }),
      button("Accept", () => this.accept(), { title: "Enter", className: "primary" }));
    this.growing = element("div", "growing");
    this.growing.append(this.extent.parentNode, decide);
    this.hint = element("p", "hint");
    this.hint.setAttribute("role", "status");
    this.revert = button("Discard edits", () => this.#revert(), { title: "Back to the outlines as found" });
    const drawing = (this.drawing = element("div", "drawing"));
    drawing.append(this.size.parentNode, ball, this.fresh);
    const body = element("div");
    body.append(row, drawing, this.growing, this.hint, this.revert);
    this.root.append(element("legend", "", "Edit"), body);
    this.fill();
  }

  #slider(label, range, value, title, act) {
    const root = element("label", "slider");
    root.title = title;
    const input = element("input");
    Object.assign(input, { type: "range", ...range, value });
    input.addEventListener("input", act);
    root.append(element("span", "", label), input);
    return input;
  }

  get radius() {
    return Number(this.size.value) / 2;
  }

  fill() {
    const { active } = this;
    for (const one of this.buttons) one.setAttribute("aria-pressed", String(one.dataset.tool === active));
    this.drawing.hidden = active !== "brush" && active !== "eraser";
    this.fresh.hidden = active !== "brush";
    this.revert.hidden = !this.edits.any;
    this.growing.hidden = !this.growth;
    this.hint.textContent = active ? TOOLS[active].hint : "";
    this.size.previousSibling.textContent = `Size ${this.size.value} mm`;
    this.bench.root.dataset.tool = active ?? "";
    this.bench.panes?.forEach((pane) => pane.hover?.(null));
  }

  // The same tool again puts it away.
  choose(tool) {
    this.settle();
    this.active = this.active === tool ? null : tool;
    if (this.active) this.edits.begin();
    this.fill();
  }

  resize(by) {
    this.size.value = Number(this.size.value) + by;
    this.fill();
  }

  toggleBall() {
    this.ball.checked = !this.ball.checked;
  }

  // A press on a plane; false where no tool is in hand.
  press(pane, voxel) {
    if (!this.active) return false;
    const { bench } = this;
    if (this.active === "brush") this.id = this.#brushed(voxel);
    this.line = [voxel];
    this.last = null;
    if (this.active === "brush" || this.active === "eraser") this.drag(pane, voxel);
    else bench.moveTo(voxel);
    return true;
  }

  drag(pane, voxel) {
    if (!this.line) return;
    if (this.active === "split") {
      this.line[1] = voxel;
      return;
    }
    if (this.active !== "brush" && this.active !== "eraser") return;
    for (const one of between(this.last ?? voxel, voxel, this.bench.scan.spacing, this.radius)) this.#stamp(pane.plane, one);
    this.last = voxel;
    this.bench.redraw();
  }

  release(pane, voxel) {
    if (!this.line) return;
    const { line, active } = this;
    this.line = null;
    if (!pane) { // cut short: what was drawn stays, a line or click that is not over does nothing
      if (this.edits.commit() && active === "brush") this.bench.select(this.id);
      return;
    }
    if (active === "brush" && this.edits.commit()) this.bench.select(this.id);
    if (active === "eraser") this.edits.commit();
    if (active === "add") this.#grow(voxel);
    if (active === "join") this.#join(voxel);
    if (active === "split" && line[1]) this.#split(pane, line[0], voxel);
    if (active === "brush" || active === "eraser") this.bench.moveTo(voxel);
  }

  // What the tool does at the crosshair, for those who use no pointer.
  actHere(plane) {
    const pane = this.bench.panes.find((one) => one.plane === plane) ?? this.bench.panes[0];
    const at = this.bench.at;
    if (!this.active) return;
    if (this.active === "split") {
      this.#splitAt(at);
      return;
    }
    this.press(pane, at);
    this.release(pane, at);
  }

  #brushed(voxel) {
    const { bench } = this;
    const here = bench.scan.labels[bench.scan.index(voxel)];
    return here || bench.selected || this.edits.nextId();
  }

  // A disc in the plane, or a ball; other lesions are left alone.
  #stamp(plane, centre) {
    const { scan } = this.bench;
    const flat = this.ball.checked ? -1 : PLANES[plane].through;
    const erase = this.active === "eraser";
    const reach = scan.spacing.map((mm, axis) => (axis === flat ? 0 : Math.floor(this.radius / mm)));
    const low = centre.map((v, axis) => Math.max(0, v - reach[axis]));
    const high = centre.map((v, axis) => Math.min(scan.shape[axis] - 1, v + reach[axis]));
    for (let z = low[2]; z <= high[2]; z++) {
      for (let y = low[1]; y <= high[1]; y++) {
        for (let x = low[0]; x <= high[0]; x++) {
          const away = [x, y, z].reduce((sum, v, axis) => sum + ((v - centre[axis]) * scan.spacing[axis]) ** 2, 0);
          if (away > this.radius ** 2 + 1e-6) continue;
          const at = scan.index([x, y, z]);
          if (erase) this.edits.put(at, 0);
          else if (!scan.labels[at]) this.edits.put(at, this.id);
        }
      }
    }
  }

  #grow(voxel) {
    const { bench } = this;
    this.discard();
    if (bench.scan.labels[bench.scan.index(voxel)]) {
      bench.picked(voxel, PLANES.axial);
      this.hint.textContent = "There is a lesion already: draw on it with the brush.";
      return;
    }
    this.growth = new Growth(bench.scan, voxel);
    this.extent.value = LEVELS - 2 - this.growth.level; // to the right: larger
    this.fill();
    this.#regrow();
  }

  #regrow() {
    this.preview = this.growth.voxels(LEVELS - 2 - Number(this.extent.value));
    this.bench.scan.preview = new Set(this.preview);
    const { spacing } = this.bench.scan;
    this.told.textContent = `${millilitres(this.preview.length * spacing[0] * spacing[1] * spacing[2])} ml`;
    this.bench.root.dataset.preview = this.preview.length;
    this.bench.redraw();
  }

  accept() {
    if (!this.growth) return;
    const { preview } = this;
    this.discard();
    const id = this.edits.nextId();
    for (const at of preview) this.edits.put(at, id);
    if (this.edits.commit()) this.bench.select(id);
  }

  discard() {
    this.growth = this.preview = this.bench.scan.preview = null;
    delete this.bench.root.dataset.preview;
    this.fill();
    this.bench.redraw();
  }

  // End what is going on before something else happens to the outlines: a stroke is kept, a
  // preview goes. Whether there was a preview.
  settle() {
    if (this.line) this.release(null, null);
    if (!this.growth) return false;
    this.discard();
    return true;
  }

  // Escape: first what is being grown, then the tool.
  escape() {
    if (this.growth) this.discard();
    else if (this.active) this.choose(this.active);
  }

  #revert() {
    const question = "Discard every edit of the outlines, saved ones too? This cannot be undone.";
    if (window.confirm(question)) this.bench.discardEdits();
  }

  #join(voxel) {
    const { bench, edits } = this;
    const { labels } = bench.scan;
    const other = labels[bench.scan.index(voxel)], into = bench.selected;
    if (!other || other === into || into === null) {
      this.hint.textContent = into === null ? "Select a lesion first." : "Click another lesion to join it to the selected one.";
      return;
    }
    for (let at = labels.indexOf(other); at >= 0; at = labels.indexOf(other, at + 1)) edits.put(at, into);
    edits.commit();
    bench.select(into);
  }

  // Through a line drawn in a plane, and at right angles to that plane.
  #split(pane, from, to) {
    const { spacing } = this.bench.scan;
    const { across: [u], down: [v] } = PLANES[pane.plane];
    const along = [(to[u] - from[u]) * spacing[u], (to[v] - from[v]) * spacing[v]];
    if (!along[0] && !along[1]) return;
    this.#divide((voxel) =>
      (voxel[u] - from[u]) * spacing[u] * along[1] - (voxel[v] - from[v]) * spacing[v] * along[0]);
  }

  // At the crosshair, across the lesion's longest diameter.
  #splitAt(at) {
    const { scan, diameters } = this.bench;
    const [from, to] = diameters?.longest.ends ?? [];
    if (!from) return;
    const along = from.map((v, axis) => (to[axis] - v) * scan.spacing[axis]);
    this.#divide((voxel) => voxel.reduce((sum, v, axis) => sum + (v - at[axis]) * scan.spacing[axis] * along[axis], 0));
  }

  // The smaller side becomes a lesion of its own.
  #divide(sideOf) {
    const { bench, edits } = this;
    const { labels, shape: [nx, ny] } = bench.scan;
    const sides = [[], []];
    for (let at = labels.indexOf(bench.selected); at >= 0 && bench.selected; at = labels.indexOf(bench.selected, at + 1)) {
      const voxel = [at % nx, Math.floor(at / nx) % ny, Math.floor(at / (nx * ny))];
      sides[sideOf(voxel) > 0 ? 1 : 0].push(at);
    }
    const [smaller] = sides.sort((one, other) => one.length - other.length);
    if (!smaller.length) {
      this.hint.textContent = bench.selected === null ? "Select a lesion first." : "The line does not cross the selected lesion.";
      return;
    }
    const id = edits.nextId();
    for (const at of smaller) edits.put(at, id);
    edits.commit();
  }
}

// Places from one voxel to another, near enough for the brush to leave no gap.
function between(from, to, spacing, radius) {
  const length = Math.hypot(...from.map((v, axis) => (to[axis] - v) * spacing[axis]));
  const steps = Math.max(1, Math.ceil(length / Math.max(radius / 2, Math.min(...spacing))));
  return Array.from({ length: steps }, (_, n) =>
    from.map((v, axis) => Math.round(v + ((to[axis] - v) * (n + 1)) / steps)));
}
