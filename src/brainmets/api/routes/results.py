"""A finished job's files, display copies and lesions at another threshold."""

from __future__ import annotations

import mimetypes
import zipfile
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated, BinaryIO, Literal, cast

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import FileResponse, Response, StreamingResponse

from brainmets.api.edits import DRAWN
from brainmets.api.exporting import TRAINING_CASE
from brainmets.api.exports import Exports, offered
from brainmets.api.limits import LOCAL_OWNER
from brainmets.api.reviews import is_review_damaged, latest_review, read_review
from brainmets.api.routes.answers import OF_BODIES, File, bytes_answer, json_answer, refusals
from brainmets.api.routes.dependencies import (  # noqa: TC001 - FastAPI reads it
    Caller,
    OwnJob,
    ServiceSettings,
)
from brainmets.api.routes.examples import FOUND_AGAIN, MEASURED, REVIEWED
from brainmets.api.schemas import (
    DrawingRequest,
    ExportName,
    FileView,
    JobResult,
    JobView,
    LesionsView,
    MeasuredView,
    ReviewRequest,
)
from brainmets.api.storage import room_for
from brainmets.domain import RESEARCH_USE_ONLY, errors
from brainmets.domain.errors import JobNotFinished, UnknownJob

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from brainmets.api.settings import Settings
    from brainmets.api.store import StoredJob

__all__ = ["OF_RESULTS", "Shelf", "lesions_of", "router", "with_files"]

router = APIRouter(prefix="/v1/jobs", tags=["results"])


def _exports(request: Request) -> Exports:
    return cast("Exports", request.app.state.exports)


Shelf = Annotated[Exports, Depends(_exports)]

OF_RESULTS = (errors.UnknownJob, errors.JobNotFinished, errors.BadRequest)

DAMAGED_REVIEW = (
    "The saved review cannot be read: everything is shown as found. Review the result again."
)

ALL_FILES = "all.zip"
SEEN_BY_NETWORK = ("probabilit", "uncertainty", "brain")
"""Beginnings of the names of files that no review changes."""

_READ_ME = f"""{RESEARCH_USE_ONLY}

Made by brainmets. report.json names the model, its SHA-256, the settings and the input's
SHA-256 behind every number here.
"""


def with_files(job: StoredJob, settings: Settings) -> JobView:
    """Return a job as its owner sees it, its result files listed."""
    shown = job.model_dump()
    if job.state == "done" and job.result is not None:
        folder = settings.result_dir(job.id, job.ticket)
        shown["files"] = tuple(
            FileView(name=name, size=path.stat().st_size, media_type=_media_type(name))
            for name, path in _files(folder).items()
        )
        review = shown["review"] = read_review(folder)
        if is_review_damaged(folder):
            shown["result"]["warnings"] = (*job.result.warnings, DAMAGED_REVIEW)
        if job.options.followup is None:
            shown["exports"] = offered(job.result, reviewed=review is not None)
    return JobView.model_validate(shown)


@router.get(
    "/{job_id}/files/{name}",
    operation_id="get_file",
    response_class=FileResponse,
    responses=bytes_answer("application/octet-stream", "The file") | refusals(*OF_RESULTS),
)
async def get_file(job: OwnJob, name: str, settings: ServiceSettings, exports: Shelf) -> Response:
    """Return one result file, or `all.zip`: every one of them, and what can be exported.

    After a review the zip holds mask, table and report as reviewed; as found in `as-found/`.
    """
    result, folder = _refuse_unfinished(job), settings.result_dir(job.id, job.ticket)
    files = _files(folder)
    if name == ALL_FILES:
        packed = _packed(folder)
        missing = ["", DAMAGED_REVIEW] if is_review_damaged(folder) else [""]
        reviewed = latest_review(folder) is not None
        shown = () if job.options.followup else offered(result, reviewed=reviewed)
        for one in shown:
            again = one.name == TRAINING_CASE  # the images that were sent, and a mask
            if again or one.problem is not None or (one.name in files and not reviewed):
                continue
            try:
                made = await exports.file(folder, one.name, job.options)
            except errors.BrainmetsError as error:
                missing.append(f"{one.name} is missing: {error}")
                continue
            packed[one.name] = made
        return StreamingResponse(
            _zipped(packed, _READ_ME + "\n".join(missing)),
            media_type="application/zip",
            headers={"Content-Disposition": f'attachment; filename="brainmets-{job.id}.zip"'},
        )
    if name not in files:
        raise UnknownJob(
            "no result file of this name",
            expected="a name from the job's `files`, or all.zip",
            remedy="look at GET /v1/jobs/{id}",
        )
    return File(files[name], media_type=_media_type(name), filename=name)


