// Scans of several days side by side: one cursor, one plane, one zoom for all.

const CLOSE_UP = 2.6; // zoom on a chosen lesion
const MOST_ZOOM = 12;

class Board {
  constructor(root) {
    this.root = root;
    this.selected = null;
    this.at = [0, 0, 0];
    this.centre = [0, 0, 0];
    this.plane = "axial";
    this.look = { opacity: 0.22, outline: true, cross: true, map: false, mirrored: false, zoom: 1, differ: false };
    this.resizing = new ResizeObserver(() => this.draw());
    this.keys = { press: (event) => this.#press(event) };
  }

  async open(data) {
    this.data = data;
    this.root.replaceChildren(element("p", "waiting", "Loading the scans…"));
    this.root.setAttribute("aria-busy", "true");
    const { followup, view, job } = data;
    const service = new Service(data);
    try {
      this.scans = await Promise.all(followup.scans.map(({ levels, window }, number) =>
        Scan.load(service, `/v1/followups/${job}/scans/${number + 1}`, { ...view, levels, window }, null)));
    } catch (error) {
      this.root.replaceChildren(problemBox(error));
      return;
    }
    for (const scan of this.scans) scan.held = this.scans[0].box; // one frame: the same scale in all panes
    this.views = this.scans.map((scan, number) => new ScanView(this, scan, followup.scans[number].window));
    this.#build();
    const [first] = followup.lesions;
    if (first) this.goTo(first, 1);
    else this.moveTo(this.scans[0].shape.map((n) => Math.floor(n / 2)));
    this.root.setAttribute("aria-busy", "false");
    this.root.dataset.ready = "yes";
  }

  #build() {
    const { followup } = this.data;
    this.panes = this.views.map((view, number) => new Pane(view, this.plane, { title: dayName(followup.days[number], number) }));
    const panes = element("div", "panes");
    panes.style.setProperty("--scans", this.panes.length);
    panes.append(...this.panes.map((pane) => pane.root));
    this.course = new Course(this);
    this.lesionChart = new LesionChart(followup);
    const stage = element("div", "stage");
    stage.append(this.#controls(), panes);
    const below = element("div", "below");
    const charts = element("div", "charts");
    charts.append(this.lesionChart.root, this.#chart());
    below.append(this.course.root, charts);
    this.root.replaceChildren(timeline(followup), responseCards(followup), stage, below);
    this.panes.forEach((pane) => this.resizing.observe(pane.canvas));
  }

  #controls() {
    const root = element("div", "controls");
    const planes = element("div", "planes");
    planes.setAttribute("role", "group");
    planes.setAttribute("aria-label", "Plane");
    this.planeButtons = Object.entries(PLANES).map(([plane, { name }]) => {
      const made = button(name, () => this.promote(plane));
      made.dataset.plane = plane;
      return made;
    });
    planes.append(...this.planeButtons);
    const zoom = element("div", "planes");
    zoom.append(
      button("−", () => this.zoomBy(0.75), { title: "Smaller (−)" }),
      button("+", () => this.zoomBy(1.33), { title: "Larger (+)" }),
      button("Fit", () => this.zoomBy(0), { title: "Whole head (0)" }),
    );
    const outline = element("label", "toggle");
    const box = element("input");
    Object.assign(box, { type: "checkbox", checked: this.look.outline });
    box.addEventListener("change", () => {
      this.look.outline = box.checked;
      this.look.opacity = box.checked ? 0.22 : 0;
      this.draw();
    });
    outline.append(box, element("span", "", "Lesions"));
    const before = element("label", "toggle");
    before.title = "The outlines of the scan before, dashed";
    const past = element("input");
    past.type = "checkbox";
    past.addEventListener("change", () => {
      this.scans.forEach((scan, number) => (scan.others = past.checked ? this.scans[number - 1]?.labels ?? null : null));
      this.draw();
    });
    before.append(past, element("span", "", "Previous outlines"));
    this.readout = element("output", "readout");
    root.append(planes, zoom, outline, before, this.readout);
    this.#mark();
    return root;
  }

  // The chart, inserted as elements so that it has the page's colours.
  #chart() {
    const figure = element("figure", "chart");
    const drawn = new DOMParser().parseFromString(this.data.followup.chart, "image/svg+xml").documentElement;
    drawn.querySelector("style")?.remove();
    drawn.removeAttribute("color");
    for (const size of ["width", "height"]) drawn.removeAttribute(size);
    figure.append(document.importNode(drawn, true));
    return figure;
  }

