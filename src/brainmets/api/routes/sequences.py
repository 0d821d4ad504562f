"""The other images of a result's examination, to be shown next to the segmented one."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Path
from fastapi.responses import FileResponse, Response

from brainmets.api.processes import run_module
from brainmets.api.routes.answers import File, bytes_answer, json_answer, refusals
from brainmets.api.routes.dependencies import (  # noqa: TC001 - FastAPI reads it
    OwnJob,
    ServiceSettings,
    Stopping,
)
from brainmets.api.routes.results import OF_RESULTS, lesions_of
from brainmets.api.sequence_schemas import SequencesView, SequenceView
from brainmets.api.sequencing import LIST, SEQUENCES, voxels_file
from brainmets.domain import errors
from brainmets.domain.errors import OutOfMemory, UnknownJob

if TYPE_CHECKING:
    from pathlib import Path as Folder

    from brainmets.api.schemas import JobResult

__all__ = ["router"]

router = APIRouter(prefix="/v1/jobs", tags=["results"])

PREPARED_WITHIN_S = 300.0

_one_at_a_time = asyncio.Semaphore(1)
"""Each preparation holds two volumes in memory."""

EXAMPLE = SequencesView(
    segmented="T1 with contrast",
    others=(SequenceView(number=1, name="T2 FLAIR", sequence="t2f", placing="registered"),),
)


@router.get(
    "/{job_id}/sequences",
    operation_id="list_sequences",
    responses=json_answer(EXAMPLE)
    | refusals(*OF_RESULTS, errors.OutOfMemory, errors.ServiceStopping),
)
async def list_sequences(
    job: OwnJob, settings: ServiceSettings, stopping: Stopping
) -> SequencesView:
    """Say what else the upload holds, each image brought onto the display grid.

    The first request reads and registers the images; at most three besides the segmented one.
    """
    result, folder = lesions_of(job), settings.result_dir(job.id, job.ticket)
    listed = folder / SEQUENCES / LIST
    if not _may_hold_more(folder, result):
        return SequencesView()
    async with _one_at_a_time:
        if not listed.is_file():
            task = {
                "options": job.options.model_dump(mode="json"),
                "view": result.view.model_dump(mode="json"),
            }
            await run_module(
                "brainmets.api.sequencing",
                *(str(folder), str(settings.worker_memory_bytes)),
                within_s=PREPARED_WITHIN_S,
                stopping=stopping,
                task=json.dumps(task),
            )
    if not listed.is_file():
        raise OutOfMemory(
            "images that could not be prepared in the memory and time there is",
            expected=f"all within {PREPARED_WITHIN_S:.0f} s",
            remedy="try again when fewer jobs run",
        )
    return SequencesView.model_validate_json(listed.read_text(encoding="utf-8"))


@router.get(
    "/{job_id}/sequences/{number}",
    operation_id="get_sequence",
    response_class=FileResponse,
    responses=bytes_answer("application/octet-stream", "Raw voxels") | refusals(*OF_RESULTS),
)
def get_sequence(
    job: OwnJob, number: Annotated[int, Path(ge=1, le=9)], settings: ServiceSettings
) -> Response:
    """Return another image's voxels as `view/image.u16` has the segmented one's."""
    lesions_of(job)
    path = settings.result_dir(job.id, job.ticket) / SEQUENCES / voxels_file(number)
    if not path.is_file():
        raise UnknownJob(
            "no image of this number",
            expected="the `number` of one that GET /v1/jobs/{id}/sequences lists",
            remedy="ask for the list first",
        )
    return File(
        path,
        media_type="application/octet-stream",
        headers={"Content-Encoding": "gzip", "Cache-Control": "private, max-age=3600"},
    )


def _may_hold_more(folder: Folder, result: JobResult) -> bool:
    """Whether an upload can hold a second image: several files, or an archive."""
    if result.kind != "volume":
        return False
    files = sorted((folder / "input").iterdir())
    return len(files) > 1 or files[0].suffix not in {".nii", ".gz"}
