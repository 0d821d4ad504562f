// How the image is shown: overlay, window and level, toggles, zoom.

const SLAB_MM = 40;
const USUAL_SLAB_MM = 10; // what the key switches on

class Looks {
  constructor(bench) {
    this.bench = bench;
    const { look, data } = bench;
    this.root = element("fieldset", "looks");
    look.slab = 0;
    this.ruler = new Ruler(bench);
    this.legend = new Legend(bench);
    const overlay = this.#slider("Overlay", 0, 1, 0.02, look.opacity, (value) => (look.opacity = value));
    const span = () => this.#setWindow(Number(this.level.value), Number(this.width.value));
    this.width = this.#slider("Window", 40, 6000, 10, 0, span);
    this.level = this.#slider("Level", 0, TOP_LEVEL, 10, 0, span);
    this.presets = presets(data.view.window);
    this.numbers = [this.width, this.level].map((slider) => this.#number(slider));
    this.slab = this.#slider("Slab", 0, SLAB_MM, 1, 0, (value) => (look.slab = value));
    this.slab.parentNode.title = "Brightest voxel of so many millimetres (v): vessels are lines there, metastases stay dots";
    this.slab.parentNode.hidden = bench.slices;
    this.slabTold = element("output");
    this.slab.parentNode.append(this.slabTold);
    this.root.append(element("legend", "", "Display"), overlay.parentNode, this.#presetRow(),
      this.width.parentNode, this.level.parentNode, this.slab.parentNode, this.#toggles(),
      this.ruler.root, this.#zoom());
    bench.readout.before(this.legend.root); // next to the picture
    this.follow();
  }

  #slider(label, min, max, step, value, act) {
    const root = element("label", "slider");
    const input = element("input");
    Object.assign(input, { type: "range", min, max, step, value });
    input.addEventListener("input", () => {
      act(Number(input.value));
      this.follow();
      this.bench.redraw();
    });
    root.append(element("span", "", label), input);
    return input;
  }

  // The same value to read and to type, in the image's own units.
  #number(slider) {
    const input = element("input");
    Object.assign(input, { type: "number", step: "any" });
    input.setAttribute("aria-label", `${slider.previousSibling.textContent} in the image's units`);
    input.addEventListener("change", () => {
      const value = Number(input.value);
      if (!Number.isFinite(value)) return this.follow();
      slider.value = slider === this.width ? value / this.unit : this.#toLevel(value);
      slider.dispatchEvent(new Event("input"));
    });
    slider.parentNode.append(input);
    return input;
  }

  // Image units for one of the 4096 levels.
  get unit() {
    const [low, high] = this.bench.scan.levels;
    return (high - low) / TOP_LEVEL;
  }

  #toLevel(value) {
    return (value - this.bench.scan.levels[0]) / this.unit;
  }

  // Another image of the examination has another first window.
  sourced() {
    const { scan } = this.bench;
    this.presets = presets(scan.sources[scan.source].first);
    this.follow();
  }

  flipSlab() {
    if (this.bench.slices) return;
    this.bench.look.slab = this.bench.look.slab ? 0 : USUAL_SLAB_MM;
    this.follow();
    this.bench.redraw();
  }

  #presetRow() {
    const row = element("div", "presets");
    row.setAttribute("role", "group");
    row.setAttribute("aria-label", "Window presets");
    this.presetButtons = this.presets.map(({ name, title }, n) => button(name, () => {
      this.bench.look.window = [...this.presets[n].window];
      this.follow();
      this.bench.redraw();
    }, { title }));
    row.append(...this.presetButtons);
    return row;
  }

  nextPreset() {
    const now = this.presetButtons.findIndex((one) => one.getAttribute("aria-pressed") === "true");
    this.presetButtons[(now + 1) % this.presets.length].click();
  }

  #setWindow(level, width) {
    this.bench.look.window = [level - width / 2, level + width / 2];
  }

  // The controls say what the window is, whoever has moved it.
  follow() {
    const [low, high] = this.bench.look.window;
    this.width.value = high - low;
    this.level.value = (low + high) / 2;
    const [start] = this.bench.scan.levels;
    [(high - low) * this.unit, start + ((low + high) / 2) * this.unit].forEach((value, n) => {
      this.numbers[n].value = Number(value.toPrecision(4));
    });
    this.slab.value = this.bench.look.slab;
    this.slabTold.textContent = this.bench.look.slab ? `${this.bench.look.slab} mm` : "off";
    this.legend.fill();
    this.presetButtons.forEach((one, n) => {
      const [a, b] = this.presets[n].window;
      one.setAttribute("aria-pressed", String(Math.abs(a - low) < 1 && Math.abs(b - high) < 1));
    });
  }

  #toggles() {
    const { bench } = this;
    const root = element("div", "toggles");
    this.boxes = {};
    const toggle = (label, key, title) => {
      const one = element("label", "toggle");
      const input = element("input");
      Object.assign(input, { type: "checkbox", checked: bench.look[key] });
      one.title = title;
      input.addEventListener("change", () => {
        bench.look[key] = input.checked;
        this.legend.fill();
        bench.redraw();
      });
      one.append(input, element("span", "", label));
      this.boxes[key] = input;
      root.append(one);
    };
    toggle("Outline", "outline", "Outline of each lesion (o)");
    toggle("Crosshair", "cross", "Crosshair (x)");
    toggle("Diameters", "lines", "The two diameters of the selected lesion, in the slice they are measured in (l)");
    if (bench.data.other) toggle("Disagreement", "differ", "Green: both models; otherwise the colour of the one that marks it (d)");
    else toggle("Probability map", "map", "The network's probability everywhere (p)");
    if (!bench.slices) toggle("Neurological", "mirrored", "Patient's left on the left; radiological otherwise (n)");
    return root;
  }

  #zoom() {
    const { bench } = this;
    const root = element("div", "zoom");
    root.append(
      button("−", () => bench.zoomBy(0.8), { title: "Smaller (−)" }),
      button("+", () => bench.zoomBy(1.25), { title: "Larger (+)" }),
      button("Fit", () => bench.zoomBy(0), { title: "Whole head (0)" }),
      button("Keys", () => bench.keys.show(), { title: "All keys and gestures (?)", className: "keys" }));
    return root;
  }

  flip(key) {
    const box = this.boxes[key];
    if (!box) return;
    box.checked = this.bench.look[key] = !this.bench.look[key];
    this.legend.fill();
    this.bench.redraw();
  }
}

// MR has no absolute grey levels: presets are parts of this image's own range.
function presets([low, high]) {
  return [
    { name: "Auto", title: "Fitted to this image", window: [low, high] },
    { name: "Enhancing", title: "Only what is bright: contrast medium and fat", window: [low + 0.4 * (high - low), high] },
    { name: "Tissue", title: "Grey and white matter apart; what enhances is white", window: [low, low + 0.6 * (high - low)] },
    { name: "Full", title: "Everything from black to the brightest voxel", window: [0, TOP_LEVEL] },
  ];
}
