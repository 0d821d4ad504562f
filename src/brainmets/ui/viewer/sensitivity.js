// The slider between fewer false positives and more lesions: the browser answers at once, the
// service confirms and measures.

const SETTLE_MS = 150; // after the slider's last move, before the service is asked
const SAME_PLACE_MM = 0.01;

class Sensitivity {
  constructor(bench) {
    this.bench = bench;
    this.own = bench.point; // as the result was made
    this.root = element("fieldset", "sensitivity");
    this.input = element("input");
    // It moves the peak that a lesion must reach; outlines stay where they are. Right finds more.
    Object.assign(this.input, { type: "range", min: 0.02, max: 0.98, step: 0.01 });
    this.input.setAttribute("aria-label", "Sensitivity: fewer false positives to the left, more found to the right");
    this.input.addEventListener("input", () => this.#moved());
    this.shown = element("output");
    this.reset = button("Reset to default", () => this.show(this.own), { title: "The operating point the result was made with" });
    this.status = element("p", "hint status");
    this.status.setAttribute("role", "status");
    const ends = element("div", "ends");
    ends.append(element("span", "", "fewer false positives"), this.shown, element("span", "", "finds more"));
    // Whatever comes and goes stays in the layout: Chromium ends a drag when a fieldset's child does.
    const body = element("div", "body");
    body.append(this.input, ends, this.reset, this.status);
    this.root.append(element("legend", "", "Sensitivity"), body);
    this.#tell(bench.point);
  }

  #moved() {
    this.moving ??= requestAnimationFrame(() => {
      this.moving = null;
      this.showPeak(Math.round(100 - 100 * Number(this.input.value)) / 100);
    });
  }

  // Lesions at another point, on the screen before it returns; `review` is about their numbers.
  async show(point, review = null) {
    this.#tell(point);
    const shown = this.#preview(point, review);
    clearTimeout(this.settling);
    if (shown) this.settling = setTimeout(() => this.#confirm(point, review), SETTLE_MS);
    else await this.#confirm(point, review);
  }

  // Once outlines are drawn there is nothing to find again: undoing the drawing frees the slider.
  lock(locked) {
    this.input.disabled = this.reset.disabled = locked;
    this.status.textContent = locked ? "Outlines were edited: undo or discard the edits to move the sensitivity." : "";
  }

  showPeak(peak) {
    return this.show({ ...this.own, peak, threshold: Math.min(peak, this.own.threshold) });
  }

  #tell(point) {
    this.input.value = 1 - point.peak;
    this.shown.textContent = told(point.peak);
    const own = ["threshold", "peak", "min_volume_mm3"].every((name) => (point[name] ?? 0) === (this.own[name] ?? 0));
    this.reset.classList.toggle("absent", own);
  }

  #preview(point, review) {
    const { bench } = this;
    const began = performance.now();
    const found = bench.candidates.find(point);
    if (!found) return false;
    bench.replace(found, point, review);
    this.previewed = point;
    bench.root.dataset.previewMs = (performance.now() - began).toFixed(1);
    return true;
  }

  async #confirm(point, review) {
    const { bench } = this;
    const mine = (this.asked = (this.asked ?? 0) + 1);
    const { threshold, peak, min_volume_mm3: least } = point;
    let found;
    try {
      const query = new URLSearchParams({ threshold, peak, min_volume_mm3: least ?? 0 });
      found = await bench.service.ask(`${bench.job}/lesions?${query}`);
    } catch (error) {
      if (mine === this.asked) this.status.textContent = error.text ?? String(error);
      return;
    }
    if (mine !== this.asked || !bench.scan || bench.edits.any) return;
    this.status.textContent = "";
    if (this.previewed === point && sameLesions(bench.lesions, found.lesions)) bench.measured(found.lesions);
    else {
      const labels = Uint16Array.from(await gunzipBase64(found.labels));
      if (mine !== this.asked || !bench.scan) return;
      const about = this.previewed === point ? null : review; // seen already, perhaps spoken about since
      bench.replace({ labels, lesions: found.lesions }, found.operating_point, about, { wrapped: true });
      bench.root.dataset.corrected = "yes";
    }
    bench.root.dataset.settled = peak.toFixed(2);
  }

  close() {
    clearTimeout(this.settling);
    if (this.moving) cancelAnimationFrame(this.moving);
  }
}

const told = (peak) => `lesions reach ${Math.round(100 * peak)} %`;

function sameLesions(mine, theirs) {
  const near = (a, b) => a.every((mm, axis) => Math.abs(mm - b[axis]) < SAME_PLACE_MM);
  return mine.length === theirs.length && mine.every((one, n) =>
    one.id === theirs[n].id && one.voxels === theirs[n].voxels
    && near(one.centroid_ras_mm, theirs[n].centroid_ras_mm));
}
