// The other images of the examination: instead of the segmented one, or next to it.

const LOAD_AFTER_MS = 700; // the segmented image is drawn first

class Sequences {
  constructor(bench) {
    this.bench = bench;
    this.root = element("div", "sequences");
    this.root.hidden = true;
    this.root.setAttribute("role", "group");
    this.root.setAttribute("aria-label", "Images of the examination");
    bench.frame.before(this.root);
    this.loading = setTimeout(() => this.#load(), LOAD_AFTER_MS);
  }

  async #load() {
    const { bench } = this;
    try {
      const view = await bench.service.ask(`${bench.job}/sequences`);
      if (bench.scan && view.others.length) this.#offer(view);
    } catch (error) {
      if (bench.scan) this.#note(error.text ?? String(error));
    }
  }

  #note(text) {
    this.root.hidden = false;
    this.root.append(element("p", "hint", text));
  }

  #offer({ segmented, others }) {
    const { bench } = this;
    this.list = [{ name: segmented, number: 0 }, ...others];
    this.buttons = this.list.map((one, n) => {
      const problem = one.problem?.found;
      const made = button(one.name, () => this.show(n), { title: problem ?? `${placingWords(one)} (shift+${n + 1})` });
      made.disabled = Boolean(problem);
      return made;
    });
    this.besides = button("Side by side", () => this.toggle(), { title: "All of them in one plane, one crosshair (y)", className: "beside" });
    this.turns = Object.keys(PLANES).map((plane) => button(PLANES[plane].name, () => this.turn(plane)));
    this.status = element("span", "hint");
    this.status.setAttribute("role", "status");
    this.root.append(...this.buttons, this.besides, ...this.turns, this.status);
    this.root.hidden = false;
    this.#fill();
  }

  nameOf(source = this.bench.scan.source) {
    return this.list && (source || this.beside) ? this.list[source].name : "";
  }

  // Voxels come when they are first wanted.
  async #voxels(n) {
    const { scan, service, job } = this.bench;
    if (scan.sources[n]) return;
    const one = this.list[n];
    const image = new Uint16Array(await service.bytes(`${job}/sequences/${one.number}`));
    scan.sources[n] = { image, levels: one.levels, window: [...one.window], first: one.window };
  }

  async show(n) {
    const { bench } = this;
    if (!this.list?.[n] || this.list[n].problem) return;
    try {
      await this.#voxels(n);
    } catch (error) {
      this.status.textContent = error.text ?? String(error);
      return;
    }
    if (!bench.scan) return;
    bench.scan.sources[bench.scan.source].window = [...bench.look.window];
    bench.scan.source = n;
    bench.look.window = [...bench.scan.sources[n].window];
    bench.looks.sourced();
    this.#fill();
    bench.redraw();
  }

  async toggle() {
    const { bench } = this;
    if (!this.list) return;
    if (this.beside) this.#together();
    else {
      const there = this.list.map((one, n) => n).filter((n) => !this.list[n].problem);
      await Promise.all(there.map((n) => this.#voxels(n)));
      if (!bench.scan) return;
      this.usual = bench.panes;
      const plane = bench.main in PLANES ? bench.main : "axial";
      this.#panes(there.map((n) => new Pane(bench, plane, { source: n })));
      this.beside = true;
    }
    this.#fill();
    requestAnimationFrame(() => bench.redraw());
  }

  #together() {
    const { bench, usual } = this;
    this.beside = false;
    this.#panes(usual);
    bench.promote(bench.main, false);
    bench.panes.forEach((pane) => pane.labelled());
  }

  #panes(panes) {
    const { bench } = this;
    bench.panes.forEach((pane) => bench.resizing.unobserve(pane.root));
    bench.panes = panes;
    bench.frame.replaceChildren(...panes.map((pane) => pane.root));
    panes.forEach((pane) => bench.resizing.observe(pane.root));
  }

  // Side by side all show one plane.
  turn(plane) {
    if (!(plane in PLANES)) return;
    this.bench.main = plane;
    this.bench.panes.forEach((pane) => {
      pane.plane = pane.root.dataset.plane = plane;
    });
    this.#fill();
    this.bench.redraw();
  }

  #fill() {
    const { bench, list } = this;
    const { source } = bench.scan;
    this.buttons.forEach((one, n) => one.setAttribute("aria-pressed", String(n === source)));
    this.besides.setAttribute("aria-pressed", String(Boolean(this.beside)));
    const plane = bench.panes[0].plane;
    this.turns.forEach((one) => {
      one.hidden = !this.beside;
      one.setAttribute("aria-pressed", String(PLANES[plane]?.name === one.textContent));
    });
    bench.frame.classList.toggle("together", Boolean(this.beside));
    bench.frame.classList.toggle("two", Boolean(this.beside) && bench.panes.length === 2);
    const used = bench.data.used.map((code) => SEQUENCE_NAMES[code]).join(", ");
    this.status.textContent = source
      ? `${list[source].name}: ${placingWords(list[source])}. The lesions were found on ${used}.`
      : `The model uses ${used}; the others are for reading.`;
  }

  close() {
    clearTimeout(this.loading);
  }
}

function placingWords({ number, placing, similarity }) {
  if (!number) return "what was segmented";
  if (placing === "same grid") return "on the same voxels";
  if (placing === "registered") return `registered to it (similarity ${similarity.toFixed(2)})`;
  return "placed by its header alone, as it could not be registered: check that both match";
}
