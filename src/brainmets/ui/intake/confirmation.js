// What an upload holds, which image is which, and with which model: confirmed before it starts.

const MEMORY_NOTE = "Time and memory are expected values for this machine";

class Confirmation {
  constructor(intake, view) {
    this.intake = intake;
    this.view = view;
    this.images = view.inspection.images;
    this.image = this.images.find((one) => one.likely && !one.problem)
      ?? this.images.find((one) => !one.problem) ?? this.images[0];
    this.sequences = Object.fromEntries(
      this.images.filter((one) => one.kind === "volume").map((one) => [one.index, one.guess]));
    this.root = element("div", "confirm");
    this.cards = element("div", "cards");
    this.cards.setAttribute("role", "radiogroup");
    this.cards.setAttribute("aria-label", "Image to segment");
    this.side = element("div", "plan");
    const head = element("div", "head");
    const many = this.images.length;
    head.append(
      element("p", "lead", many === 1 ? "One image" : `${many} images: which one to segment?`),
      element("span", "hint", `${view.label} · ${bytesText(view.size)}`));
    const found = element("section", "found");
    found.append(head, this.cards);
    this.root.append(found, this.side);
    this.cards.append(...this.images.map((image) => this.#card(image)));
    this.#choose(this.image);
  }

  #card(image) {
    const card = element("label", "card");
    card.dataset.index = image.index;
    const radio = element("input");
    Object.assign(radio, { type: "radio", name: "image", disabled: Boolean(image.problem) });
    radio.checked = image === this.image;
    radio.addEventListener("change", () => this.#choose(image));
    const picture = element("span", "picture");
    if (image.thumbnail) this.#picture(image, picture);
    const about = element("span", "about");
    const title = [image.number === null ? "" : `Series ${image.number}`, image.name].filter(Boolean).join(" · ");
    about.append(element("strong", "", title || image.description));
    about.append(element("span", "", sizeText(image)));
    if (image.kind === "volume" && !image.problem) about.append(this.#sequence(image));
    for (const note of image.notes) about.append(element("span", "hint", note));
    if (image.problem) about.append(problemBox(image.problem));
    card.append(radio, picture, about);
    return card;
  }

  async #picture(image, place) {
    const address = await this.intake.service
      .picture(`/v1/uploads/${this.view.id}/thumbnails/${image.index}`).catch(() => null);
    if (!address) return;
    const picture = element("img");
    picture.src = address;
    picture.alt = "Middle slice";
    picture.addEventListener("load", () => URL.revokeObjectURL(address), { once: true });
    place.append(picture);
  }

  // Guessed from names and headers, never certain: the reader has the last word.
  #sequence(image) {
    const row = element("span", "sequence");
    const select = element("select");
    select.setAttribute("aria-label", `Sequence of image ${image.index}`);
    select.append(new Option(image.guess ? "not sure" : "not known: please say", ""));
    for (const [code, name] of Object.entries(SEQUENCE_NAMES)) select.append(new Option(name, code));
    select.value = image.guess ?? "";
    const witness = element("span", "hint", image.guess ? "guessed" : "");
    select.addEventListener("change", () => {
      this.sequences[image.index] = select.value || null;
      witness.textContent = select.value ? "confirmed" : "";
      this.#fill();
    });
    row.append(select, witness);
    return row;
  }

  #choose(image) {
    this.image = image;
    for (const card of this.cards.children) {
      card.classList.toggle("chosen", Number(card.dataset.index) === image.index);
    }
    const fitting = image.estimates.filter((one) => !one.problem).map((one) => one.model);
    const preferred = image.kind === "slices"
      ? fitting.find((name) => this.#dims(name) === 2) : this.view.inspection.default_model;
    this.model = fitting.includes(this.model) ? this.model
      : fitting.includes(preferred) ? preferred : fitting[0] ?? null;
    this.#fill();
  }

  #fill() {
    const start = button("Segment", () => this.#start(), { className: "primary wide" });
    start.disabled = !this.model || Boolean(this.image.problem);
    this.message = element("div");
    const models = element("fieldset", "models");
    models.append(element("legend", "", "Model"));
    const slices = this.image.kind === "slices"; // first what is made for this kind of image
    const ranked = [...this.image.estimates].sort((a, b) => (this.#dims(b.model) - this.#dims(a.model)) * (slices ? -1 : 1));
    for (const one of ranked) models.append(this.#model(one));
    if (!this.image.estimates.length) {
      models.append(element("p", "hint", this.image.problem
        ? "This image cannot be segmented." : "Not read yet: no time estimate."));
    }
    this.side.replaceChildren(
      models, ...this.#warnings(), this.message, start,
      button("Other images", () => this.intake.again(), { className: "wide" }));
  }

  #model(one) {
    const row = element("label", one.problem ? "model off" : "model");
    const radio = element("input");
    Object.assign(radio, { type: "radio", name: "model", value: one.model, disabled: Boolean(one.problem) });
    radio.checked = one.model === this.model;
    radio.addEventListener("change", () => {
      this.model = one.model;
      this.#fill();
      this.side.querySelector("input:checked")?.focus();
    });
    const card = this.intake.data.models.find((model) => model.name === one.model);
    const about = element("span", "about");
    const title = element("strong", "", one.model);
    if (card?.dims === 2 && this.image.kind === "volume") title.append(element("em", "caution", "2-D, for single slices"));
    about.append(title, element("span", "hint", card?.quality || "Nothing measured is stated in its card."));
    about.append(element("span", one.problem ? "hint" : "cost", one.problem
      ? `${one.problem.code}: needs ${one.problem.expected}` : costText(one)));
    about.lastChild.title = MEMORY_NOTE;
    row.append(radio, about);
    return row;
  }

  #dims(model) {
    return this.intake.data.models.find(({ name }) => name === model)?.dims ?? 3;
  }

  #warnings() {
    const said = this.sequences[this.image.index];
    const needed = this.intake.data.models.find((model) => model.name === this.model)?.sequences ?? ["t1c"];
    const notes = [];
    if (this.image.kind === "volume" && this.model && this.#dims(this.model) === 2) {
      notes.push(`${this.model} looks at each slice by itself and was measured on single slices, not on whole heads: expect marks on vessels, sinuses and dura. Choose a 3-D model for a volume.`);
    }
    if (this.image.kind === "volume" && needed.length === 1 && said && said !== needed[0]) {
      notes.push(`${this.model} was trained on ${SEQUENCE_NAMES[needed[0]]}: on ${SEQUENCE_NAMES[said]} expect misses and false positives.`);
    }
    if (this.images.length > 1 && needed.length === 1) {
      notes.push(`This model looks at one image; the other ${this.images.length - 1} will not be used.`);
    }
    const one = this.image.estimates.find((cost) => cost.model === this.model);
    if (one && one.bytes > this.intake.data.free_bytes) {
      notes.push(`Needs about ${bytesText(one.bytes)} of memory; ${bytesText(this.intake.data.free_bytes)} are free now.`);
    }
    return notes.map((note) => element("p", "note", note));
  }

  async #start() {
    const sequences = Object.fromEntries(Object.entries(this.sequences).filter(([, name]) => name));
    this.side.querySelector("button.primary").disabled = true;
    try {
      await this.intake.start({ image: this.image.index, model: this.model, sequences });
    } catch (error) {
      this.message.replaceChildren(problemBox(error));
      this.side.querySelector("button.primary").disabled = false;
    }
  }
}

function sizeText(image) {
  const voxels = image.shape.join(" × ");
  if (image.kind === "slices") return `${image.slices === 1 ? "one slice" : `${image.slices} slices`}, ${voxels} px`;
  const spacing = image.spacing_mm?.map((mm) => Number(mm.toPrecision(3))).join(" × ");
  return [`${image.slices} slices`, voxels, spacing && `${spacing} mm`].filter(Boolean).join(" · ");
}

function costText(one) {
  const rests = one.jobs === 0 ? "a guess: nothing was timed here yet"
    : `timed on this machine in ${one.jobs === 1 ? "1 job" : `${one.jobs} jobs`}`;
  return `about ${secondsText(one.seconds)} · ${bytesText(one.bytes)} of memory · ${rests}`;
}