@router.get(
    "/{job_id}/view/{part}",
    operation_id="get_view",
    response_class=FileResponse,
    responses=bytes_answer("application/octet-stream", "Raw voxels") | refusals(*OF_RESULTS),
)
def get_view(
    job: OwnJob,
    part: Literal["image.u16", "probability.u8", "labels.u8", "drawn.u16"],
    settings: ServiceSettings,
) -> Response:
    """Return a display copy's voxels, x fastest, as `result.view` describes them.

    `drawn.u16` are the lesion ids of the saved review, where the reader changed outlines.
    """
    lesions_of(job)
    folder, kept = settings.result_dir(job.id, job.ticket), "private, max-age=3600"
    path = folder / "view" / f"{part}.gz"
    if part == "drawn.u16":
        path, kept = (latest_review(folder) or folder) / DRAWN, "no-store"
        if not path.is_file():
            raise UnknownJob(
                "no drawing in the saved review",
                expected="a review whose `drawn` lists lesions",
                remedy="ask for view/labels.u8 instead",
            )
    return File(
        path,
        media_type="application/octet-stream",
        headers={"Content-Encoding": "gzip", "Cache-Control": kept},
    )


@router.get(
    "/{job_id}/lesions",
    operation_id="find_lesions",
    responses=json_answer(FOUND_AGAIN) | refusals(*OF_RESULTS, errors.OptionError),
)
def find_lesions(
    job: OwnJob,
    settings: ServiceSettings,
    threshold: Annotated[float | None, Query(gt=0, le=1, allow_inf_nan=False)] = None,
    peak: Annotated[float | None, Query(gt=0, le=1, allow_inf_nan=False)] = None,
    min_volume_mm3: Annotated[float | None, Query(ge=0, le=1e9, allow_inf_nan=False)] = None,
) -> LesionsView:
    """Threshold the stored probability again; the network does not run."""
    from brainmets.api.rethreshold import operating_point, rethreshold

    result = lesions_of(job)
    point = operating_point(result, threshold=threshold, peak=peak, min_volume_mm3=min_volume_mm3)
    return rethreshold(settings.result_dir(job.id, job.ticket) / "view", point, result)


@router.post(
    "/{job_id}/drawing",
    operation_id="measure_drawing",
    responses=json_answer(MEASURED) | refusals(*OF_RESULTS, errors.OptionError, *OF_BODIES),
)
def measure_drawing(
    job: OwnJob, request: DrawingRequest, settings: ServiceSettings
) -> MeasuredView:
    """Measure lesions as they are drawn, on the grid of the input; nothing is saved."""
    from brainmets.api.rethreshold import one_at_a_time, operating_point
    from brainmets.api.review import measure_drawing as measure

    result = lesions_of(job)
    view = settings.result_dir(job.id, job.ticket) / "view"
    point = operating_point(result)
    only = None if request.ids is None else frozenset(request.ids)
    with one_at_a_time:
        _, lesions = measure(view, result, request.drawn, point, only=only)
    return MeasuredView(lesions=lesions)


@router.get(
    "/{job_id}/exports/{name}",
    operation_id="export_job",
    response_class=FileResponse,
    responses=bytes_answer("application/octet-stream", "The file")
    | refusals(
        *OF_RESULTS,
        errors.OptionError,
        errors.NothingToExport,
        errors.DiskFull,
        errors.OutOfMemory,
        errors.ServiceStopping,
    ),
)
async def export(
    job: OwnJob, name: ExportName, settings: ServiceSettings, exports: Shelf
) -> Response:
    """Return the result in another format, a saved review respected; made once, then kept.

    `seg.dcm` (DICOM Segmentation), `rtstruct.dcm` (RT Structure Set), `measurements.zip` (report,
    TID 1500, with its segmentation) and `captures.zip` (pictures with outlines) refer to the
    uploaded DICOM images and name the patient as those do, as does `fhir.json` (HL7 FHIR R4)
    where there are some; `report.pdf` is anonymous. `training-case.zip` holds the scan and the
    reviewed mask as NIfTI, a folder that `brainmets train` reads.
    """
    lesions_of(job)
    room_for(settings.state_dir, min_free_bytes=settings.min_free_bytes)
    path = await exports.file(settings.result_dir(job.id, job.ticket), name, job.options)
    return File(path, media_type=_media_type(name), filename=name)


