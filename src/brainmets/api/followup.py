"""Follow-ups as jobs: finished jobs of one patient in, what became of each lesion out."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np

from brainmets.api.display import save_view
from brainmets.api.followup_schemas import (
    FollowedScanView,
    FollowupOptions,
    FollowupRequest,
    FollowupView,
)
from brainmets.api.reviews import is_review_damaged, latest_review
from brainmets.api.schemas import JobOptions, JobResult, ProvenanceView, ViewMeta
from brainmets.api.staging import stage, sync
from brainmets.domain import Case, Prediction, Report, Source, Volume
from brainmets.domain.errors import BadRequest, JobNotFinished, RecordDamaged
from brainmets.workflows.followup_days import order_of

if TYPE_CHECKING:
    from pathlib import Path

    from brainmets.api.intake import Intake
    from brainmets.api.staging import Staging
    from brainmets.api.store import StoredJob
    from brainmets.domain import Progress
    from brainmets.reporting.followup_timeline import AlignedScan, Timeline

__all__ = ["follow_again", "queue_followup", "run_followup"]

SCANS, REVIEWED = "scans", "review"
READING, ALIGNING = 0.2, 0.6
"""Shares of the whole work."""


def queue_followup(request: FollowupRequest, intake: Intake) -> StoredJob:
    """Queue a follow-up of the caller's own finished jobs; the same again is the same job.

    Raises:
        UnknownJob: one of the jobs is not the caller's.
        JobNotFinished: one has no result.
        BadRequest: one is named twice, or is itself a follow-up.
        OptionError: the dates do not fit.
        QueueFull, DiskFull: no more work is taken in.
    """
    intake.refuse_early()
    jobs = [intake.store.get(job_id, owner=intake.owner) for job_id in request.jobs]
    if len(set(request.jobs)) < len(jobs) or any(job.options.followup for job in jobs):
        raise BadRequest(
            "a job named twice, or a follow-up among the jobs",
            expected="jobs that segmented different scans",
            remedy="leave it out",
        )
    for job in jobs:
        if job.state != "done":
            raise JobNotFinished(
                f"a job that is {job.state.replace('_', ' ')}",
                expected="jobs that are done",
                remedy="wait for it, or leave it out",
            )
    order, days = order_of(request.dates, [None] * len(jobs))
    options = FollowupOptions(
        jobs=tuple(jobs[place].id for place in order),
        days=tuple(day for day in days if day is not None),
        measurable_mm=request.measurable_mm,
        same_patient=request.same_patient,
    )
    label = f"Follow-up of {len(jobs)} scans: {jobs[order[0]].label}"
    with stage(intake.settings.staging_dir) as staging:
        for number, place in enumerate(order, start=1):
            job = jobs[place]
            _adopt(staging, intake.settings.result_dir(job.id, job.ticket), number)
        return intake.queue(staging, JobOptions(followup=options), label=label)


def follow_again(options: FollowupOptions, intake: Intake) -> StoredJob:
    """Queue a follow-up of the same jobs as they stand now, reviews saved since included.

    Raises:
        As `queue_followup`; UnknownJob also where one of them was deleted.
    """
    request = FollowupRequest(
        jobs=options.jobs,
        dates=tuple(str(day) for day in options.days),
        measurable_mm=options.measurable_mm,
        same_patient=options.same_patient,
    )
    return queue_followup(request, intake)


def _adopt(staging: Staging, job_dir: Path, number: int) -> None:
    """Link what a job was given and has found, and note what makes it what it is.

    The links keep the files if the job is deleted.

    Raises:
        RecordDamaged: its saved review cannot be read.
    """
    if is_review_damaged(job_dir):
        raise RecordDamaged(
            "a job whose saved review cannot be read",
            expected="the review that was saved",
            remedy="open the job and save the review again",
        )
    parts = {"input": job_dir / "input", "out": job_dir / "out"}
    if (review := latest_review(job_dir)) is not None:
        parts[REVIEWED] = review
    for name, folder in parts.items():
        shutil.copytree(folder, staging.root / SCANS / str(number) / name, copy_function=os.link)
    digest = hashlib.sha256()
    for folder in list(parts.values())[1:]:
        for path in sorted(folder.glob("*")):
            if path.is_file():
                digest.update(f"{path.name}\0".encode())
                digest.update(path.read_bytes())
    staging.add(f"scan-{number:02d}.txt", io.BytesIO(digest.hexdigest().encode()))


def run_followup(job_dir: Path, options: FollowupOptions, progress: Progress) -> JobResult:
    """Do the work in the job's child process; into the attempt's `out` and `view`.

    Raises:
        BrainmetsError: as `brainmets.workflows.track.track`.
    """
    from brainmets.reporting.followup_results import followup_folder, write_followup
    from brainmets.tracking import Rules
    from brainmets.workflows.followed_scan import scan_of_result
    from brainmets.workflows.followup import follow_scans

    out, view = job_dir / "out", job_dir / "view"
    if not (job_dir / SCANS).is_dir():
        raise BadRequest(
            "a follow-up without its scans",
            expected="a follow-up that POST /v1/followups has queued",
            remedy="ask for it again there",
        )
    progress("read", 0.0)
    scans = [
        scan_of_result(folder / "out", [_input(folder)], review=folder / REVIEWED)
        for folder in (job_dir / SCANS / str(n) for n in range(1, len(options.jobs) + 1))
    ]
    given = tuple(str(day) for day in options.days)
    order, days = order_of(given, [scan.acquired for scan in scans])
    timeline = follow_scans(
        [scans[place] for place in order],
        days,
        rules=Rules(measurable_mm=options.measurable_mm),
        same_patient=options.same_patient,
        progress=lambda stage, done: progress(stage, READING + ALIGNING * done),
    )
    progress("write", READING + ALIGNING)
    with followup_folder(out, overwrite=False) as folder:
        write_followup(timeline, folder, pdf=find_spec("typst") is not None)
    metas = [
        _save_scan(scan, view / SCANS / str(number))
        for number, scan in enumerate(timeline.scans, start=1)
    ]
    for path in (*out.rglob("*"), out, *view.rglob("*"), view, job_dir):
        sync(path)  # the job list must not outlive its results in a power cut
    return _result(timeline, [options.jobs[place] for place in order], metas)


def _input(folder: Path) -> Path:
    files = sorted((folder / "input").iterdir())
    return files[0] if len(files) == 1 else folder / "input"


def _save_scan(scan: AlignedScan, folder: Path) -> ViewMeta:
    """Write a scan's display copies as those of any result; there is no probability to show."""
    folder.mkdir(parents=True)
    grid = scan.image.geometry
    nothing = Volume(data=np.zeros(grid.shape, dtype=np.float32), geometry=grid)
    made = scan.provenance
    report = Report(
        case=Case(
            images={"t1c": scan.image},
            geometry=grid,
            source=Source(format="nifti", sha256=made.input_sha256),
            case_id="followed",
        ),
        prediction=Prediction(probability=nothing, mask=scan.labels, lesions=(), provenance=made),
    )
    meta = save_view(report, folder)
    (folder / "probability.npy").unlink()
    return meta


def _result(timeline: Timeline, jobs: list[str], metas: list[ViewMeta]) -> JobResult:
    from brainmets.reporting.followup_chart import chart_svg

    followup = timeline.followup
    scans = tuple(
        FollowedScanView(
            job=job,
            model=scan.provenance.model,
            reviewed=scan.reviewed,
            similarity=scan.similarity,
            error_mm=scan.error_mm,
            doubtful=scan.doubtful,
            levels=meta.levels,
            window=meta.window,
        )
        for job, scan, meta in zip(jobs, timeline.scans, metas, strict=True)
    )
    return JobResult(
        kind="volume",
        lesions=(),
        warnings=timeline.warnings,
        provenance=ProvenanceView.model_validate(
            timeline.scans[0].provenance, from_attributes=True
        ),
        view=metas[0],
        followup=FollowupView(
            scans=scans,
            days=followup.days,
            lesions=followup.lesions,
            responses=followup.responses,
            rules=followup.rules,
            chart=chart_svg(followup),
        ),
        notice=timeline.notice,
    )
