// Past results: find one, open it, delete it.

const SEARCH_AFTER_MS = 250;
const LOOK_AGAIN_MS = 2000; // while something is still at work
const AT_ONCE = 100;
const STATES = {
  queued: "waiting", running: "at work", needs_choice: "asks which series",
  done: "", failed: "failed", cancelled: "cancelled",
};

class ResultsList {
  constructor(root, data, hooks) {
    Object.assign(this, { root, hooks });
    this.service = new Service(data);
    this.limit = AT_ONCE;
    this.search = element("input");
    Object.assign(this.search, { type: "search", placeholder: "Search by file name" });
    this.search.setAttribute("aria-label", "Search by file name");
    this.search.addEventListener("input", () => {
      clearTimeout(this.typing);
      this.typing = setTimeout(() => this.look(), SEARCH_AFTER_MS);
    });
    this.count = element("span", "hint");
    this.count.setAttribute("role", "status");
    const bar = element("div", "bar");
    bar.append(this.search, this.count);
    this.message = element("div");
    this.list = element("div");
    this.root.replaceChildren(bar, this.message, this.list);
    this.look();
  }

  async look() {
    clearTimeout(this.waiting);
    const text = this.search.value.trim();
    const query = new URLSearchParams({ limit: this.limit, ...(text && { text }) });
    let found;
    try {
      found = await this.service.ask(`/v1/jobs?${query}`);
    } catch (error) {
      this.message.replaceChildren(problemBox(error));
      return;
    }
    if (this.closed || text !== this.search.value.trim()) return;
    this.message.replaceChildren();
    this.#fill(found.jobs, text, found.more);
    this.root.dataset.ready = "yes";
    if (found.jobs.some(({ state }) => state === "queued" || state === "running")) {
      this.waiting = setTimeout(() => this.look(), LOOK_AGAIN_MS);
    }
  }

  #fill(jobs, text, more) {
    const many = jobs.length === 1 ? "1 examination" : `${jobs.length} examinations`;
    this.count.textContent = jobs.length ? many + (more ? " shown" : "") : "";
    this.search.hidden = !jobs.length && !text;
    if (!jobs.length) {
      this.list.replaceChildren(text ? element("p", "hint none", `No file name has “${text}” in it.`) : this.#empty());
      return;
    }
    const table = element("table");
    const head = element("thead"), row = element("tr"), body = element("tbody");
    for (const name of ["Scan", "Lesions", "Model", "When", ""]) {
      const cell = element("th", "", name);
      cell.scope = "col";
      row.append(cell);
    }
    head.append(row);
    body.append(...jobs.map((job) => this.#row(job)));
    table.append(head, body);
    this.list.replaceChildren(table, ...(more ? [button("Older ones", () => {
      this.limit = Math.min(1000, this.limit + AT_ONCE);
      this.look();
    })] : []));
  }

  #empty() {
    const panel = element("div", "panel empty");
    panel.append(
      element("p", "lead", "No results yet"),
      element("p", "hint", "Every scan that you segment is kept on this computer until you delete it."),
      button("Segment a scan", () => this.hooks.start(), { className: "primary" }));
    return panel;
  }

  #row(job) {
    const row = element("tr");
    row.dataset.job = job.id;
    const name = element("td", "name");
    const link = element("a", "", job.label);
    link.href = `./?job=${job.id}`;
    link.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return; // a tab of its own
      event.preventDefault();
      this.hooks.open(job.id);
    });
    name.append(link);
    const state = STATES[job.state];
    if (state) name.append(element("small", job.state, job.problem ? `${state}: ${job.problem.code}` : state));
    const follows = job.options?.followup; // several scans: no one model, no one count
    const lesions = job.state === "done" && !follows ? String(job.lesions ?? job.result?.lesions.length ?? "–") : "–";
    row.append(name, element("td", "lesions", lesions), element("td", "model", follows ? "follow-up" : job.model || job.options?.model || "–"),
      element("td", "when", moment(job.created)), this.#actions(job, row));
    return row;
  }

  #actions(job, row) {
    const cell = element("td", "acts");
    const ask = () => {
      const keep = button("Keep", () => cell.replaceChildren(erase));
      cell.replaceChildren(element("span", "hint", "Images and results too?"),
        button("Delete", () => this.#delete(job, row), { className: "danger" }), keep);
      keep.focus();
    };
    const erase = button("Delete…", ask, { title: `Delete ${job.label}` });
    cell.append(erase);
    return cell;
  }

  async #delete(job, row) {
    try {
      await this.service.send(`/v1/jobs/${job.id}`, { method: "DELETE" });
      row.remove();
      this.look();
    } catch (error) {
      this.message.replaceChildren(problemBox(error));
    }
  }

  close() {
    this.closed = true;
    clearTimeout(this.typing);
    clearTimeout(this.waiting);
  }
}

// A moment as the reader's own clock says it; today without the date.
function moment(seconds) {
  const date = new Date(seconds * 1000);
  const today = date.toDateString() === new Date().toDateString();
  const time = date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hour12: false });
  return today ? `today, ${time}` : `${date.toLocaleDateString("sv")}, ${time}`;
}
