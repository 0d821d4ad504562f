// Lesions by scans: a row goes to its lesion, a cell to its lesion in that scan; sums and response categories below.

const HUES = [[255, 196, 0], [0, 214, 255], [255, 104, 158], [126, 230, 88], [186, 140, 255], [255, 138, 72]];
const hueOf = (id) => HUES[(id - 1) % HUES.length];

const SEEN = new Set(["first", "new", "growing", "stable", "shrinking", "returned", "uncertain", "partly imaged"]);

const STATE_NAMES = { first: "baseline", gone: "resolved" }; // as the page shows the states of the data

const dayName = (day, number) => (day === null ? `Scan ${number + 1}` : `Day ${day}`);
const millimetres = (mm) => mm.toFixed(1);

function changeText(share) {
  if (share === null || share === undefined) return "";
  const percent = Math.round(share * 100);
  return `${percent > 0 ? "+" : percent < 0 ? "−" : "±"}${Math.abs(percent)} %`;
}

class Course {
  constructor(board) {
    this.board = board;
    this.root = element("section", "course");
    const { followup } = board.data;
    const table = element("table");
    table.append(this.#head(followup), this.#body(followup), this.#foot(followup));
    const scroll = element("div", "scroll");
    scroll.append(table);
    const note = "Longest diameter in one acquired slice in mm, volume in ml; change from baseline. Nadir: the smallest so far. ★ target, counted in the sum.";
    this.root.append(element("h3", "", "Lesions"), scroll, element("p", "hint", note));
  }

  #head({ days }) {
    const head = element("thead");
    const row = element("tr");
    for (const name of ["Lesion", ...days.map(dayName)]) {
      const cell = element("th", "", name);
      cell.scope = "col";
      row.append(cell);
    }
    head.append(row);
    return head;
  }

  #body({ lesions }) {
    this.body = element("tbody");
    this.body.append(...lesions.map((lesion) => this.#row(lesion)));
    return this.body;
  }

  #row(lesion) {
    const { board } = this;
    const row = element("tr");
    row.tabIndex = 0;
    row.dataset.id = lesion.id;
    const name = element("th", "name");
    name.scope = "row";
    const dot = element("span", "dot");
    dot.style.background = `rgb(${hueOf(lesion.id).join(" ")})`;
    name.append(dot, element("span", "", String(lesion.id)));
    if (lesion.target) {
      const star = element("span", "target", "★");
      star.title = "Target: its diameter counts in the sum";
      name.append(star);
    }
    const lowest = nadirOf(lesion.sightings.map((one) => (SEEN.has(one.state) ? one.diameter_mm : null)));
    row.append(name, ...lesion.sightings.map((one, n) => sightingCell(one, { nadir: n === lowest })));
    row.addEventListener("click", () => board.goTo(lesion));
    row.addEventListener("keydown", (event) => {
      if (event.key === "Enter") board.goTo(lesion);
      if (event.key === "ArrowDown") row.nextElementSibling?.focus();
      if (event.key === "ArrowUp") row.previousElementSibling?.focus();
      if (event.key.startsWith("Arrow")) event.preventDefault();
    });
    return row;
  }

  #foot({ responses, lesions }) {
    const foot = element("tfoot");
    if (!lesions.some((lesion) => lesion.target)) return foot;
    const row = element("tr");
    row.append(element("th", "name", "Sum ★"));
    const lowest = nadirOf(responses.map(({ sum_mm }) => sum_mm));
    responses.map(withChanges).forEach(({ sum_mm, change_from_first }, n) => {
      const cell = element("td");
      cell.append(element("b", "", sum_mm === null ? "–" : millimetres(sum_mm)), element("span", "change", changeText(change_from_first)));
      if (n === lowest) cell.append(element("span", "badge nadir", "nadir"));
      row.append(cell);
    });
    foot.append(row);
    return foot;
  }

  mark() {
    this.board.lesionChart.show(this.board.selected);
    for (const row of this.body.rows) {
      const chosen = Number(row.dataset.id) === this.board.selected;
      row.classList.toggle("selected", chosen);
      if (chosen) row.setAttribute("aria-current", "true");
      else row.removeAttribute("aria-current");
    }
  }
}

// Shares of change, which the service leaves to whoever shows them.
function withChanges(one) {
  const now = "sum_mm" in one ? one.sum_mm : one.diameter_mm;
  const share = (then) => (now === null || !then ? null : now / then - 1);
  return { ...one, change_from_first: share(one.first_mm), change_from_smallest: share(one.smallest_mm) };
}

// Which scan has the smallest value; none where it is the first, or only one is known.
function nadirOf(values) {
  const known = values.filter((value) => value !== null);
  const at = values.indexOf(Math.min(...known));
  return known.length > 1 && at > values.findIndex((value) => value !== null) ? at : -1;
}

const millilitresOf = ({ volume_mm3 }) => (volume_mm3 / 1000).toFixed(volume_mm3 < 95 ? 3 : 2);

function sightingCell(sighting, { nadir = false } = {}) {
  const cell = element("td");
  const { state, diameter_mm, into, whole, parts } = sighting;
  const badge = element("span", `badge ${state.replace(" ", "-")}`, into ? `merged into ${into}` : STATE_NAMES[state] ?? state);
  cell.append(badge);
  if (!SEEN.has(state)) return cell;
  cell.append(element("b", "", millimetres(diameter_mm)), element("span", "volume", `${millilitresOf(sighting)} ml`));
  const { change_from_first } = withChanges(sighting);
  if (state !== "first" && state !== "new") cell.append(element("span", "change", changeText(change_from_first)));
  if (nadir) cell.append(element("span", "badge nadir", "nadir"));
  const notes = [`${millilitresOf(sighting)} ml`];
  if (parts.length > 1) notes.push(`${parts.length} parts, diameters added up to their extent`);
  if (!whole) notes.push("partly outside the imaged field");
  notes.push(...(sighting.notes ?? []));
  cell.title = notes.join(" · ");
  if (!whole || parts.length > 1) cell.append(element("span", "mark", whole ? `×${parts.length}` : "cut"));
  return cell;
}

// A card a scan: when, RANO-BM, why.
function responseCards({ days, responses, scans }) {
  const root = element("ol", "responses");
  responses.map(withChanges).forEach((one, number) => {
    const card = element("li");
    const top = element("div", "top");
    const category = one.category ?? "baseline";
    top.append(element("span", "day", dayName(days[number], number)), element("span", `badge rano ${category.replace(/\W/g, "")}`, category));
    card.append(top);
    const sum = one.sum_mm === null ? "sum unknown" : `sum ${millimetres(one.sum_mm)} mm`;
    const change = number ? [one.change_from_first, one.change_from_smallest].map(changeText) : [];
    const against = change[0] ? `${change[0]} from baseline, ${change[1]} from nadir` : "";
    card.append(element("p", "sum", sum), element("p", "hint", against));
    const reasons = [...one.reasons];
    if (one.confirmed === false) reasons.push("not yet confirmed by a scan four weeks later");
    if (one.confirmed) reasons.push("confirmed");
    card.append(element("p", "why", reasons.join("; ")));
    const { similarity, doubtful } = scans[number];
    if (similarity !== null) {
      card.append(element("p", doubtful ? "hint doubt" : "hint", `registered to the first scan: similarity ${similarity.toFixed(2)}${doubtful ? ", doubtful" : ""}`));
    }
    root.append(card);
  });
  return root;
}
