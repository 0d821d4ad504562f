// Exports: each format is made by the service and saved by the browser.

const FORMATS = [
  ["report.pdf", "PDF report", "Pictures, table and provenance on paper"],
  ["mask.nii.gz", "Mask · NIfTI", "Lesion numbers on the input's own grid"],
  ["seg.dcm", "DICOM-SEG", "Segmentation object for a PACS or a DICOM viewer"],
  ["rtstruct.dcm", "RTSTRUCT", "Contours for radiotherapy planning"],
  ["measurements.zip", "DICOM-SR · zip", "Measurement report with its segmentation, for a PACS"],
  ["captures.zip", "DICOM pictures · zip", "Slices with outlines, for viewers that show no segmentation"],
  ["fhir.json", "FHIR · JSON", "DiagnosticReport and Observations, HL7 FHIR R4"],
  ["scene.mrb", "3D Slicer scene", "Scan and lesions with names and colours: open it in 3D Slicer"],
  ["viewer.html", "Viewer · HTML", "One file with this viewer inside, for colleagues: opens in any browser, asks nobody"],
  ["lesions.csv", "Table · CSV", "A row for each lesion"],
  ["report.json", "Report · JSON", "Every number with its provenance"],
  ["training-case.zip", "Training case · zip", "The scan and the reviewed mask, to train a network on"],
];
const NEEDS_REVIEW = "training-case.zip"; // offered once a review is saved, without a word before
const PICTURES = ["mask-reviewed.png", "mask.png"]; // of a single slice, the reader's own first
const REVOKE_MS = 60_000; // long enough for the browser to have taken it

class ExportPanel {
  constructor(bench) {
    this.bench = bench;
    this.root = element("section", "take");
    this.row = element("div", "formats");
    this.missing = element("div", "missing-formats");
    this.message = element("div");
    this.message.setAttribute("role", "status");
    this.root.append(element("h3", "", "Export"), this.row, this.missing, this.message);
    this.fill();
  }

  // Available formats as buttons, the others with the reason; a saved review may change both.
  fill() {
    const { bench } = this;
    const missing = new Map(); // labels by reason
    this.row.replaceChildren();
    for (const [name, label, title] of FORMATS) {
      const problem = bench.data.exports.find((one) => one.name === name)?.problem;
      if (!problem) this.#offer(label, title, name, () => `exports/${name}`);
      else if (name !== NEEDS_REVIEW) missing.set(problem.found, { problem, labels: [...(missing.get(problem.found)?.labels ?? []), label] });
    }
    this.missing.replaceChildren(...[...missing.values()].map(({ problem, labels }) =>
      element("p", "hint", `Not available: ${labels.join(", ")} (${problem.found}). Instead: ${problem.remedy}.`)));
    if (bench.data.files.some((name) => PICTURES.includes(name))) {
      this.#offer("Mask · PNG", "White where a lesion is", "mask.png",
        () => `files/${PICTURES.find((name) => bench.data.files.includes(name))}`);
    }
    if (bench.data.pacs
      && !bench.data.exports.find((one) => one.name === "measurements.zip")?.problem) {
      const send = button("Send to PACS", () => this.#send(send),
        { title: "Segmentation and measurement report, to where studies are opened from" });
      this.row.append(send);
    }
    this.#offer("Everything · zip", "All files of this result", "all.zip", () => "files/all.zip", "primary");
  }

  #offer(label, title, name, path, className = "") {
    const one = button(label, () => this.#take(one, path(), name), { title, className });
    this.row.append(one);
  }

  async #send(chosen) {
    chosen.disabled = true;
    try {
      await this.bench.service.send(`${this.bench.job}/pacs`, { method: "POST" });
      this.message.replaceChildren(element("p", "hint", "The PACS has the segmentation and the report."));
    } catch (error) {
      this.message.replaceChildren(problemBox(error));
    } finally {
      chosen.disabled = false;
    }
  }

  async #take(chosen, path, name) {
    chosen.disabled = true;
    chosen.setAttribute("aria-busy", "true");
    const { bench } = this;
    this.message.replaceChildren(element("p", "hint", bench.unsaved
      ? "Your unsaved review is not included: save it, then export again." : ""));
    try {
      const answer = await bench.service.send(`${bench.job}/${path}`);
      keep(await answer.blob(), `brainmets-${bench.data.job.slice(0, JOB_LETTERS)}-${name}`);
    } catch (error) {
      this.message.replaceChildren(problemBox(error));
      this.message.scrollIntoView({ block: "nearest" });
    } finally {
      chosen.disabled = false;
      chosen.removeAttribute("aria-busy");
    }
  }
}

function keep(blob, name) {
  const link = element("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), REVOKE_MS);
}
