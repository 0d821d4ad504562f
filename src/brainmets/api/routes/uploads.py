"""Upload first, look, confirm, then start: what the page's drop zone talks to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, cast

from fastapi import APIRouter, Depends, Path, Request, Response
from fastapi.concurrency import contextmanager_in_threadpool
from fastapi.responses import FileResponse
from starlette.concurrency import run_in_threadpool

from brainmets.api.forms import FILES_FORM, receive_form
from brainmets.api.intake import check_model
from brainmets.api.routes.answers import OF_BODIES, File, bytes_answer, json_answer, refusals
from brainmets.api.routes.dependencies import Caller, ServiceSettings, TakeIn, locate
from brainmets.api.routes.examples import LOOKED_INTO, QUEUED, UPLOADED
from brainmets.api.routes.results import with_files
from brainmets.api.schemas import JobOptions, JobView
from brainmets.api.speed import Speed, expect
from brainmets.api.staging import stage
from brainmets.api.storage import room_for
from brainmets.api.uploads import ImageView, StartRequest, Uploads, UploadView
from brainmets.domain import errors
from brainmets.domain.errors import BadRequest, MissingSequence

if TYPE_CHECKING:
    from pathlib import Path as Folder

    from brainmets.api.settings import Settings
    from brainmets.domain import Sequence

__all__ = ["router"]

router = APIRouter(prefix="/v1/uploads", tags=["uploads"])

UploadId = Annotated[str, Path(description="The upload's id", max_length=64)]
ImageIndex = Annotated[int, Path(description="The image's `index`", ge=1, le=100_000)]


def _uploads(request: Request) -> Uploads:
    return cast("Uploads", request.app.state.uploads)


Shelf = Annotated[Uploads, Depends(_uploads)]


@router.post(
    "",
    status_code=201,
    operation_id="upload",
    openapi_extra=FILES_FORM,
    responses=json_answer(UPLOADED, 201, "Stored")
    | refusals(*OF_BODIES, errors.FileMissing, errors.DiskFull),
)
async def upload(
    request: Request, response: Response, caller: Caller, shelf: Shelf, settings: ServiceSettings
) -> UploadView:
    """Take images in without starting anything; they are deleted after an hour."""
    async with contextmanager_in_threadpool(stage(settings.staging_dir)) as staging:
        await receive_form(request, staging, settings)
        view = await run_in_threadpool(shelf.keep, staging, caller)
    locate(request, response, f"/v1/uploads/{view.id}")
    return view


@router.get(
    "/{upload_id}",
    operation_id="get_upload",
    responses=json_answer(LOOKED_INTO)
    | refusals(errors.UnknownJob, errors.BadRequest, errors.ServiceStopping),
)
async def get_upload(upload_id: UploadId, caller: Caller, shelf: Shelf) -> UploadView:
    """Say what an upload holds, and what each model would take for it; looks into it first."""
    return await shelf.inspected(upload_id, caller)


@router.get(
    "/{upload_id}/thumbnails/{index}",
    operation_id="get_thumbnail",
    response_class=FileResponse,
    responses=bytes_answer("image/png", "The image's middle slice")
    | refusals(errors.UnknownJob, errors.BadRequest),
)
def get_thumbnail(
    upload_id: UploadId, index: ImageIndex, caller: Caller, shelf: Shelf
) -> FileResponse:
    """Return the middle slice of an image."""
    return File(shelf.thumbnail(upload_id, caller, index), media_type="image/png")


@router.delete(
    "/{upload_id}",
    status_code=204,
    operation_id="delete_upload",
    responses=refusals(errors.UnknownJob, errors.BadRequest),
)
def delete_upload(upload_id: UploadId, caller: Caller, shelf: Shelf) -> None:
    """Delete an upload's files; jobs started from it keep theirs."""
    shelf.delete(upload_id, caller)


@router.post(
    "/{upload_id}/job",
    status_code=202,
    operation_id="start_job",
    responses=json_answer(QUEUED, 202, "Queued")
    | refusals(
        *OF_BODIES,
        errors.UnknownJob,
        errors.UnknownModel,
        errors.MissingSequence,
        errors.QueueFull,
        errors.DiskFull,
    ),
)
async def start_job(
    *,
    upload_id: UploadId,
    choice: StartRequest,
    request: Request,
    response: Response,
    caller: Caller,
    shelf: Shelf,
    settings: ServiceSettings,
    intake: TakeIn,
) -> JobView:
    """Queue one image of an upload; the same choice again is the same job."""
    room_for(settings.state_dir, min_free_bytes=settings.min_free_bytes)
    view = await shelf.inspected(upload_id, caller)

    def start() -> JobView:
        image, options = _chosen(view, choice)
        with stage(settings.staging_dir) as staging:
            staging.take_over(shelf.staging(upload_id, caller))
            _note_estimate(image, options, staging.root, settings)
            return with_files(intake.queue(staging, options), settings)

    job = await run_in_threadpool(start)
    locate(request, response, f"/v1/jobs/{job.id}")
    return job


def _chosen(view: UploadView, choice: StartRequest) -> tuple[ImageView, JobOptions]:
    from brainmets.inference import Bundle

    check_model(choice.model)
    images = () if view.inspection is None else view.inspection.images
    image = next((one for one in images if one.index == choice.image), None)
    if image is None:
        raise BadRequest(
            "an image that the upload does not hold",
            expected="the `index` of one of its images",
            remedy="choose one of them",
        )
    model = choice.model or (view.inspection and view.inspection.default_model)
    needed = Bundle.load(model).plan.sequences if model else ()
    series = f"line:{choice.image}" if len(images) > 1 else None
    if len(needed) <= 1:
        return image, JobOptions(model=model, series=series)
    return image, JobOptions(model=model, sequences=_by_file(images, choice, needed))


def _by_file(
    images: tuple[ImageView, ...], choice: StartRequest, needed: tuple[Sequence, ...]
) -> tuple[Sequence, ...]:
    """Name the sequence of each file, in the order in which the worker finds the files."""
    named = {image.name: choice.sequences.get(image.index, image.guess) for image in images}
    sequences: tuple[Sequence, ...] = tuple(
        sequence for name in sorted(named) if (sequence := named[name]) is not None
    )
    given = set(sequences)
    if not set(needed) <= given or len(given) < len(images) or "" in named:
        raise MissingSequence(
            f"{', '.join(sorted(given)) or 'no sequence'} among {len(images)} images",
            expected=f"one NIfTI file for each of {', '.join(needed)}",
            remedy="say which image is which, or choose a model that needs fewer",
        )
    return sequences


def _note_estimate(
    image: ImageView, options: JobOptions, job_dir: Folder, settings: Settings
) -> None:
    """Keep what was promised next to the job, so that its result can be held against it."""
    one = next((e for e in image.estimates if e.model == options.model), None)
    if one is None or one.problem is not None:
        return
    known = Speed.of(settings.state_dir)
    expect(
        job_dir,
        model=one.model,
        guess_s=one.seconds / known.expected_s(one.model, 1.0),
        expected_s=one.seconds,
        bytes_=one.bytes,
    )
