"""What a job's child process does: segment the upload, then prepare what the page shows."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

from brainmets.api.display import save_view
from brainmets.api.schemas import CostView, JobResult, ProvenanceView
from brainmets.api.speed import expect, expected, record
from brainmets.api.staging import sync
from brainmets.domain.errors import InputError
from brainmets.inference.machine import forget_peak_memory, peak_memory

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from brainmets.api.schemas import JobOptions
    from brainmets.domain import Progress, Report, Sequence
    from brainmets.io.dicom_acquisition import ShownPatient
    from brainmets.workflows.segment import Segmenter

__all__ = ["TITLE", "Runner", "Segmented", "input_path", "run_job", "segment"]

TITLE = "title.txt"


class Segmented(Protocol):
    """What a runner returns: `brainmets.workflows.segment.SegmentResult` or alike."""

    @property
    def report(self) -> Report:
        """The prediction and the case it is about."""
        ...

    @property
    def timings(self) -> Mapping[str, float]:
        """Seconds by stage."""
        ...


class Runner(Protocol):
    """Segments the upload in `folder` into `out`, which written completely or not at all."""

    def __call__(
        self, folder: Path, out: Path, options: JobOptions, progress: Progress, /
    ) -> Segmented:
        """Do it."""
        ...


def input_path(folder: Path) -> Path:
    """Return what to read: the only file of an upload, or the folder of several."""
    files = sorted(folder.iterdir())
    return files[0] if len(files) == 1 else folder


def run_job(
    job_dir: Path,
    options: JobOptions,
    runner: Runner,
    progress: Progress,
    state_dir: Path | None = None,
    *,
    patient: ShownPatient = "none",
) -> JobResult:
    """Segment the input of an attempt and write `out` and `view` into its folder.

    With `state_dir` the time it took counts for later estimates. `patient` is what the title of
    a DICOM upload may hold of the patient.
    """
    if options.followup is not None:
        from brainmets.api.followup import run_followup

        return run_followup(job_dir, options.followup, progress)
    out, view = job_dir / "out", job_dir / "view"
    forget_peak_memory()
    started = time.perf_counter()
    segmented = runner(job_dir / "input", out, options, progress)
    report = segmented.report
    title = _title(job_dir, report, options, patient)
    (job_dir / TITLE).write_text(title, encoding="utf-8")  # for what is exported
    view.mkdir()
    meta = save_view(report, view)
    for path in (*out.rglob("*"), out, *view.iterdir(), view, job_dir):
        sync(path)  # the job list must not outlive its results in a power cut
    cost = CostView(
        seconds=round(time.perf_counter() - started, 2),
        peak_bytes=peak_memory(),
        **expected(job_dir),
    )
    if state_dir is not None:
        _note_guess(job_dir, report)
        record(job_dir, state_dir, cost.seconds)
    provenance = report.prediction.provenance
    settings = {k: v for k, v in provenance.settings.items() if _finite(v)}
    return JobResult(
        kind=report.case.kind,
        format=report.case.source.format,
        title=title,
        lesions=report.prediction.lesions,
        warnings=report.warnings,
        provenance=ProvenanceView.model_validate(
            replace(provenance, settings=settings), from_attributes=True
        ),
        view=meta,
        cost=cost,
        timings={name: round(seconds, 3) for name, seconds in segmented.timings.items()},
        operating_point={
            name: float(settings[name])
            for name in ("threshold", "peak", "min_volume_mm3")
            if isinstance(settings.get(name), (int, float))
        },
        notice=report.notice,
    )


def segment(folder: Path, out: Path, options: JobOptions, progress: Progress) -> Segmented:
    """Segment the upload in `folder` by the workflow that the command line uses.

    Networks stay compiled from one job to the next, unless a model was replaced meanwhile.
    """
    from brainmets.inference import bundle_file_states
    from brainmets.workflows.segment import SegmentOptions

    files = sorted(folder.iterdir())
    images = None
    if len(files) > 1 and len(options.sequences) == len(files):
        images = _needed(dict(zip(options.sequences, files, strict=True)), options.model)
    segmenter = _warm_segmenter(bundle_file_states())
    segmenter.options = SegmentOptions(
        model=options.model,
        threshold=options.threshold,
        series=options.series,
        images=images,
        probability=True,
        force=True,  # the page shows what would be refused as a warning with the result
    )
    return segmenter.run(input_path(folder), out, progress)


def _needed(images: dict[Sequence, Path], model: str | None) -> dict[Sequence, Path]:
    """Leave out what the network was not trained on: it may be on any grid, to be shown only."""
    from brainmets.inference import Bundle
    from brainmets.workflows.inspection import default_model

    name = model or default_model("volume")
    needed: tuple[Sequence, ...] = () if name is None else Bundle.load(name).plan.sequences
    kept: dict[Sequence, Path] = {one: images[one] for one in needed if one in images}
    return kept if len(kept) == len(needed) > 0 else images


@lru_cache(maxsize=1)
def _warm_segmenter(_models: object) -> Segmenter:
    """Return the segmenter for the models as they are; of others it knows nothing."""
    from brainmets.workflows.segment import Segmenter

    return Segmenter()


def _title(job_dir: Path, report: Report, options: JobOptions, patient: ShownPatient) -> str:
    """Return what a DICOM series calls itself; empty where it cannot be read again."""
    from brainmets.io.dicom_acquisition import read_title

    if report.case.source.format != "dicom":
        return ""
    try:
        source = input_path(job_dir / "input")
        return str(read_title(source, series=options.series, patient=patient))
    except InputError:
        return ""


def _note_guess(job_dir: Path, report: Report) -> None:
    """Guess what the job would take where nobody has asked before: later guesses learn from it."""
    from brainmets.workflows.inspection import guess_cost

    if expected(job_dir):
        return
    guess = guess_cost(report.prediction.provenance.model, report.case)
    if guess is not None:
        expect(
            job_dir,
            model=guess.model,
            guess_s=guess.seconds,
            expected_s=guess.seconds,
            bytes_=guess.bytes,
        )


def _finite(value: float | str) -> bool:
    return not isinstance(value, float) or math.isfinite(value)
