// The lesion table: a row goes to its lesion, a box keeps it or leaves it out.

class LesionTable {
  constructor(bench) {
    this.bench = bench;
    this.root = element("section", "lesions");
    this.head = element("h3");
    this.body = element("tbody");
    this.none = element("p", "hint", "No voxel reached the threshold. Increase the sensitivity to see weaker candidates.");
    const table = element("table");
    table.append(this.#header(), this.body);
    this.scroll = element("div", "scroll");
    this.scroll.append(table);
    this.dispute = element("p", "hint");
    this.root.append(this.head, this.none, this.scroll, this.dispute);
  }

  fill() {
    const { bench } = this;
    const { lesions, data: { other } } = bench;
    this.head.textContent = lesions.length ? many(lesions.length, "lesion") : "No lesion found";
    this.partners = other ? overlaps(bench.scan.labels, bench.scan.others) : new Map();
    const focused = this.root.getRootNode().activeElement?.closest?.("tr")?.dataset.id;
    this.body.replaceChildren(...lesions.map((lesion) => this.#row(lesion)));
    if (focused) [...this.body.rows].find((row) => row.dataset.id === focused)?.focus({ preventScroll: true });
    if (other) this.#compared(other);
    this.scroll.hidden = !this.body.rows.length;
    this.none.hidden = Boolean(this.body.rows.length);
    this.mark();
  }

  #header() {
    const { bench } = this;
    const unit = bench.pixels ? "px" : "mm";
    const head = element("thead");
    const row = element("tr");
    const names = [
      ["#", "Number in the mask"],
      [bench.pixels ? "Area px" : "Volume ml", "Volume on the input's own grid"],
      [`Longest ${unit}`, "Longest diameter in one acquired slice, and the longest at right angles to it"],
      ["Where", "Side, and thirds of the head's own extent; the slice with the longest diameter"],
      ["Conf.", "Peak probability"],
      bench.data.other
        ? ["Other model", "Volume of what the other model marks there"]
        : ["Keep", "Whether it stays in the corrected mask"],
    ];
    for (const [text, title] of names) {
      const cell = element("th", "", text);
      cell.title = title;
      cell.scope = "col";
      row.append(cell);
    }
    head.append(row);
    return head;
  }

  #row(lesion) {
    const { bench } = this;
    const row = element("tr");
    row.tabIndex = 0;
    row.dataset.id = lesion.id;
    const number = element("td", "number");
    number.append(element("i", "dot"), String(lesion.id));
    row.append(number, ...this.#cells(lesion), bench.data.other ? this.#partner(lesion) : this.#keep(lesion));
    row.addEventListener("click", () => bench.goTo(lesion));
    row.addEventListener("keydown", (event) => {
      if (event.target !== row) return;
      const acts = {
        Enter: () => bench.goTo(lesion), ArrowDown: () => row.nextElementSibling?.focus(),
        ArrowUp: () => row.previousElementSibling?.focus(),
      };
      if (!acts[event.key]) return;
      event.preventDefault();
      acts[event.key]();
    });
    return row;
  }

  // Size, diameters, place and confidence: the same for whichever model found it.
  #cells(lesion) {
    const { bench } = this;
    const { preview } = lesion;
    const where = element("td", "where");
    const slice = preview ? "…" : `slice ${lesion.slice_index + 1}`;
    const words = bench.slices ? "" : placeWords(bench.scan, lesion);
    where.append(...(words ? [element("span", "", words), element("small", "", slice)] : [slice]));
    const confidence = element("td", "", percent(lesion.peak_probability));
    if (!preview) confidence.title = `peak ${percent(lesion.peak_probability)}, mean ${percent(lesion.mean_probability)}`;
    return [
      element("td", "", this.#size(lesion)),
      element("td", "", preview ? "…" : `${NUMBER.format(lesion.diameter_in_plane_mm)} × ${NUMBER.format(lesion.perpendicular_mm)}`),
      where, confidence,
    ];
  }

  #size(lesion) {
    return this.bench.pixels ? String(lesion.voxels) : millilitres(lesion.volume_mm3);
  }

  #keep({ id }) {
    const { bench } = this;
    const keep = element("input");
    keep.type = "checkbox";
    keep.setAttribute("aria-label", `Keep lesion ${id}`);
    keep.addEventListener("click", (event) => event.stopPropagation());
    keep.addEventListener("change", () => {
      const reading = keep.checked ? null : "not_a_lesion"; // selecting draws the box as it was
      bench.select(id);
      bench.readings.set(id, reading);
    });
    const cell = element("td");
    cell.append(keep);
    return cell;
  }

