"""The process that writes a result in another format: `python -m brainmets.api.exporting`.

Its arguments are a job's folder, an `ExportName` and a limit on its memory in bytes, 0 for none;
its input holds the job's options as JSON. It writes `<folder>/exports/<name>`, whole or not at
all, or prints the problem that forbids it. Untrusted files are read here, never in the server.
"""

from __future__ import annotations

import os
import secrets
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, cast, get_args

from brainmets.api.child import explained, limit_memory
from brainmets.api.problems import problem_of
from brainmets.api.quiet import keep_quiet
from brainmets.api.reviews import latest_review
from brainmets.api.schemas import ExportName, JobOptions
from brainmets.api.segmenting import TITLE, input_path
from brainmets.api.staging import remove, sync
from brainmets.domain.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Callable

    from brainmets.workflows.export import ExportFormat

    Writer = Callable[[Path, ExportName, Path, JobOptions], Path]

__all__ = [
    "EXPORTS",
    "OF_DICOM",
    "TRAINING_CASE",
    "export_job",
    "main_series",
    "no_dicom",
    "no_place",
    "version_of",
]

EXPORTS = "exports"

FORMATS: dict[ExportName, ExportFormat] = {
    "mask.nii.gz": "nifti",
    "seg.dcm": "dicom-seg",
    "rtstruct.dcm": "rtstruct",
    "measurements.zip": "sr",
    "captures.zip": "captures",
    "fhir.json": "fhir",
    "scene.mrb": "slicer",
    "lesions.csv": "csv",
    "report.json": "json",
}
"""The workflow's name for each; report.pdf and training cases are workflows of their own. A zip
holds every file that it makes: a measurement report comes with the segmentation it refers to."""

TRAINING_CASE: ExportName = "training-case.zip"

OF_DICOM: frozenset[ExportName] = frozenset(
    {"seg.dcm", "rtstruct.dcm", "measurements.zip", "captures.zip"}
)
"""Formats that refer to the DICOM images they are about."""


def version_of(job_dir: Path) -> str:
    """Name what an export shows: the lesions found, or one saved review of them."""
    review = latest_review(job_dir)
    return "found" if review is None else review.name


def export_job(
    job_dir: Path, name: ExportName, options: JobOptions, write: Writer | None = None
) -> Path:
    """Write a job's result as `name`, with the reader's corrections where one has saved some.

    `write` makes the file somewhere under the folder it is given; by default as this module can.

    Raises:
        OptionError: the format needs another kind of input.
        BrainmetsError: as `workflows.export.export` and `workflows.report.write_report`.
    """
    while True:
        version = version_of(job_dir)
        folder = job_dir / EXPORTS / version
        draft = job_dir / EXPORTS / f"draft-{secrets.token_hex(4)}"
        draft.mkdir(parents=True)
        try:
            written = (write or _write)(job_dir, name, draft, options)
            if version_of(job_dir) != version:  # a review was saved meanwhile
                continue
            folder.mkdir(exist_ok=True)
            sync(written)
            written.replace(folder / name)
        finally:
            remove(draft)
        return folder / name


def _write(job_dir: Path, name: ExportName, draft: Path, options: JobOptions) -> Path:
    """Write the file somewhere under `draft`."""
    out, source = job_dir / "out", input_path(job_dir / "input")
    reviewed = latest_review(job_dir)
    series = main_series(source, options)
    if name == "report.pdf":
        from brainmets.workflows.report import ReportOptions, write_report

        return write_report(
            out,
            draft / name,
            ReportOptions(source=source, series=series, review=reviewed, label=_title(job_dir)),
        )
    if name == TRAINING_CASE:
        from brainmets.workflows.training_case import write_training_case

        return write_training_case(out, draft / name, source=source, series=series, review=reviewed)
    from brainmets.workflows.export import ExportOptions, export

    kind = FORMATS[name]
    if name in OF_DICOM:
        _need_dicom(source)
    chosen = ExportOptions(formats=(kind,), source=source, series=series, review=reviewed)
    written = export(out, draft / "made", chosen)
    for refusal in written.refused.values():
        raise refusal
    if not name.endswith(".zip"):
        return written.files[kind]
    with zipfile.ZipFile(draft / name, "w", zipfile.ZIP_DEFLATED) as packed:
        for path in sorted(one for one in (draft / "made").rglob("*") if one.is_file()):
            packed.write(path, path.name)
    return draft / name


def _title(job_dir: Path) -> str:
    """What the page calls the result; empty where nothing was noted."""
    path = job_dir / TITLE
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def main_series(source: Path, options: JobOptions) -> str | None:
    """Name the image among several: the series chosen, or the first sequence's file."""
    if source.is_dir() and len(options.sequences) > 1 and "t1c" in options.sequences:
        return f"line:{options.sequences.index('t1c') + 1}"
    return options.series


def _need_dicom(source: Path) -> None:
    from brainmets.io.dicom_source import holds_dicom

    if not holds_dicom(source):
        raise no_dicom()


def no_place() -> OptionError:
    """Say that a format needs to know where its voxels are in the patient."""
    return OptionError(
        "slice images, which do not say where they are in the patient",
        expected="a scan that does",
        remedy="take the PNG masks, the table or the PDF report",
    )


def no_dicom() -> OptionError:
    """Say that a DICOM object needs the DICOM images it is about."""
    return OptionError(
        "a job without DICOM images",
        expected="the DICOM series that the object is to refer to",
        remedy="upload that series instead; or, with its files at hand, run `brainmets export`"
        " on the downloaded result with --source",
    )


def main(write: Writer | None = None) -> None:
    """Write the export named on the command line, or print why not; see `export_job`."""
    job_dir, name, limit = Path(sys.argv[1]), sys.argv[2], sys.argv[3:]
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    keep_quiet()  # a chatty library must not answer either
    limit_memory(int(limit[0]) if limit else 0)
    if name not in get_args(ExportName):
        sys.exit(f"no such format: choose among {', '.join(get_args(ExportName))}")
    try:
        options = JobOptions.model_validate_json(sys.stdin.read() or "{}")
        export_job(job_dir, cast("ExportName", name), options, write)
    except Exception as error:  # noqa: BLE001 - the last line of defence: no traceback to users
        answers.write(problem_of(explained(error)).model_dump_json())
    answers.flush()


if __name__ == "__main__":
    main()
