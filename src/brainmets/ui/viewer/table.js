// The lesion table: a row goes to its lesion, a box rejects it.

const NUMBER = new Intl.NumberFormat("en", { maximumFractionDigits: 1, minimumFractionDigits: 1 });

class LesionTable {
  constructor(bench) {
    this.bench = bench;
    this.root = element("section", "lesions");
    this.head = element("h3");
    this.body = element("tbody");
    this.foot = element("p", "hint");
    this.button = element("button", "", "Save the kept lesions");
    this.button.type = "button";
    this.button.addEventListener("click", () => bench.save());
    this.message = element("p", "hint");
    this.message.setAttribute("role", "status");
    this.actions = element("div", "actions");
    this.actions.append(this.foot, this.button);
  }

  fill() {
    const { bench } = this;
    const lesions = bench.lesions;
    const many = lesions.length === 1 ? "1 lesion" : `${lesions.length || "No"} lesions`;
    this.head.textContent = lesions.length ? many : "No lesion found";
    const unit = bench.slices && bench.data.pixels ? "px" : "mm";
    const table = element("table");
    table.append(this.#header(unit), this.body);
    const { other } = bench.data;
    this.partners = other ? overlaps(bench.scan.labels, bench.scan.others) : new Map();
    this.body.replaceChildren(...lesions.map((lesion) => this.#row(lesion)));
    if (other) this.#othersAlone(other);
    const scroll = element("div", "scroll");
    scroll.append(table);
    this.root.replaceChildren(this.head, ...(lesions.length ? [scroll] : []), this.actions, this.message);
    this.mark();
  }

  #header(unit) {
    const { bench } = this;
    const head = element("thead");
    const row = element("tr");
    const names = [
      ["#", "Number in the mask"],
      [unit === "px" ? "Area px" : "Volume ml", "Volume on the input's own grid"],
      [`Longest ${unit}`, "Longest diameter in one acquired slice, and across it"],
      ["Where", "Side and slice"],
      ["Conf.", "Peak and mean probability"],
      bench.data.other
        ? ["Other model", "Volume of what the other model marks there"]
        : ["Keep", "Accept or reject"],
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
    const pixels = bench.slices && bench.data.pixels;
    const where = bench.slices
      ? `slice ${lesion.slice_index + 1}`
      : `${lesion.side === "unknown" ? "" : lesion.side + ", "}slice ${lesion.slice_index + 1}`;
    const cells = [
      String(lesion.id),
      pixels ? String(lesion.voxels) : volume(lesion.volume_mm3),
      `${NUMBER.format(lesion.diameter_in_plane_mm)} × ${NUMBER.format(lesion.perpendicular_mm)}`,
      where,
      `${Math.round(lesion.peak_probability * 100)} %`,
    ];
    row.append(...cells.map((text) => element("td", "", text)));
    row.cells[4].title = `peak ${percent(lesion.peak_probability)}, mean ${percent(lesion.mean_probability)}`;
    if (bench.data.other) {
      const met = this.partners.get(lesion.id) ?? [];
      const theirs = bench.data.other.lesions.filter((one) => met.includes(((one.id - 1) % 255) + 1));
      const total = theirs.reduce((sum, one) => sum + one.volume_mm3, 0);
      row.append(element("td", theirs.length ? "" : "missing", theirs.length ? `${pixels ? total : volume(total)}` : "not found"));
      return this.#listen(row, lesion);
    }
    const keep = element("input");
    keep.type = "checkbox";
    keep.checked = !bench.rejected.has(lesion.id);
    keep.setAttribute("aria-label", `Keep lesion ${lesion.id}`);
    keep.addEventListener("click", (event) => event.stopPropagation());
    keep.addEventListener("change", () => {
      bench.rejected[keep.checked ? "delete" : "add"](lesion.id);
      this.note("");
      this.mark();
      bench.draw();
    });
    const cell = element("td");
    cell.append(keep);
    row.append(cell);
    return this.#listen(row, lesion);
  }

  #listen(row, lesion) {
    const { bench } = this;
    row.addEventListener("click", () => bench.goTo(lesion));
    row.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && event.target === row) bench.goTo(lesion);
      if (event.key === "ArrowDown") row.nextElementSibling?.focus();
      if (event.key === "ArrowUp") row.previousElementSibling?.focus();
      if (event.key.startsWith("Arrow")) event.preventDefault();
    });
    return row;
  }

  // What only the other model found, so that nothing it says is missed.
  #othersAlone(other) {
    const { bench } = this;
    const met = new Set([...this.partners.values()].flat());
    const alone = other.lesions.filter((one) => !met.has(((one.id - 1) % 255) + 1));
    for (const one of alone) {
      const row = element("tr", "other");
      row.tabIndex = 0;
      row.title = `Only ${other.model} marks this`;
      const size = bench.data.pixels ? String(one.voxels) : volume(one.volume_mm3);
      row.append(
        element("td", "", "–"),
        element("td", "missing", "not found"),
        element("td", "", `${NUMBER.format(one.diameter_in_plane_mm)} × ${NUMBER.format(one.perpendicular_mm)}`),
        element("td", "", `${one.side === "unknown" ? "" : one.side + ", "}slice ${one.slice_index + 1}`),
        element("td", "", percent(one.peak_probability)),
        element("td", "", size),
      );
      row.addEventListener("click", () => bench.goTo({ ...one, id: null }));
      this.body.append(row);
    }
  }

  note(text) {
    this.message.textContent = text;
  }

  saving(busy) {
    this.button.disabled = busy;
  }

  mark() {
    const { bench } = this;
    for (const row of this.body.rows) {
      if (!row.dataset.id) continue;
      const id = Number(row.dataset.id);
      row.classList.toggle("selected", id === bench.selected);
      row.classList.toggle("rejected", bench.rejected.has(id));
      if (id === bench.selected) row.setAttribute("aria-current", "true");
      else row.removeAttribute("aria-current");
    }
    const kept = bench.lesions.filter((lesion) => !bench.rejected.has(lesion.id));
    const total = kept.reduce((sum, lesion) => sum + lesion.volume_mm3, 0);
    const pixels = bench.slices && bench.data.pixels;
    this.button.hidden = Boolean(bench.data.other) || !bench.lesions.length;
    this.foot.textContent = bench.lesions.length
      ? `${kept.length} ${bench.data.other ? "marked" : "kept"} · ${pixels ? `${Math.round(total)} px` : `${volume(total)} ml`} in all`
      : "Nothing reached the threshold. Move the sensitivity to look further.";
  }
}

// For each lesion of one mask, the ids that the other mask has in the same place.
function overlaps(mine, theirs) {
  const met = new Map();
  for (let at = 0; at < mine.length; at++) {
    if (!mine[at] || !theirs[at]) continue;
    if (!met.has(mine[at])) met.set(mine[at], []);
    const list = met.get(mine[at]);
    if (!list.includes(theirs[at])) list.push(theirs[at]);
  }
  return met;
}

const percent = (value) => `${Math.round(value * 100)} %`;
const volume = (mm3) => (mm3 / 1000).toFixed(mm3 < 995 ? 2 : 1);
