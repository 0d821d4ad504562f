"""Follow lesions over finished jobs of one patient."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import FileResponse

from brainmets.api.followup import queue_followup
from brainmets.api.followup_schemas import MOST_SCANS, FollowupRequest
from brainmets.api.routes.answers import OF_BODIES, File, bytes_answer, json_answer, refusals
from brainmets.api.routes.dependencies import OwnJob, ServiceSettings, TakeIn, locate
from brainmets.api.routes.examples import QUEUED
from brainmets.api.routes.results import with_files
from brainmets.api.schemas import JobView  # noqa: TC001 - FastAPI reads annotations
from brainmets.domain import errors
from brainmets.domain.errors import JobNotFinished, UnknownJob

__all__ = ["router"]

router = APIRouter(prefix="/v1/followups", tags=["followups"])


@router.post(
    "",
    status_code=202,
    operation_id="submit_followup",
    responses=json_answer(QUEUED, 202, "Queued")
    | refusals(
        *OF_BODIES,
        errors.UnknownJob,
        errors.JobNotFinished,
        errors.OptionError,
        errors.QueueFull,
        errors.DiskFull,
    ),
)
def submit_followup(
    request: FollowupRequest,
    *,
    http: Request,
    response: Response,
    settings: ServiceSettings,
    intake: TakeIn,
) -> JobView:
    """Queue a follow-up; it is a job like others: follow, cancel, fetch and delete it as such.

    Its result has `followup`: every lesion in every scan and the RANO-BM category of each scan.
    """
    job = with_files(queue_followup(request, intake), settings)
    locate(http, response, f"/v1/jobs/{job.id}")
    return job


@router.get(
    "/{job_id}/scans/{number}/view/{part}",
    operation_id="get_followup_view",
    response_class=FileResponse,
    responses=bytes_answer("application/octet-stream", "Raw voxels, x fastest")
    | refusals(errors.UnknownJob, errors.JobNotFinished, errors.BadRequest),
)
def get_followup_view(
    job: OwnJob,
    number: Annotated[int, Path(ge=1, le=MOST_SCANS, description="Of the scan, from 1.")],
    part: Literal["image.u16", "probability.u8", "labels.u8"],
    settings: ServiceSettings,
) -> Response:
    """Return a scan's voxels on the first scan's display grid; labels are lesion numbers."""
    if job.options.followup is None or number > len(job.options.followup.jobs):
        raise UnknownJob(
            "no such scan of a follow-up of yours",
            expected="the id of a follow-up and a scan's number in it",
            remedy="look at GET /v1/jobs/{id}",
        )
    if job.state != "done":
        raise JobNotFinished(
            f"a follow-up that is {job.state.replace('_', ' ')}",
            expected="one that is done",
            remedy="wait for it, or look at its problem",
        )
    return File(
        settings.result_dir(job.id, job.ticket) / "view" / "scans" / str(number) / f"{part}.gz",
        media_type="application/octet-stream",
        headers={"Content-Encoding": "gzip", "Cache-Control": "private, max-age=3600"},
    )
