// The workbench: panes, controls and the lesion table, kept in step.

const COLOURS = {
  lesion: [255, 176, 46], selected: [64, 224, 208], rejected: [160, 160, 168],
  other: [224, 120, 255], both: [110, 200, 120],
};
const SETTLE_MS = 120; // after the slider's last move, before the service is asked

class Bench {
  constructor(root, hooks) {
    this.root = root;
    this.hooks = hooks;
    this.colours = COLOURS;
    this.rejected = new Set();
    this.selected = null;
    this.lesions = [];
    this.at = [0, 0, 0];
    this.centre = [0, 0, 0];
    this.look = {
      window: [0, TOP_LEVEL], opacity: 0.28, outline: true, cross: true, map: false,
      mirrored: false, zoom: 1, differ: false,
    };
    this.resizing = new ResizeObserver(() => this.draw());
  }

  async open(data) {
    this.data = data;
    this.root.replaceChildren(element("p", "waiting", "Loading the images…"));
    this.root.setAttribute("aria-busy", "true");
    try {
      const other = data.other && `/v1/jobs/${data.other.job}`;
      this.service = new Service(data);
      this.scan = await Scan.load(this.service, this.job, data.view, other);
    } catch (error) {
      const text = error.text ?? `E_SERVICE: ${error.message}`;
      this.root.replaceChildren(element("p", "failure", text));
      return;
    }
    this.look.window = [...data.view.window];
    this.lesions = data.lesions;
    const review = data.other ? null : data.review; // two models are compared as they answered
    this.rejected = new Set(review?.rejected ?? []);
    this.point = review?.operating_point ?? data.point;
    this.#build();
    const first = this.lesions[0];
    if (first) this.goTo(first);
    else this.moveTo(this.scan.shape.map((n) => Math.floor(n / 2)));
    if (review) await this.#again(this.point.peak, this.point.threshold, review.rejected);
    this.root.setAttribute("aria-busy", "false");
    this.root.dataset.ready = "yes";
  }

  get job() {
    return `/v1/jobs/${this.data.job}`;
  }

  get slices() {
    return this.data.view.kind === "slices";
  }

