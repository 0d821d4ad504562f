// Where the reader is, kept in the address after #: a reload and a second tab come back to it.
//
// Voxels, a lesion's number, a threshold and a view: nothing about the patient.

const WRITE_AFTER_MS = 250;
const JOB_LETTERS = 8; // enough to know that a place belongs to the job on the page

class Place {
  constructor(job) {
    this.job = job.slice(0, JOB_LETTERS);
  }

  read() {
    const found = new URLSearchParams(window.location.hash.slice(1));
    if (found.get("of") !== this.job) return {};
    const numbers = (name) => (found.get(name) ?? "").split(",").filter(Boolean).map(Number);
    const at = numbers("at"), [peak] = numbers("peak"), [lesion] = numbers("lesion");
    return {
      at: at.length === 3 && at.every(Number.isFinite) ? at : null,
      peak: peak > 0 && peak <= 1 ? peak : null,
      lesion: Number.isInteger(lesion) ? lesion : null,
      view: found.get("view"),
    };
  }

  write({ at, lesion, peak, view }) {
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => {
      const parts = [`of=${this.job}`, `at=${at.join(",")}`];
      if (lesion) parts.push(`lesion=${lesion}`);
      if (peak) parts.push(`peak=${Number(peak.toFixed(3))}`);
      if (view) parts.push(`view=${view}`);
      const { pathname, search } = window.location;
      window.history.replaceState(window.history.state, "", `${pathname}${search}#${parts.join("&")}`);
    }, WRITE_AFTER_MS);
  }

  close() {
    clearTimeout(this.waiting);
  }
}
