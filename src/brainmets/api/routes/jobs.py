"""Submit images, follow the work, answer the series question, cancel, delete."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Annotated, Any, get_args

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException

import brainmets
from brainmets.api.routes.dependencies import (
    Caller,
    OwnJob,
    ServiceSettings,
    Store,
    Workers,
    refusals,
)
from brainmets.api.routes.results import with_files
from brainmets.api.schemas import FINISHED, AgainRequest, JobList, JobOptions, JobView, SeriesChoice
from brainmets.api.staging import Staging, remove, room_for, stage
from brainmets.domain import Sequence
from brainmets.domain.errors import BadRequest, BrainmetsError, UnknownModel

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from brainmets.api.settings import Settings
    from brainmets.api.store import JobStore

__all__ = [
    "UPLOAD_FORM",
    "add_files",
    "check_model",
    "queue",
    "read_form",
    "router",
]

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

EVENT_EVERY_S = 0.2
EVENT_KEEP_ALIVE_S = 15.0
MOST_FIELDS = 32

UPLOAD_FORM: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["files"],
                    "properties": {
                        "files": {
                            "type": "array",
                            "minItems": 1,
                            "items": {"type": "string", "format": "binary"},
                            "description": "1–4 NIfTI files on one grid; or DICOM files, or a "
                            "zip of them; or PNG, JPEG or TIFF slices.",
                        },
                        "model": {"type": "string", "description": "A name from /v1/models."},
                        "threshold": {"type": "number", "minimum": 0, "maximum": 1},
                        "series": {"type": "string", "description": "A DICOM series UID."},
                        "sequences": {
                            "type": "array",
                            "items": {"type": "string", "enum": list(get_args(Sequence))},
                            "description": "The sequence of each NIfTI file, in order.",
                        },
                    },
                }
            }
        },
    }
}


@router.post(
    "",
    status_code=202,
    operation_id="submit_job",
    openapi_extra=UPLOAD_FORM,
    responses=refusals(
        _413="Body too large",
        _422="Not a usable request",
        _429="Too many jobs waiting",
        _507="Disk nearly full",
    ),
)
async def submit(
    *,
    request: Request,
    response: Response,
    caller: Caller,
    store: Store,
    settings: ServiceSettings,
    workers: Workers,
) -> JobView:
    """Take images in and queue them; the same images again are the same job."""
    await run_in_threadpool(store.refuse_when_full, settings.max_waiting)
    room_for(settings.state_dir, min_free_bytes=settings.min_free_bytes)
    form = await read_form(request, settings)
    try:
        job = await run_in_threadpool(_take_in, form, caller, store, settings)
    finally:
        await form.close()
    workers.wake()
    response.headers["Location"] = f"{request.scope.get('root_path', '')}/v1/jobs/{job.id}"
    return job


async def read_form(request: Request, settings: Settings) -> FormData:
    """Take a form in, large files on disk.

    Raises:
        BadRequest: the body is no such form.
    """
    try:
        return await request.form(max_files=settings.max_files, max_fields=MOST_FIELDS)
    except (HTTPException, UnicodeDecodeError, KeyError, ValueError) as error:
        raise _bad_form(settings.max_files) from error


def add_files(staging: Staging, form: FormData, settings: Settings) -> None:
    """Stage the files of a form."""
    for upload in form.getlist("files"):
        if not isinstance(upload, UploadFile):
            raise _bad_form(settings.max_files)
        if upload.filename or upload.size:
            staging.add(upload.filename or "file", upload.file)


def _take_in(form: FormData, caller: str, store: JobStore, settings: Settings) -> JobView:
    options = _options(form)
    check_model(options.model)
    with stage(settings.staging_dir) as staging:
        add_files(staging, form, settings)
        return queue(staging, options, caller, store, settings)


def queue(
    staging: Staging,
    options: JobOptions,
    caller: str,
    store: JobStore,
    settings: Settings,
    *,
    label: str = "",
) -> JobView:
    """Make a job of what is staged; equal content and settings are the job that is there."""
    fingerprint = staging.fingerprint(options.model_dump_json(), brainmets.__version__)
    new_id = staging.commit(settings.jobs_dir)
    try:
        job_id = store.submit(
            new_id,
            owner=caller,
            fingerprint=fingerprint,
            label=label or staging.label,
            options=options,
            max_waiting=settings.max_waiting,
        )
    except BaseException:
        remove(settings.jobs_dir / new_id)
        raise
    if job_id != new_id:
        remove(settings.jobs_dir / new_id)
    return with_files(store.get(job_id, owner=caller), settings)


def _options(form: FormData) -> JobOptions:
    def text(name: str) -> str | None:
        value = form.get(name)
        return value.strip() or None if isinstance(value, str) else None

    sequences = [value for value in form.getlist("sequences") if isinstance(value, str)]
    try:
        return JobOptions.model_validate(
            {
                "model": text("model"),
                "threshold": text("threshold"),
                "series": text("series"),
                "sequences": [s for value in sequences for s in value.split(",") if s],
            }
        )
    except ValidationError as error:
        names = sorted({str(item["loc"][0]) for item in error.errors()})
        raise BadRequest(
            f"unusable values in {', '.join(names)}",
            expected="a model's name, a threshold from 0 to 1, a series UID, sequence names",
            remedy="correct the form fields",
        ) from error


@router.post(
    "/sample",
    status_code=202,
    operation_id="submit_sample",
    responses=refusals(_429="Too many jobs waiting", _507="Disk nearly full"),
)
def submit_sample(
    *,
    request: Request,
    response: Response,
    caller: Caller,
    store: Store,
    settings: ServiceSettings,
    workers: Workers,
) -> JobView:
    """Queue the built-in synthetic case: no data of one's own is needed to see a result."""
    from brainmets.api.sample import sample_file

    store.refuse_when_full(settings.max_waiting)
    room_for(settings.state_dir, min_free_bytes=settings.min_free_bytes)
    sample = sample_file(settings.state_dir / "sample")
    with stage(settings.staging_dir) as staging, sample.open("rb") as content:
        staging.add(sample.name, content)
        job = queue(staging, JobOptions(sample=True), caller, store, settings)
    workers.wake()
    response.headers["Location"] = f"{request.scope.get('root_path', '')}/v1/jobs/{job.id}"
    return job


