// What the reader says of the selected lesion: four words, a comment, undo, save.

const READER = "brainmets-reader";

class ReviewPanel {
  constructor(bench) {
    this.bench = bench;
    this.root = element("section", "review");
    this.about = element("span", "about");
    this.words = Object.entries(LABELS).map(([label, { name, key }]) => {
      const word = button(name, () => this.say(label), { title: `${name} (${key})` });
      word.dataset.label = label;
      return word;
    });
    const words = element("div", "words");
    words.setAttribute("role", "group");
    words.setAttribute("aria-label", "Label of the selected lesion");
    words.append(...this.words);
    this.comment = element("input");
    Object.assign(this.comment, { type: "text", maxLength: 200, placeholder: "Comment" });
    this.comment.setAttribute("aria-label", "Comment on the selected lesion");
    this.comment.addEventListener("change", () => {
      const { readings, selected } = bench;
      readings.set(selected, readings.label(selected), this.comment.value.trim());
    });
    this.undo = button("Undo", () => bench.steps.undo(), { title: "Undo (u)" });
    this.redo = button("Redo", () => bench.steps.redo(), { title: "Redo (shift+u)" });
    this.save = button("Save", () => bench.saver.save(), { title: "Write the corrected mask (s)", className: "primary" });
    this.reader = element("input", "reader");
    Object.assign(this.reader, { type: "text", maxLength: 100, placeholder: "Reader", value: localStorage.getItem(READER) ?? "" });
    this.reader.title = "Your name, saved with the review";
    this.reader.setAttribute("aria-label", "Reader, saved with the review");
    this.reader.addEventListener("change", () => localStorage.setItem(READER, this.reader.value.trim()));
    this.message = element("p", "hint");
    this.message.setAttribute("role", "status");
    const actions = element("div", "actions");
    this.total = element("span", "hint total");
    actions.append(this.total, this.undo, this.redo, this.reader, this.save);
    this.root.append(this.about, words, this.comment, actions, this.message);
  }

  // The same word again takes it back.
  say(label) {
    const { readings, selected } = this.bench;
    if (selected === null) return;
    readings.set(selected, readings.label(selected) === label ? null : label);
  }

  fill() {
    const { bench } = this;
    const { readings, selected, steps } = bench;
    const none = selected === null;
    const said = none ? null : readings.label(selected);
    this.about.textContent = none ? "Select a lesion to label it" : `Lesion ${selected} is`;
    for (const word of this.words) {
      word.disabled = none;
      word.setAttribute("aria-pressed", String(word.dataset.label === said));
    }
    this.comment.disabled = said === null;
    this.comment.value = none ? "" : readings.comment(selected);
    this.comment.hidden = said === null;
    this.undo.disabled = !steps.done.length;
    this.redo.disabled = !steps.undone.length;
    this.save.disabled = !bench.unsaved || bench.saver.busy;
    this.total.textContent = totals(bench);
  }

  note(text) {
    this.message.textContent = text;
  }

  // A message with choices: each a name and what it does.
  ask(text, choices) {
    this.message.replaceChildren(`${text} `, ...choices.map(([name, act]) => button(name, act)));
  }
}

function totals(bench) {
  const kept = bench.lesions.filter(({ id }) => !bench.readings.out(id));
  const total = kept.reduce((sum, lesion) => sum + lesion.volume_mm3, 0);
  const volume = bench.pixels ? `${Math.round(total)} px` : `${millilitres(total)} ml`;
  return bench.lesions.length ? `${kept.length} kept · ${volume} in all` : "";
}