  #partner(lesion) {
    const met = this.partners.get(lesion.id) ?? new Set();
    const theirs = this.bench.data.other.lesions.filter((one) => met.has(wrap(one.id)));
    if (!theirs.length) return element("td", "missing", "not found");
    const sum = (key) => theirs.reduce((total, one) => total + one[key], 0);
    return element("td", "", this.#size({ voxels: sum("voxels"), volume_mm3: sum("volume_mm3") }));
  }

  // What only the other model found, so that nothing it says is missed; and how far they agree.
  #compared(other) {
    const { bench } = this;
    const met = new Set([...this.partners.values()].flatMap((ids) => [...ids]));
    const alone = other.lesions.filter((one) => !met.has(wrap(one.id)));
    for (const one of alone) {
      const row = element("tr", "other");
      row.tabIndex = 0;
      row.title = `Only ${other.model} marks this`;
      const [size, ...rest] = this.#cells(one);
      row.append(element("td", "", "–"), element("td", "missing", "not found"), ...rest, size);
      row.addEventListener("click", () => bench.goTo({ ...one, id: null }));
      this.body.append(row);
    }
    const both = bench.lesions.filter((one) => this.partners.has(one.id)).length;
    this.dispute.textContent = `${both} marked by both, ${bench.lesions.length - both} only by ${bench.data.model}, `
      + `${alone.length} only by ${other.model} · overlap of the masks (Dice) ${dice(bench.scan).toFixed(2)}`;
  }

  // Which row is selected, and what the reader has said: without making the rows anew.
  mark() {
    const { bench } = this;
    for (const row of this.body.rows) {
      if (!row.dataset.id) continue;
      const id = Number(row.dataset.id);
      const selected = id === bench.selected;
      const said = bench.readings.label(id);
      row.classList.toggle("selected", selected);
      row.classList.toggle("out", bench.readings.out(id));
      row.cells[0].title = said ? [LABELS[said].name, bench.readings.comment(id)].filter(Boolean).join(": ") : "";
      row.querySelector(".dot").style.background = `rgb(${bench.colourOf(id).join(" ")})`;
      const keep = row.querySelector("input");
      if (keep) keep.checked = !bench.readings.out(id);
      if (selected) row.setAttribute("aria-current", "true");
      else row.removeAttribute("aria-current");
      if (selected) this.#reveal(row);
    }
  }

  // Scrolls the table only, never the page.
  #reveal(row) {
    const { scroll } = this;
    const above = row.offsetTop - row.offsetHeight, below = row.offsetTop + row.offsetHeight;
    if (above < scroll.scrollTop) scroll.scrollTop = above;
    else if (below > scroll.scrollTop + scroll.clientHeight) scroll.scrollTop = below - scroll.clientHeight;
  }
}

// For each lesion of one mask, the ids that the other mask has in the same place; `where` says
// which voxels to look at.
function overlaps(mine, theirs, where = null) {
  const met = new Map();
  for (let n = 0; n < (where ?? mine).length; n++) {
    const at = where ? where[n] : n;
    if (!mine[at] || !theirs[at]) continue;
    if (!met.has(mine[at])) met.set(mine[at], new Set());
    met.get(mine[at]).add(theirs[at]);
  }
  return met;
}

function dice({ labels, others }) {
  let both = 0, either = 0;
  for (let at = 0; at < labels.length; at++) {
    either += (labels[at] > 0) + (others[at] > 0);
    if (labels[at] && others[at]) both++;
  }
  return either ? (2 * both) / either : 1;
}

// Side and structure where the service knows the anatomy; else the side, and thirds of the head.
function placeWords(scan, lesion) {
  if (lesion.place) return lesion.place;
  const voxel = scan.toVoxel(lesion.centroid_ras_mm);
  const third = (axis, low, high) => {
    const [first, last] = scan.box[axis];
    const share = (voxel[axis] - first) / (last - first || 1);
    return share < 1 / 3 ? low : share > 2 / 3 ? high : "";
  };
  const side = lesion.side === "unknown" ? "" : lesion.side;
  const place = [third(1, "posterior", "anterior"), third(2, "inferior", "superior")].filter(Boolean);
  return [side, ...(place.length ? place : ["central"])].filter(Boolean).join(" ");
}

const wrap = (id) => ((id - 1) % 255) + 1;
const many = (number, thing) => `${number} ${thing}${number === 1 ? "" : "s"}`;
const percent = (value) => `${Math.round(value * 100)} %`;
const millilitres = (mm3) => (mm3 / 1000).toFixed(mm3 < 9.5 ? 3 : mm3 < 995 ? 2 : 1);
