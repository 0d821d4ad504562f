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
    this.body.replaceChildren(...lesions.map((lesion) => this.#row(lesion)));
    const scroll = element("div", "scroll");
    scroll.append(table);
    this.root.replaceChildren(this.head, ...(lesions.length ? [scroll] : []), this.actions, this.message);
    this.mark();
  }

  #header(unit) {
    const head = element("thead");
    const row = element("tr");
    const names = [
      ["#", "Number in the mask"],
      [unit === "px" ? "Area px" : "Volume ml", "Volume on the input's own grid"],
      [`Longest ${unit}`, "Longest diameter in one acquired slice, and across it"],
      ["Where", "Side and slice"],
      ["Conf.", "Peak and mean probability"],
      ["Keep", "Accept or reject"],
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
    row.addEventListener("click", () => bench.goTo(lesion));
    row.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && event.target === row) bench.goTo(lesion);
      if (event.key === "ArrowDown") row.nextElementSibling?.focus();
      if (event.key === "ArrowUp") row.previousElementSibling?.focus();
      if (event.key.startsWith("Arrow")) event.preventDefault();
    });
    return row;
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
      const id = Number(row.dataset.id);
      row.classList.toggle("selected", id === bench.selected);
      row.classList.toggle("rejected", bench.rejected.has(id));
      if (id === bench.selected) row.setAttribute("aria-current", "true");
      else row.removeAttribute("aria-current");
    }
    const kept = bench.lesions.filter((lesion) => !bench.rejected.has(lesion.id));
    const total = kept.reduce((sum, lesion) => sum + lesion.volume_mm3, 0);
    const pixels = bench.slices && bench.data.pixels;
    this.foot.textContent = bench.lesions.length
      ? `${kept.length} kept · ${pixels ? `${Math.round(total)} px` : `${volume(total)} ml`} in all`
      : "Nothing reached the threshold. Move the sensitivity to look further.";
  }
}

const percent = (value) => `${Math.round(value * 100)} %`;
const volume = (mm3) => (mm3 / 1000).toFixed(mm3 < 995 ? 2 : 1);
