"""Studies from a PACS that speaks DICOMweb, and results back to it; off unless configured."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import contextmanager_in_threadpool
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from brainmets.api.pacs import fetched, stored
from brainmets.api.routes.answers import OF_BODIES, json_answer, refusals
from brainmets.api.routes.dependencies import (
    Caller,
    OwnJob,
    ServiceSettings,
    Stopping,
    locate,
)
from brainmets.api.routes.examples import PACS_STORED, UPLOADED
from brainmets.api.routes.results import Shelf as Exported
from brainmets.api.routes.results import lesions_of
from brainmets.api.routes.uploads import Shelf  # noqa: TC001 - FastAPI reads it
from brainmets.api.schemas import ExportName, PacsStored
from brainmets.api.staging import stage
from brainmets.api.storage import room_for
from brainmets.api.uploads import UploadView  # noqa: TC001 - FastAPI reads it
from brainmets.domain import errors

__all__ = ["router"]

router = APIRouter(prefix="/v1", tags=["pacs"])

SENT: tuple[ExportName, ...] = ("measurements.zip",)
"""Segmentation and measurement report."""


class StudyRequest(BaseModel):
    """Which study to fetch."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    study_uid: Annotated[
        str,
        Field(
            max_length=64,
            pattern=r"^[0-9.]+$",
            description="Its Study Instance UID.",
            examples=["1.2.840.113619.2.5"],
        ),
    ]


@router.post(
    "/pacs/uploads",
    status_code=201,
    operation_id="fetch_study",
    responses=json_answer(UPLOADED, 201, "Fetched")
    | refusals(
        *OF_BODIES,
        errors.OptionError,
        errors.NoDicom,
        errors.ServiceUnreachable,
        errors.DiskFull,
    ),
)
async def fetch_study(
    *,
    wanted: StudyRequest,
    request: Request,
    response: Response,
    caller: Caller,
    shelf: Shelf,
    settings: ServiceSettings,
    stopping: Stopping,
) -> UploadView:
    """Fetch the MR images of a study by QIDO-RS and WADO-RS, as an upload that starts nothing."""
    room_for(settings.state_dir, min_free_bytes=settings.min_free_bytes)
    async with contextmanager_in_threadpool(stage(settings.staging_dir)) as staging:
        folder = staging.root / "fetched"
        folder.mkdir()
        await fetched(settings, wanted.study_uid, folder, stopping)

        def keep() -> UploadView:
            staging.adopt(folder)
            staging.shown.append("study from the PACS")
            return shelf.keep(staging, caller)

        view = await run_in_threadpool(keep)
    locate(request, response, f"/v1/uploads/{view.id}")
    return view


@router.post(
    "/jobs/{job_id}/pacs",
    operation_id="store_result",
    responses=json_answer(PACS_STORED)
    | refusals(
        errors.UnknownJob,
        errors.BadRequest,
        errors.JobNotFinished,
        errors.OptionError,
        errors.ServiceUnreachable,
        errors.OutOfMemory,
        errors.DiskFull,
        errors.ServiceStopping,
    ),
)
async def store_result(
    job: OwnJob, settings: ServiceSettings, exports: Exported, stopping: Stopping
) -> PacsStored:
    """Store segmentation and measurement report by STOW-RS, a saved review respected.

    The same objects are stored again under the same UIDs, until a review changes them.
    """
    lesions_of(job)
    room_for(settings.state_dir, min_free_bytes=settings.min_free_bytes)
    folder = settings.result_dir(job.id, job.ticket)
    paths = [await exports.file(folder, name, job.options) for name in SENT]
    await stored(settings, paths, stopping)
    return PacsStored(stored=SENT)