@router.put(
    "/{job_id}/review",
    operation_id="save_review",
    responses=json_answer(REVIEWED)
    | refusals(*OF_RESULTS, errors.OptionError, errors.ReviewChanged, errors.DiskFull, *OF_BODIES),
)
def save_review(
    job: OwnJob, request: ReviewRequest, settings: ServiceSettings, caller: Caller
) -> JobView:
    """Save which lesions stand, and how they were drawn; mask and table join the job's files.

    With `replaces`, a review that someone else has saved meanwhile is not overwritten.
    """
    from brainmets.api.review import save_review as save

    result = lesions_of(job)
    room_for(settings.state_dir, min_free_bytes=settings.min_free_bytes)
    author = "" if caller == LOCAL_OWNER else caller
    save(settings.result_dir(job.id, job.ticket), result, request, author=author)
    return with_files(job, settings)


def lesions_of(job: StoredJob) -> JobResult:
    """Return what segmenting has found; a follow-up has scans of its own instead."""
    if job.options.followup is not None:
        raise UnknownJob(
            "a follow-up, which segments nothing itself",
            expected="a job that segmented a scan",
            remedy="ask for /v1/followups/{id}/scans, or for the jobs that it follows",
        )
    return _refuse_unfinished(job)


def _refuse_unfinished(job: StoredJob) -> JobResult:
    if job.state != "done" or job.result is None:
        raise JobNotFinished(
            f"a job that is {job.state.replace('_', ' ')}",
            expected="a job that is done",
            remedy="wait for it, or look at its problem",
        )
    return job.result


def _packed(job_dir: Path) -> dict[str, Path]:
    """Name the files of a zip: what a review has made untrue goes to `as-found/`."""
    review, out = latest_review(job_dir), job_dir / "out"
    packed: dict[str, Path] = {}
    for name, path in _files(job_dir).items():
        found = review is not None and path.is_relative_to(out)
        untrue = found and not name.startswith(SEEN_BY_NETWORK)
        packed[f"as-found/{name}" if untrue else name] = path
    return packed


def _files(job_dir: Path) -> dict[str, Path]:
    """Name a job's files; the probability maps of slices, named as their masks, after both."""
    folders = [folder for folder in (job_dir / "out", latest_review(job_dir)) if folder is not None]
    files = (path for folder in folders for path in folder.rglob("*") if path.is_file())
    return {
        f"probability-{path.name}" if path.parent.name == "probabilities" else path.name: path
        for path in sorted(files)
        if path.name != DRAWN
    }


def _media_type(name: str) -> str:
    if name.endswith(".nii.gz"):
        return "application/gzip"
    if name.endswith(".dcm"):
        return "application/dicom"
    return mimetypes.guess_type(name)[0] or "application/octet-stream"


class _Pipe:
    """A write-only file that hands on what zipfile writes."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Do nothing: parts are taken, not flushed."""

    def take(self) -> bytes:
        taken = b"".join(self._parts)
        self._parts.clear()
        return taken


def _zipped(files: dict[str, Path], read_me: str) -> Iterator[bytes]:
    """Open all files at once, since the job may be deleted meanwhile; then pack as it is sent."""
    opened = ExitStack()
    try:
        sources = {name: opened.enter_context(path.open("rb")) for name, path in files.items()}
    except BaseException:
        opened.close()
        raise
    return _pack(sources, read_me, opened)


def _pack(sources: Mapping[str, BinaryIO], read_me: str, opened: ExitStack) -> Iterator[bytes]:
    pipe = _Pipe()
    with opened, zipfile.ZipFile(pipe, "w", zipfile.ZIP_STORED) as archive:  # type: ignore[arg-type]
        archive.writestr("READ-ME.txt", read_me)
        for name, source in sources.items():
            with archive.open(name, "w", force_zip64=True) as sink:
                while chunk := source.read(1024 * 1024):
                    sink.write(chunk)
                    yield pipe.take()
    yield pipe.take()
