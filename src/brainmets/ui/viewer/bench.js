// The workbench: panes, controls and the lesion table, kept in step.

const WARM_MS = 300; // after the first picture: the slider's first move finds its candidates counted
const NEAR_PX = [[0, 0], [1, 0], [-1, 0], [0, 1], [0, -1], [1, 1], [1, -1], [-1, 1], [-1, -1]];

class Bench {
  constructor(root) {
    this.root = root;
    this.selected = null;
    this.lesions = [];
    this.at = [0, 0, 0];
    this.centre = [0, 0, 0];
    this.look = {
      window: [0, TOP_LEVEL], opacity: 0.28, outline: true, cross: true, map: false, lines: true,
      mirrored: false, zoom: 1, differ: false,
    };
    this.steps = new Steps(() => this.tools?.settle(), () => this.reviewPanel?.fill());
    this.readings = new Readings(() => this.#judged(), this.steps);
    this.edits = new Edits(this);
    this.resizing = new ResizeObserver(() => this.redraw());
    root.addEventListener("keydown", (event) => this.keys?.press(event, this.main));
    this.unclaimed = (event) => { // keys that no control on the page has claimed are the viewer's
      if (event.target === document.body) this.keys?.press(event, this.main);
    };
    document.addEventListener("keydown", this.unclaimed, true); // before Streamlit's own shortcuts
  }

  async open(data) {
    this.data = data;
    this.root.replaceChildren(element("p", "waiting", "Loading the images…"));
    this.root.setAttribute("aria-busy", "true");
    this.place = new Place(data.job);
    try {
      const other = data.other && `/v1/jobs/${data.other.job}`;
      this.service = new Service(data);
      this.scan = await Scan.load(this.service, this.job, data.view, other);
    } catch (error) {
      const problem = error instanceof Refusal ? error : { code: "E_SERVICE", found: error.message };
      this.root.replaceChildren(problemBox(problem));
      return;
    }
    this.look.window = [...data.view.window];
    this.lesions = data.lesions;
    this.point = { threshold: 0.5, peak: data.point.threshold ?? 0.5, ...data.point };
    this.saver = new Saver(this);
    this.#build();
    await this.#comeBack();
    this.root.setAttribute("aria-busy", "false");
    this.root.dataset.ready = "yes";
  }

  // To what the reader had: saved or unsaved words, then the threshold and place of the address.
  async #comeBack() {
    const { data } = this;
    const place = this.place.read();
    if (!data.other) {
      const { review, draft } = this.saver.begin();
      const point = { ...this.sensitivity.own, ...review?.operating_point };
      if (review) await this.sensitivity.show(point, review);
      if (review?.drawn) await this.#comeBackDrawn(review);
      if (draft) this.#judged();
      if (review?.saved) this.reviewPanel.note(savedWords(review));
      if (draft) this.reviewPanel.note("Not saved yet: the review of this tab was restored.");
      if (place.peak && place.peak !== this.point.peak && !this.edits.any) await this.sensitivity.showPeak(place.peak);
    }
    const chosen = this.lesions.find(({ id }) => id === place.lesion) ?? (place.at ? null : this.lesions[0]);
    if (chosen) this.goTo(chosen);
    if (place.at) this.moveTo(this.scan.inside(place.at));
    else if (!chosen) this.moveTo(this.scan.box.map(([low, high]) => Math.floor((low + high) / 2)));
    if (place.view) this.promote(place.view, false);
    this.restored = true;
    if (!data.other) setTimeout(() => this.scan && this.candidates, WARM_MS);
  }