@router.get("", operation_id="list_jobs", responses=refusals())
def list_jobs(caller: Caller, store: Store) -> JobList:
    """List the caller's jobs, newest first, without their results."""
    jobs = store.jobs(owner=caller)
    return JobList(jobs=tuple(JobView.model_validate(job.model_dump()) for job in jobs))


@router.get("/{job_id}", operation_id="get_job", responses=refusals(_404="No such job"))
def get_job(job: OwnJob, settings: ServiceSettings) -> JobView:
    """Return a job with its progress, its result or its problem."""
    return with_files(job, settings)


@router.get(
    "/{job_id}/events",
    operation_id="follow_job",
    responses=refusals(_404="No such job")
    | {200: {"content": {"text/event-stream": {}}, "description": "One event per change"}},
    response_class=StreamingResponse,
)
async def events(job: OwnJob, caller: Caller, store: Store) -> StreamingResponse:
    """Stream `{state, stage, done}` as server-sent events until the job stops."""

    async def stream() -> AsyncGenerator[str]:
        last, silent_s = "", 0.0
        while True:
            try:
                now = await run_in_threadpool(store.get, job.id, owner=caller)
            except BrainmetsError:  # deleted meanwhile
                yield "event: deleted\ndata: {}\n\n"
                return
            data = json.dumps({"state": now.state, "stage": now.stage, "done": now.done})
            if data != last:
                yield f"event: progress\ndata: {data}\n\n"
                last, silent_s = data, 0.0
            elif silent_s >= EVENT_KEEP_ALIVE_S:
                yield ": still here\n\n"
                silent_s = 0.0
            if now.state in FINISHED or now.state == "needs_choice":
                return
            await asyncio.sleep(EVENT_EVERY_S)
            silent_s += EVENT_EVERY_S

    return StreamingResponse(
        stream(), media_type="text/event-stream", headers={"Cache-Control": "no-store"}
    )


@router.post(
    "/{job_id}/series",
    status_code=202,
    operation_id="choose_series",
    responses=refusals(_404="No such job", _409="The job asks for no choice", _422="Unknown UID"),
)
def choose_series(
    job: OwnJob, choice: SeriesChoice, store: Store, settings: ServiceSettings, workers: Workers
) -> JobView:
    """Answer `needs_choice` with the UID of one of the listed series."""
    if choice.series not in {series.uid for series in job.series}:
        raise BadRequest(
            "a series that is not among those found",
            expected="a `uid` from the job's `series`",
            remedy="choose one of them",
        )
    options = job.options.model_copy(update={"series": choice.series})
    store.choose(job.id, options)
    workers.wake()
    return with_files(store.get(job.id), settings)


@router.post(
    "/{job_id}/again",
    status_code=202,
    operation_id="submit_again",
    responses=refusals(_404="No such job", _422="Unusable settings", _429="Too many jobs waiting"),
)
def submit_again(
    job: OwnJob, request: AgainRequest, store: Store, settings: ServiceSettings, workers: Workers
) -> JobView:
    """Queue the images of an earlier job with another model or threshold."""
    check_model(request.model)
    room_for(settings.state_dir, min_free_bytes=settings.min_free_bytes)
    options = job.options.model_copy(update=request.model_dump())
    with stage(settings.staging_dir) as staging:
        staging.adopt(settings.jobs_dir / job.id / "input")
        new = queue(staging, options, job.owner, store, settings, label=job.label)
    workers.wake()
    return new


@router.post("/{job_id}/cancel", operation_id="cancel_job", responses=refusals(_404="No such job"))
def cancel_job(job: OwnJob, store: Store, settings: ServiceSettings, workers: Workers) -> JobView:
    """Stop a job; one that has finished stays as it is."""
    store.cancel(job.id)
    workers.wake()
    return with_files(store.get(job.id), settings)


@router.delete(
    "/{job_id}",
    status_code=204,
    operation_id="delete_job",
    responses=refusals(_404="No such job"),
)
def delete_job(
    job: OwnJob,
    store: Store,
    settings: ServiceSettings,
    job_id: Annotated[str, Path(description="The job's id")],
) -> None:
    """Stop a job and delete its images, its results and its record."""
    store.cancel(job.id)
    store.delete(job.id)
    remove(settings.jobs_dir / job_id)


def check_model(name: str | None) -> None:
    """Take installed models only: a bundle may also be named by a path, but not from outside."""
    from brainmets.inference import list_bundles

    if name is not None and name not in list_bundles():
        raise UnknownModel(
            "a model that is not installed here",
            expected="a name from /v1/models",
            remedy="choose one of them, or leave the model out",
        )


def _bad_form(most: int) -> BadRequest:
    return BadRequest(
        "a body that is not a form with files",
        expected=f"multipart/form-data with at most {most} images in the field `files`",
        remedy="send it as /openapi.json documents",
    )