  #build() {
    const { other } = this.data;
    const panes = element("div", this.slices || other ? "panes pair" : "panes");
    this.panes = other
      ? [
          new Pane(this, "axial", { title: this.data.model }),
          new Pane(this, "axial", { title: other.model, other: true }),
        ]
      : this.slices
      ? [
          new Pane(this, "axial", { overlay: false, title: "Image" }),
          new Pane(this, "axial", { title: "With lesions" }),
        ]
      : ["axial", "coronal", "sagittal"].map((plane) => new Pane(this, plane));
    if (this.slices) this.look.cross = false;
    if (other) this.look.differ = true;
    panes.append(...this.panes.map((pane) => pane.root));
    this.readout = element("output", "readout");
    this.scroller = this.#slider("Slice", 0, this.scan.shape[2] - 1, 1, 0, (value) => {
      this.moveTo([this.at[0], this.at[1], Math.round(value)]);
    });
    this.scroller.root.classList.add("scroller");
    this.scroller.root.hidden = this.scan.shape[2] < 2;
    const stage = element("div", "stage");
    if (other && !this.slices) stage.append(this.#planes());
    stage.append(panes, this.scroller.root, this.readout);
    const side = element("aside", "side");
    this.table = new LesionTable(this);
    side.append(this.table.root, ...(other ? [] : [this.#sensitivity()]), this.#looks());
    this.root.replaceChildren(stage, side);
    this.panes.forEach((pane) => this.resizing.observe(pane.canvas));
    this.promote("axial");
    this.table.fill();
  }

  #slider(label, min, max, step, value, act) {
    const root = element("label", "slider");
    const input = element("input");
    Object.assign(input, { type: "range", min, max, step, value });
    const shown = element("output");
    root.append(element("span", "", label), input, shown);
    const control = { root, input, show: (text) => (shown.textContent = text) };
    input.addEventListener("input", () => act(Number(input.value)));
    return control;
  }

  #toggle(label, key, title) {
    const root = element("label", "toggle");
    const input = element("input");
    input.type = "checkbox";
    input.checked = this.look[key];
    root.title = title;
    input.addEventListener("change", () => {
      this.look[key] = input.checked;
      this.draw();
    });
    root.append(input, element("span", "", label));
    this.toggles = { ...this.toggles, [key]: input };
    return root;
  }

  #looks() {
    const root = element("fieldset", "looks");
    root.append(element("legend", "", "Display"));
    const opacity = this.#slider("Overlay", 0, 1, 0.02, this.look.opacity, (value) => {
      this.look.opacity = value;
      this.draw();
    });
    const { look } = this;
    const setWindow = () => {
      const width = Number(width_.input.value), level = Number(level_.input.value);
      look.window = [level - width / 2, level + width / 2];
      this.draw();
    };
    const width_ = this.#slider("Window", 40, 6000, 10, look.window[1] - look.window[0], setWindow);
    const level_ = this.#slider("Level", 0, TOP_LEVEL, 10, (look.window[0] + look.window[1]) / 2, setWindow);
    this.windowControls = { width_, level_ };
    const toggles = element("div", "toggles");
    toggles.append(
      this.#toggle("Outline", "outline", "Outline of each lesion (o)"),
      this.#toggle("Crosshair", "cross", "Crosshair (x)"),
      this.data.other
        ? this.#toggle("Disagreement", "differ", "Green: both models; otherwise the colour of the one that marks it (d)")
        : this.#toggle("Confidence map", "map", "The network's probability everywhere (p)"),
    );
    if (!this.slices) {
      toggles.append(this.#toggle("Neurological", "mirrored", "Patient's left on the left; radiological otherwise (n)"));
    }
    const zoom = element("div", "zoom");
    for (const [text, title, factor] of [["−", "Smaller", 1 / 1.4], ["+", "Larger", 1.4], ["Fit", "Whole image", 0]]) {
      const button = element("button", "", text);
      button.type = "button";
      button.title = title;
      button.addEventListener("click", () => this.zoomBy(factor));
      zoom.append(button);
    }
    toggles.append(zoom);
    root.append(opacity.root, width_.root, level_.root, toggles);
    const keys = this.slices
      ? "↑ ↓ or wheel: slice · drag right: window · ctrl+wheel: zoom"
      : "↑ ↓ or wheel: slice · ← →: lesions · drag right: window · double-click: enlarge · ctrl+wheel: zoom";
    root.append(element("p", "hint", keys));
    return root;
  }

  // Two models side by side look at one plane at a time.
  #planes() {
    const root = element("div", "planes");
    root.setAttribute("role", "group");
    root.setAttribute("aria-label", "Plane");
    for (const plane of Object.keys(PLANES)) {
      const button = element("button", "", PLANES[plane].name);
      button.type = "button";
      button.addEventListener("click", () => this.promote(plane));
      button.dataset.plane = plane;
      root.append(button);
    }
    this.planeButtons = [...root.children];
    return root;
  }

  #sensitivity() {
    const root = element("fieldset", "sensitivity");
    root.append(element("legend", "", "Sensitivity"));
    const start = this.point.peak ?? this.point.threshold ?? 0.5;
    // It moves the peak that a lesion must reach; outlines stay where they are. Right finds more.
    const slider = this.#slider("", 0.02, 0.98, 0.01, 1 - start, (value) => this.#settle(1 - value));
    slider.input.setAttribute("aria-label", "Sensitivity: fewer false alarms to the left, more found to the right");
    const ends = element("div", "ends");
    ends.append(element("span", "", "fewer false alarms"), element("span", "", "finds more"));
    this.status = element("p", "hint status");
    this.status.setAttribute("role", "status");
    this.sensitivity = slider;
    slider.show(start.toFixed(2));
    root.append(slider.root, ends, this.status);
    return root;
  }

  #settle(peak) {
    this.sensitivity.show(peak.toFixed(2));
    clearTimeout(this.settling);
    this.settling = setTimeout(() => this.#again(peak), SETTLE_MS);
  }

  async #again(peak, threshold = Math.min(peak, this.data.point.threshold ?? 0.5), rejected = null) {
    this.asked = (this.asked ?? 0) + 1;
    const mine = this.asked;
    let found;
    try {
      found = await this.service.ask(`${this.job}/lesions?threshold=${threshold.toFixed(3)}&peak=${peak.toFixed(3)}`);
    } catch (error) {
      if (mine === this.asked) this.status.textContent = error.text ?? String(error);
      return;
    }
    const labels = Uint16Array.from(await gunzipBase64(found.labels));
    if (mine !== this.asked) return;
    // What was rejected stays rejected where it lies, whatever its number is now.
    const met = overlaps(labels, this.scan.labels);
    const still = (id) => (met.get(id) ?? []).some((old) => this.rejected.has(old));
    this.rejected = new Set(rejected ?? found.lesions.map((one) => one.id).filter(still));
    this.scan.labels = labels;
    this.lesions = found.lesions;
    this.selected = null;
    this.point = found.operating_point;
    this.status.textContent = "";
    this.table.fill();
    this.draw();
  }

  async save() {
    const { threshold, peak, min_volume_mm3 } = this.point;
    this.table.saving(true);
    const json = { rejected: [...this.rejected], threshold, peak, min_volume_mm3 };
    try {
      await this.service.ask(`${this.job}/review`, { method: "PUT", json });
      this.table.note("Saved: the corrected mask is among the downloads.");
      this.hooks.saved(Date.now());
    } catch (error) {
      this.table.note(error.text ?? String(error));
    } finally {
      this.table.saving(false);
    }
  }

  promote(plane) {
    if (this.slices) return;
    if (this.data.other) {
      this.panes.forEach((pane) => (pane.plane = plane));
      this.planeButtons.forEach((button) =>
        button.setAttribute("aria-pressed", String(button.dataset.plane === plane)));
    } else {
      this.panes.forEach((pane) => pane.root.classList.toggle("main", pane.plane === plane));
    }
    requestAnimationFrame(() => this.draw());
  }

  moveTo(voxel) {
    this.at = this.scan.inside(voxel);
    this.root.dataset.at = this.at.join(",");
    this.root.dataset.mm = this.scan.toMillimetres(this.at).map((v) => v.toFixed(2)).join(",");
    this.draw();
  }

  // A click that ends on a lesion selects its row.
  picked(voxel) {
    const id = this.scan.labels[this.scan.index(voxel)];
    if (id) this.select(id);
    this.hooks.located(this.scan.toMillimetres(voxel));
  }

  goTo(lesion) {
    this.selected = lesion.id;
    const voxel = this.scan.toVoxel(lesion.centroid_ras_mm);
    this.centre = this.scan.inside(voxel);
    this.moveTo(voxel);
    this.table.mark();
  }

  select(id) {
    this.selected = id;
    this.table.mark();
    this.draw();
  }

  step(direction) {
    if (!this.lesions.length) return;
    const now = this.lesions.findIndex((lesion) => lesion.id === this.selected);
    const next = (now + direction + this.lesions.length) % this.lesions.length;
    this.goTo(this.lesions[now < 0 ? 0 : next]);
  }

  scroll(plane, steps) {
    const voxel = [...this.at];
    voxel[PLANES[plane].through] += steps;
    this.moveTo(voxel);
  }

  zoomBy(factor) {
    this.look.zoom = factor ? Math.max(1, Math.min(12, this.look.zoom * factor)) : 1;
    this.centre = [...this.at];
    this.draw();
  }

  windowBy(across, down, perPixel) {
    const [low, high] = this.look.window;
    const width = Math.max(40, high - low + across * perPixel);
    const level = (low + high) / 2 + down * perPixel;
    this.look.window = [level - width / 2, level + width / 2];
    this.windowControls.width_.input.value = width;
    this.windowControls.level_.input.value = level;
    this.draw();
  }

  flip(key) {
    if (!this.toggles[key]) return;
    this.look[key] = !this.look[key];
    this.toggles[key].checked = this.look[key];
    this.draw();
  }

  key(event, plane) {
    const acts = {
      ArrowUp: () => this.scroll(plane, 1), ArrowDown: () => this.scroll(plane, -1),
      PageUp: () => this.scroll(plane, 10), PageDown: () => this.scroll(plane, -10),
      ArrowRight: () => this.step(1), ArrowLeft: () => this.step(-1),
      o: () => this.flip("outline"), x: () => this.flip("cross"),
      p: () => this.flip("map"), d: () => this.flip("differ"), n: () => this.flip("mirrored"),
    };
    if (!acts[event.key] || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    event.stopPropagation(); // Streamlit has shortcuts of its own
    acts[event.key]();
  }

  draw() {
    cancelAnimationFrame(this.drawing);
    this.drawing = requestAnimationFrame(() => {
      if (!this.scan || !this.panes) return;
      this.panes.forEach((pane) => pane.draw());
      this.scroller.input.value = this.at[2];
      this.scroller.root.hidden = this.scan.shape[2] < 2 || (this.panes[0].plane !== "axial" && Boolean(this.data.other));
      const mm = this.scan.toMillimetres(this.at);
      const value = Math.round(this.scan.value(this.at) * 10) / 10;
      const chance = Math.round((this.scan.probability[this.scan.index(this.at)] / 255) * 100);
      this.readout.textContent = this.slices
        ? `value ${value} · lesion probability ${chance} %`
        : `x ${mm[0].toFixed(1)}  y ${mm[1].toFixed(1)}  z ${mm[2].toFixed(1)} mm (RAS) · value ${value} · lesion probability ${chance} %`
          + ` · ${this.look.mirrored ? "neurological" : "radiological"} display`;
    });
  }

  close() {
    this.resizing.disconnect();
    cancelAnimationFrame(this.drawing);
    clearTimeout(this.settling);
    this.scan = null;
  }
}