  // What was drawn: saved with the review, or unsaved in this tab.
  async #comeBackDrawn({ drawn }) {
    const ids = typeof drawn === "string"
      ? (await gunzipBase64(drawn)).buffer
      : await this.service.bytes(`${this.job}/view/drawn.u16`);
    this.edits.restore(new Uint16Array(ids), typeof drawn === "string" ? null : drawn);
  }

  get job() {
    return `/v1/jobs/${this.data.job}`;
  }

  get slices() {
    return this.data.view.kind === "slices";
  }

  get pixels() {
    return this.data.view.units === "px";
  }

  get candidates() {
    this.sought ??= new Candidates(this.scan, { midline_x_mm: this.data.midline_x_mm });
    return this.sought;
  }

  #build() {
    const { other } = this.data;
    const layout = element("div", "layout");
    const panes = element("div", this.slices || other ? "panes pair" : "panes");
    if (other) {
      this.panes = [
        new Pane(this, "axial", { title: this.data.model }),
        new Pane(this, "axial", { title: other.model, other: true }),
      ];
    } else if (this.slices) {
      this.panes = [
        new Pane(this, "axial", { overlay: false, title: "Image" }),
        new Pane(this, "axial", { title: "With lesions" }),
      ];
    } else {
      this.space = spaceView(this);
      this.panes = [...["axial", "coronal", "sagittal"].map((plane) => new Pane(this, plane)), this.space];
    }
    if (this.slices) this.look.cross = false;
    if (other) this.look.differ = true;
    this.frame = panes;
    panes.append(...this.panes.map((pane) => pane.root));
    this.readout = element("output", "readout");
    const stage = element("div", "stage");
    if (other && !this.slices) stage.append(this.#planes());
    stage.append(panes, this.#scroller(), this.readout);
    const side = element("aside", "side");
    this.keys = new Keys(this);
    this.table = new LesionTable(this);
    this.looks = new Looks(this);
    side.append(this.table.root);
    if (!other) {
      this.reviewPanel = new ReviewPanel(this);
      this.sensitivity = new Sensitivity(this);
      side.append(this.reviewPanel.root);
      if (!this.slices) side.append((this.tools = new Tools(this)).root);
      side.append(this.sensitivity.root);
    }
    side.append(this.looks.root);
    this.exportPanel = new ExportPanel(this);
    layout.append(stage, side, this.exportPanel.root);
    this.root.replaceChildren(layout, this.keys.help);
    this.panes.forEach((pane) => this.resizing.observe(pane.root));
    this.promote("axial", false);
    this.table.fill();
    this.reviewPanel?.fill();
    if (!other && !this.slices) this.sequences = new Sequences(this);
  }

  #scroller() {
    const root = element("label", "scroller");
    this.slider = element("input");
    Object.assign(this.slider, { type: "range", min: 0, max: this.scan.shape[2] - 1, step: 1 });
    this.slider.addEventListener("input", () => this.moveTo([this.at[0], this.at[1], Number(this.slider.value)]));
    root.append(element("span", "", "Slice"), this.slider);
    root.hidden = this.scan.shape[2] < 2;
    return root;
  }

  // Two models side by side look at one plane at a time.
  #planes() {
    const root = element("div", "planes");
    root.setAttribute("role", "group");
    root.setAttribute("aria-label", "Plane");
    this.planeButtons = Object.keys(PLANES).map((plane) => {
      const one = button(PLANES[plane].name, () => this.promote(plane));
      one.dataset.plane = plane;
      return one;
    });
    root.append(...this.planeButtons);
    return root;
  }

  colourOf(id) {
    if (id === PREVIEW) return COLOURS.preview;
    return COLOURS[this.readings.label(id) ?? "unread"];
  }

  // Other lesions: `review` is about them, or what was said follows them to their new numbers.
  replace({ labels, lesions }, point, review = null, { wrapped = false } = {}) {
    const met = overlaps(labels, this.scan.labels, wrapped ? null : this.candidates.where);
    const selected = lesions.find(({ id }) => met.get(id)?.has(this.selected));
    this.tools?.settle();
    this.edits.forget();
    if (review) this.readings.load(review);
    else this.readings.follow(met);
    if (review) this.steps.clear();
    else this.steps.drop(this.edits);
    this.selected = selected?.id ?? null;
    this.scan.labels = labels;
    this.scan.wrapped = wrapped;
    this.point = point;
    this.measured(lesions);
    this.panes.forEach((pane) => pane.labelled());
    this.#remember();
  }

  // The same lesions with what the service alone measures.
  measured(lesions) {
    this.lesions = lesions;
    this.table.fill();
    this.reviewPanel?.fill();
  }

  // The lesions after an edit of their outlines; `restored` as they were when the reader left.
  edited(lesions, { restored = false } = {}) {
    if (!lesions.some(({ id }) => id === this.selected)) this.selected = null;
    this.measured(lesions);
    this.panes.forEach((pane) => pane.labelled());
    this.sensitivity.lock(this.edits.any);
    this.tools?.fill();
    if (!restored) this.#judged();
  }

  // Back to the lesions as found at this operating point; labels stay where they were given.
  async discardEdits() {
    this.tools.settle();
    this.edits.forget();
    this.steps.drop(this.edits);
    this.sensitivity.lock(false);
    this.tools.fill();
    await this.sensitivity.show(this.point);
    this.#judged();
  }

  get unsaved() {
    return this.saver.unsaved;
  }

  #judged() {
    this.saver.changed();
    this.reviewPanel.note("");
    this.table.mark();
    this.reviewPanel.fill();
    this.panes.forEach((pane) => pane.coloured());
  }

  // A view large next to the others; large already: alone, and back.
  promote(view, toggle = true) {
    if (this.slices || !(view in PLANES || (view === "render" && this.space))) return;
    if (this.sequences?.beside) {
      this.sequences.turn(view);
      return;
    }
    const alone = toggle && this.main === view && !this.frame.classList.contains("alone");
    this.main = view;
    if (this.data.other) {
      this.panes.forEach((pane) => (pane.plane = view));
      this.planeButtons.forEach((one) => one.setAttribute("aria-pressed", String(one.dataset.plane === view)));
    } else {
      const focused = this.panes.some((pane) => pane.root.contains(this.root.getRootNode().activeElement));
      this.frame.classList.toggle("alone", alone);
      this.panes.forEach((pane) => pane.root.classList.toggle("main", pane.plane === view));
      if (focused) this.panes.find((pane) => pane.plane === view).canvas?.focus({ preventScroll: true });
    }
    this.#remember();
    requestAnimationFrame(() => this.redraw());
  }

  moveTo(voxel) {
    this.at = this.scan.inside(voxel);
    this.root.dataset.at = this.at.join(",");
    this.root.dataset.mm = this.scan.toMillimetres(this.at).map((v) => v.toFixed(2)).join(",");
    this.#remember();
    this.#draw(false);
  }

  #remember() {
    if (!this.restored) return;
    const own = this.sensitivity?.own.peak ?? this.point.peak;
    const peak = this.point.peak === own ? null : this.point.peak;
    this.place.write({ at: this.at, lesion: this.selected, peak, view: this.main === "axial" ? null : this.main });
  }

  // A click that ends on a lesion, or beside a small one, selects its row.
  picked(voxel, { across: [u], down: [v] }) {
    for (const [du, dv] of NEAR_PX) {
      const one = [...voxel];
      one[u] += du;
      one[v] += dv;
      const mark = this.scan.labels[this.scan.index(this.scan.inside(one))];
      const lesion = mark && this.lesions.find(({ id }) => (this.scan.wrapped ? wrap(id) : id) === mark);
      if (lesion) {
        this.select(lesion.id);
        return;
      }
    }
  }

  // To the slice that the diameters are measured in; before the service has measured, to the middle.
  goTo(lesion) {
    const voxel = this.scan.toVoxel(lesion.centroid_ras_mm);
    const slice = sliceOf(this.scan, lesion);
    if (slice) voxel[slice.axis] = slice.position;
    this.select(lesion.id);
    this.moveTo(lesion.id === null ? voxel : this.scan.nearestOf(lesion.id, voxel, slice?.axis));
    this.centre = [...this.at];
  }

  get diameters() {
    if (this.lined?.lesion !== this.lesion || this.lined?.labels !== this.scan.labels) {
      const { lesion, scan: { labels } } = this;
      this.lined = { lesion, labels, lines: lesion ? diameterLines(this.scan, lesion) : null };
    }
    return this.lined.lines;
  }

  get lesion() {
    return this.lesions.find(({ id }) => id === this.selected) ?? null;
  }

  select(id) {
    this.selected = id;
    this.table.mark();
    this.reviewPanel?.fill();
    this.panes.forEach((pane) => pane.coloured());
    this.#remember();
  }

  step(direction, { unread = false } = {}) {
    const many = this.lesions.length;
    const now = this.lesions.findIndex((lesion) => lesion.id === this.selected);
    for (let n = 1; n <= many; n++) {
      const next = this.lesions[now < 0 ? n - 1 : (now + n * direction + n * many) % many];
      if (!unread || !this.readings.label(next.id)) return this.goTo(next);
    }
  }

  scroll(plane, steps) {
    const voxel = [...this.at];
    voxel[(PLANES[plane] ?? PLANES.axial).through] += steps;
    this.moveTo(voxel);
  }

  // The crosshair within its slice, by voxels to the right and down on the screen.
  nudge(plane, right, down) {
    const { across: [u], down: [v] } = PLANES[plane] ?? PLANES.axial;
    const pane = this.panes.find((one) => one.plane === plane) ?? this.panes[0];
    const voxel = [...this.at];
    voxel[u] += right * pane.direction;
    voxel[v] -= down;
    this.moveTo(voxel);
  }

  zoomBy(factor) {
    this.look.zoom = factor ? Math.max(1, Math.min(12, this.look.zoom * factor)) : 1;
    this.centre = [...this.at];
    this.redraw();
  }

  windowBy(across, down, perPixel) {
    const [low, high] = this.look.window;
    const width = Math.max(40, high - low + across * perPixel);
    const level = (low + high) / 2 + down * perPixel;
    this.look.window = [level - width / 2, level + width / 2];
    this.looks.follow();
    this.redraw();
  }

  flip(key) {
    this.looks.flip(key);
  }

  // Everything anew, or what the crosshair moves; once a frame, whatever has happened in it.
  redraw() {
    this.#draw(true);
  }

  #draw(all) {
    this.stale = all || this.stale;
    this.drawing ??= requestAnimationFrame(() => {
      this.drawing = null;
      if (!this.scan || !this.panes) return;
      this.panes.forEach((pane) => (this.stale ? pane.draw() : pane.moved()));
      this.stale = false;
      this.slider.value = this.at[2];
      this.slider.parentNode.hidden = this.scan.shape[2] < 2 || (Boolean(this.data.other) && this.main !== "axial");
      this.readout.textContent = this.#words();
    });
  }

  #words() {
    const mm = this.scan.toMillimetres(this.at).map((v) => v.toFixed(1));
    const value = Math.round(this.scan.value(this.at) * 10) / 10;
    const chance = percent(this.scan.chance[this.scan.probability[this.scan.index(this.at)]]);
    const here = `value ${value} · lesion probability ${chance}`;
    if (this.slices) return here;
    const side = this.look.mirrored ? "Neurological: patient's left is left" : "Radiological: patient's right is left";
    return `${side} · x ${mm[0]}  y ${mm[1]}  z ${mm[2]} mm (RAS) · ${here}`;
  }

  close() {
    this.saver?.close();
    document.removeEventListener("keydown", this.unclaimed, true);
    this.resizing.disconnect();
    cancelAnimationFrame(this.drawing);
    this.sensitivity?.close();
    this.space?.close();
    this.place?.close();
    this.sequences?.close();
    this.scan = null;
  }
}

// The head in space where the browser can, otherwise a picture of each lesion.
function spaceView(bench) {
  try {
    return new Render(bench);
  } catch {
    return new Montage(bench);
  }
}
