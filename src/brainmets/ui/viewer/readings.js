// What the reader says each lesion is, with undo; unsaved words outlive a reload of this tab.

const LABELS = {
  metastasis: { name: "Metastasis", key: "1", kept: true },
  uncertain: { name: "Uncertain", key: "2", kept: true },
  other: { name: "Other lesion", key: "3", kept: false },
  not_a_lesion: { name: "Not a lesion", key: "4", kept: false },
};

class Readings {
  constructor(changed, steps) {
    this.changed = changed;
    this.steps = steps;
    this.load({});
  }

  // As the service keeps them: `readings` by id, and ids `rejected` without a word.
  load({ readings = {}, rejected = [] }) {
    this.now = new Map(Object.entries(readings).map(([id, one]) => [Number(id), one]));
    for (const id of rejected) if (!this.now.has(id)) this.now.set(id, { label: "not_a_lesion", comment: "" });
    this.past = [];
    this.future = [];
  }

  label(id) {
    return this.now.get(id)?.label ?? null;
  }

  comment(id) {
    return this.now.get(id)?.comment ?? "";
  }

  // Whether the corrected mask leaves it out.
  out(id) {
    const label = this.label(id);
    return label !== null && !LABELS[label].kept;
  }

  // `null` takes a word back.
  set(id, label, comment = this.comment(id)) {
    if (label === this.label(id) && comment === this.comment(id)) return;
    this.past.push(this.now);
    this.future = [];
    this.now = new Map(this.now);
    if (label === null) this.now.delete(id);
    else this.now.set(id, { label, comment });
    this.steps.add(this);
    this.changed();
  }

  undo() {
    this.#step(this.past, this.future);
  }

  redo() {
    this.#step(this.future, this.past);
  }

  #step(from, to) {
    if (!from.length) return;
    to.push(this.now);
    this.now = from.pop();
    this.changed();
  }

  // After another threshold a lesion has another number: a word stays where it was given.
  follow(met) {
    const moved = (readings) => {
      const next = new Map();
      for (const [id, olds] of met) {
        const old = [...olds].find((one) => readings.has(one));
        if (old !== undefined) next.set(id, readings.get(old));
      }
      return next;
    };
    [this.now, this.past, this.future] = [moved(this.now), this.past.map(moved), this.future.map(moved)];
  }

  // By lesion id, as the service takes them.
  get body() {
    return Object.fromEntries([...this.now].sort(([a], [b]) => a - b));
  }
}

// Unsaved words and their operating point, in this tab only: nothing of it is in the address.
class Draft {
  constructor(job) {
    this.name = `brainmets-draft-${job}`;
  }

  read() {
    return parsed(sessionStorage.getItem(this.name) ?? "null");
  }

  write(review) {
    try {
      sessionStorage.setItem(this.name, JSON.stringify(review));
    } catch {
      // the browser keeps a few MB a tab: without a draft the review must be saved before a reload
    }
  }

  forget() {
    sessionStorage.removeItem(this.name);
  }
}