  #mark() {
    for (const one of this.planeButtons) one.setAttribute("aria-pressed", String(one.dataset.plane === this.plane));
  }

  goTo(lesion, zoom = CLOSE_UP) {
    this.selected = lesion.id;
    const first = this.scans[0];
    const where = this.scans.find((scan) => scan.labels.includes(lesion.id)) ?? first;
    this.centre = where.nearestOf(lesion.id, first.toVoxel(lesion.place_ras_mm));
    this.look.zoom = zoom;
    this.course.mark();
    this.moveTo(this.centre);
  }

  moveTo(voxel) {
    this.at = this.scans[0].inside(voxel);
    this.root.dataset.at = this.at.join(",");
    this.root.dataset.mm = this.scans[0].toMillimetres(this.at).map((v) => v.toFixed(2)).join(",");
    this.draw();
  }

  // A click that ends on a lesion of any scan selects its row.
  picked(scan, voxel) {
    const id = scan.labels[scan.index(voxel)];
    if (!id) return;
    this.selected = id;
    this.course.mark();
    this.draw();
  }

  scroll(plane, steps) {
    const voxel = [...this.at];
    voxel[PLANES[plane].through] += steps;
    this.moveTo(voxel);
  }

  step(direction) {
    const { lesions } = this.data.followup;
    if (!lesions.length) return;
    const now = lesions.findIndex((lesion) => lesion.id === this.selected);
    this.goTo(lesions[(now + direction + lesions.length) % lesions.length]);
  }

  zoomBy(factor) {
    this.look.zoom = factor ? Math.max(1, Math.min(MOST_ZOOM, this.look.zoom * factor)) : 1;
    this.centre = [...this.at];
    this.draw();
  }

  promote(plane) {
    this.plane = plane;
    for (const pane of this.panes) {
      pane.plane = plane;
      pane.root.dataset.plane = plane;
    }
    this.#mark();
    this.draw();
  }

  #press(event) {
    const acts = {
      ArrowUp: () => this.scroll(this.plane, 1), ArrowDown: () => this.scroll(this.plane, -1),
      PageUp: () => this.scroll(this.plane, 10), PageDown: () => this.scroll(this.plane, -10),
      ArrowRight: () => this.step(1), ArrowLeft: () => this.step(-1),
      "+": () => this.zoomBy(1.25), "-": () => this.zoomBy(0.8), 0: () => this.zoomBy(0),
    };
    if (!acts[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation(); // Streamlit has shortcuts of its own
    acts[event.key]();
  }

  draw() {
    cancelAnimationFrame(this.drawing);
    this.drawing = requestAnimationFrame(() => {
      if (!this.panes) return;
      for (const pane of this.panes) pane.draw();
      const mm = this.scans[0].toMillimetres(this.at).map((v) => v.toFixed(1));
      this.readout.textContent = `x ${mm[0]}  y ${mm[1]}  z ${mm[2]} mm in the first scan · radiological display`;
    });
  }

  close() {
    this.resizing.disconnect();
    cancelAnimationFrame(this.drawing);
    this.panes = null;
  }
}

// One scan's place at the board: its own voxels and window, everything else is the board's.
class ScanView {
  readings = { out: () => false };

  constructor(board, scan, window) {
    this.board = board;
    this.scan = scan;
    this.look = Object.create(board.look, { window: { value: [...window], writable: true } });
    this.keys = board.keys;
  }

  get at() { return this.board.at; }
  get centre() { return this.board.centre; }
  get selected() { return this.board.selected; }

  colourOf(id) { return hueOf(id); }
  moveTo(voxel) { this.board.moveTo(voxel); }
  picked(voxel) { this.board.picked(this.scan, voxel); }
  scroll(plane, steps) { this.board.scroll(plane, steps); }
  zoomBy(factor) { this.board.zoomBy(factor); }
  promote(plane) { this.board.promote(plane); }
  redraw() { this.board.draw(); }

  windowBy(across, down, perPixel) {
    const [low, high] = this.look.window;
    const width = Math.max(40, high - low + across * perPixel);
    const level = (low + high) / 2 + down * perPixel;
    this.look.window = [level - width / 2, level + width / 2];
    this.board.draw();
  }
}
