// Giving images: drop them, see what they hold, confirm, start.

const ACCEPTED = ".nii,.gz,.nrrd,.mha,.mgh,.mgz,.zip,.dcm,.ima,.png,.jpg,.jpeg,.tif,.tiff,application/dicom,application/zip";

const NOTHING = "-"; // what the page hears when no upload waits any more

class Intake {
  constructor(root, hooks) {
    this.root = root;
    this.hooks = hooks;
    this.over = (event) => this.#over(event);
    this.drop = (event) => this.#drop(event);
    this.paste = (event) => {
      if (event.clipboardData?.files.length) this.send(shown(event.clipboardData.files));
    };
    window.addEventListener("dragover", this.over);
    window.addEventListener("dragleave", this.over);
    window.addEventListener("drop", this.drop);
    window.addEventListener("paste", this.paste);
  }

  close() {
    window.removeEventListener("dragover", this.over);
    window.removeEventListener("dragleave", this.over);
    window.removeEventListener("drop", this.drop);
    window.removeEventListener("paste", this.paste);
    this.stop?.abort();
  }

  open(data) {
    this.data = data;
    this.service = new Service(data);
    if (data.upload) this.look(data.upload);
    else this.#ask();
  }

  // The empty page: a place to drop, two buttons for those who do not drag.
  #ask(problem = null) {
    this.step = "ask";
    const zone = element("div", "zone");
    const files = this.#picker({ multiple: true, accept: ACCEPTED });
    const folder = this.#picker({ webkitdirectory: true });
    const choices = element("div", "choices");
    choices.append(
      button("Choose files", () => files.click(), { className: "primary" }),
      button("Choose a folder", () => folder.click()),
    );
    zone.append(
      element("p", "lead", "Drop a scan here"),
      element("p", "hint", "NIfTI · a DICOM folder or zip · PNG, JPEG or TIFF slices. It stays on this machine."),
      choices, files, folder,
    );
    if (this.data.pacs) zone.append(this.#pacs());
    zone.addEventListener("click", (event) => event.target === zone && files.click());
    this.root.replaceChildren(...(problem ? [problemBox(problem)] : []), zone);
    this.zone = zone;
    this.root.dataset.step = "ask";
  }

  #picker(properties) {
    const input = element("input");
    Object.assign(input, { type: "file", hidden: true }, properties);
    if (properties.webkitdirectory) input.setAttribute("data-folder", "");
    input.addEventListener("change", () => this.send(shown(input.files)));
    return input;
  }

  // A study of the PACS by its UID: it becomes an upload like any other.
  #pacs() {
    const form = element("form", "pacs");
    const uid = element("input");
    Object.assign(uid, { required: true, maxLength: 64, pattern: "[0-9.]+", placeholder: "Study Instance UID" });
    uid.setAttribute("aria-label", "Study Instance UID");
    const open = element("button", "", "Open from PACS");
    open.type = "submit";
    form.append(uid, open);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.fetchStudy(uid.value.trim());
    });
    return form;
  }

  async fetchStudy(uid) {
    this.step = "send";
    this.root.dataset.step = "send";
    this.stop = new AbortController();
    const panel = element("div", "panel");
    panel.append(element("p", "lead", "Fetching the study from the PACS…"), element("progress"),
      button("Cancel", () => this.stop.abort()));
    this.root.replaceChildren(panel);
    try {
      const upload = await this.service.ask("/v1/pacs/uploads",
        { method: "POST", json: { study_uid: uid }, signal: this.stop.signal });
      this.hooks.uploaded(upload.id);
      await this.look(upload.id);
    } catch (error) {
      this.#failed(error);
    }
  }

  #over(event) {
    if (![...(event.dataTransfer?.types ?? [])].includes("Files")) return;
    event.preventDefault();
    this.zone?.classList.toggle("over", event.type === "dragover");
  }

  async #drop(event) {
    if (!event.dataTransfer?.items.length) return;
    event.preventDefault();
    this.zone?.classList.remove("over");
    this.send(await filesOfDrop(event.dataTransfer));
  }

  async send(files) {
    if (!files.length || this.step === "send") return;
    const { max_files: most } = this.data;
    if (files.length > most) {
      this.#ask({ code: "E_REQUEST", found: `${files.length} files`, expected: `at most ${most}`,
        remedy: "give one scan at a time, or a zip of it" });
      return;
    }
    this.step = "send";
    const total = files.reduce((sum, file) => sum + file.size, 0);
    this.stop = new AbortController();
    const began = performance.now();
    const bar = element("progress");
    bar.max = 1;
    bar.value = 0;
    bar.setAttribute("aria-label", "Upload");
    const text = element("p", "hint", `0 of ${bytesText(total)}`);
    text.setAttribute("role", "status");
    const panel = element("div", "panel");
    panel.append(element("p", "lead", summary(files)), bar, text,
      button("Cancel", () => this.stop.abort()));
    this.root.replaceChildren(panel);
    this.root.dataset.step = "send";
    const progress = (sent, all) => {
      bar.value = all ? sent / all : 0;
      const left = ((performance.now() - began) / 1000) * (all / Math.max(sent, 1) - 1);
      text.textContent = sent < all
        ? `${bytesText(sent)} of ${bytesText(all)}${left > 2 ? `, ${secondsText(left)} left` : ""}`
        : "Arrived; being written to disk…";
    };
    try {
      const upload = await this.service.upload("/v1/uploads", files, progress, this.stop.signal);
      this.hooks.uploaded(upload.id);
      await this.look(upload.id);
    } catch (error) {
      this.#failed(error);
    }
  }

  async look(id) {
    this.step = "look";
    this.uploadId = id;
    this.root.dataset.step = "look";
    const panel = element("div", "panel");
    panel.append(element("p", "lead", "Reading the content…"), element("progress"));
    this.root.replaceChildren(panel);
    try {
      const view = await this.service.ask(`/v1/uploads/${id}`);
      const { inspection } = view;
      if (inspection.problem) {
        this.hooks.uploaded(NOTHING);
        this.#ask(inspection.problem);
        return;
      }
      this.step = "confirm";
      this.root.replaceChildren(new Confirmation(this, view).root);
      this.root.dataset.step = "confirm";
    } catch (error) {
      this.hooks.uploaded(NOTHING);
      this.#failed(error);
    }
  }

  async start(choice) {
    const job = await this.service.ask(`/v1/uploads/${this.uploadId}/job`, { method: "POST", json: choice });
    this.hooks.started(job.id);
  }

  async again() {
    this.service.send(`/v1/uploads/${this.uploadId}`, { method: "DELETE" }).catch(() => {});
    this.hooks.uploaded(NOTHING);
    this.#ask();
  }

  #failed(error) {
    if (error.name === "AbortError") {
      this.#ask();
      return;
    }
    this.#ask(error instanceof Refusal ? error : { code: "E_SERVICE", found: String(error.message) });
    if (error.code === "E_SERVICE") this.hooks.unreachable();
  }
}
