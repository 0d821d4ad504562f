// The reader's review on its way to the service: unsaved in this tab, measured there, saved.

const KEEP_AFTER_MS = 400; // after an edit, before it is kept in this tab and measured by the service
const MOST_MEASURED = 1000; // lesions a request

class Saver {
  constructor(bench) {
    this.bench = bench;
    this.draft = new Draft(bench.data.job);
    this.spoken = false; // whether anything was said or drawn since it was saved
    this.busy = false;
    this.revision = bench.data.review?.revision ?? 0;
    this.peak = bench.point.peak;
  }

  get unsaved() {
    return this.spoken || this.bench.point.peak !== this.peak;
  }

  // What the reader says of the lesions there are, at the operating point they are found at.
  get review() {
    const { point, lesions, readings } = this.bench;
    const { threshold, peak, min_volume_mm3 } = point;
    const ids = new Set(lesions.map(({ id }) => String(id)));
    return {
      readings: Object.fromEntries(Object.entries(readings.body).filter(([id]) => ids.has(id))),
      operating_point: { threshold, peak, min_volume_mm3 },
    };
  }

  // The review to show: what this tab has not saved, else what the service has.
  begin() {
    const { bench } = this;
    const draft = this.draft.read(), saved = bench.data.review;
    this.peak = (saved?.operating_point ?? bench.sensitivity.own).peak;
    this.revision = draft?.replaces ?? this.revision;
    return { review: draft ?? saved, draft };
  }

  // Words at once; a drawing once it rests, since it is packed first.
  changed() {
    this.spoken = true;
    clearTimeout(this.resting);
    if (this.bench.edits.any) this.resting = setTimeout(() => this.#rest(), KEEP_AFTER_MS);
    else this.draft.write({ ...this.review, replaces: this.revision });
  }

  async #rest() {
    const { bench } = this;
    const { version } = bench.edits;
    const drawn = await bench.edits.packed();
    if (!this.spoken || !bench.scan) return;
    this.draft.write({ ...this.review, replaces: this.revision, drawn });
    const ids = [...bench.edits.unmeasured].slice(0, MOST_MEASURED);
    if (!ids.length) return;
    let found;
    try {
      found = await bench.service.ask(`${bench.job}/drawing`, { method: "POST", json: { drawn, ids } });
    } catch {
      return; // what the browser has measured stands until it is saved
    }
    if (!bench.scan || bench.edits.version !== version) return;
    ids.forEach((id) => bench.edits.unmeasured.delete(id));
    const told = new Map(found.lesions.map((one) => [one.id, one]));
    bench.measured(bench.lesions.map((one) => told.get(one.id) ?? one));
    bench.root.dataset.measured = String(version);
  }

  // `over`: whatever anyone else has saved meanwhile.
  async save({ over = false } = {}) {
    const { bench } = this;
    const { reviewPanel } = bench;
    bench.tools?.settle();
    this.busy = true;
    reviewPanel.fill();
    try {
      const { readings, operating_point } = this.review;
      const drawn = bench.edits.any ? await bench.edits.packed() : null;
      const { version } = bench.edits;
      const author = reviewPanel.reader.value.trim();
      const json = { readings, ...operating_point, drawn, author, replaces: over ? null : this.revision };
      const job = await bench.service.ask(`${bench.job}/review`, { method: "PUT", json });
      this.revision = job.review.revision;
      this.peak = operating_point.peak;
      bench.data.files = job.files.map(({ name }) => name);
      bench.data.exports = job.exports;
      bench.exportPanel.fill();
      if (bench.edits.version === version) this.#saved(job.review);
      reviewPanel.note(`${savedWords(job.review)} Every export holds these lesions.`);
    } catch (error) {
      if (error.code === "E_REVIEW_CHANGED") this.#ask(error);
      else reviewPanel.note(error.text ?? String(error));
    } finally {
      this.busy = false;
      reviewPanel.fill();
    }
  }

  // Nothing was drawn while it was sent.
  #saved({ drawn }) {
    const { bench } = this;
    clearTimeout(this.resting);
    bench.edits.unmeasured.clear();
    if (drawn) bench.measured(drawn); // the service has the last word
    this.spoken = false;
    this.draft.forget();
  }

  #ask(error) {
    const other = error.found.replace(/,? where .*/, ""); // which one, and whose
    this.bench.reviewPanel.ask(`Someone else has saved a review meanwhile: ${other}.`, [
      ["Load that review", () => {
        this.draft.forget();
        this.spoken = false;
        window.location.reload();
      }],
      ["Save mine over it", () => this.save({ over: true })],
    ]);
  }

  close() {
    clearTimeout(this.resting);
  }
}

function savedWords({ saved, author }) {
  const when = new Date(saved * 1000).toLocaleString("sv", { dateStyle: "short", timeStyle: "short" });
  return `Saved ${when}${author ? ` by ${author}` : ""}.`;
}
