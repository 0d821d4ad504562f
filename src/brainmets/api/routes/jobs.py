"""Submit images, follow the work, answer the series question, cancel, delete."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator  # noqa: TC003 - FastAPI reads the annotation
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import contextmanager_in_threadpool
from fastapi.sse import EventSourceResponse, ServerSentEvent
from starlette.concurrency import run_in_threadpool

from brainmets.api.followup import follow_again
from brainmets.api.forms import JOB_FORM, receive_form
from brainmets.api.intake import check_model, options_of
from brainmets.api.routes.answers import OF_BODIES, events_answer, json_answer, refusals
from brainmets.api.routes.dependencies import (
    Caller,
    OwnJob,
    ServiceSettings,
    Stopping,
    Store,
    TakeIn,
    Workers,
    locate,
)
from brainmets.api.routes.examples import CANCELLED, DONE, EVENT, JOBS, QUEUED
from brainmets.api.routes.results import with_files
from brainmets.api.schemas import (
    FINISHED,
    AgainRequest,
    JobEvent,
    JobFilter,
    JobList,
    JobOptions,
    JobView,
    SeriesChoice,
    SeriesView,
)
from brainmets.api.staging import remove, stage
from brainmets.api.storage import room_for
from brainmets.domain import errors
from brainmets.domain.errors import BadRequest, BrainmetsError

__all__ = ["chosen_series", "router"]

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

EVENT_EVERY_S = 0.2


@router.post(
    "",
    status_code=202,
    operation_id="submit_job",
    openapi_extra=JOB_FORM,
    responses=json_answer(QUEUED, 202, "Queued")
    | refusals(
        *OF_BODIES,
        errors.FileMissing,
        errors.UnknownModel,
        errors.QueueFull,
        errors.DiskFull,
    ),
)
async def submit(
    *, request: Request, response: Response, settings: ServiceSettings, intake: TakeIn
) -> JobView:
    """Take images in and queue them; the same images again are the same job."""
    await run_in_threadpool(intake.refuse_early)
    async with contextmanager_in_threadpool(stage(settings.staging_dir)) as staging:
        fields = await receive_form(request, staging, settings)

        def queue() -> JobView:
            staging.require_files()
            options = options_of(fields, staging.names)
            return with_files(intake.queue(staging, options), settings)

        job = await run_in_threadpool(queue)
    locate(request, response, f"/v1/jobs/{job.id}")
    return job


@router.post(
    "/sample",
    status_code=202,
    operation_id="submit_sample",
    responses=json_answer(QUEUED, 202, "Queued")
    | refusals(errors.QueueFull, errors.DiskFull, errors.OutOfMemory, errors.ServiceStopping),
)
async def submit_sample(
    *,
    request: Request,
    response: Response,
    settings: ServiceSettings,
    intake: TakeIn,
    stopping: Stopping,
) -> JobView:
    """Queue the built-in synthetic case: no data of one's own is needed to see a result."""
    from brainmets.api.sample import sample_file

    await run_in_threadpool(intake.refuse_early)
    sample = await sample_file(settings.state_dir / "sample", stopping)

    def queue() -> JobView:
        with stage(settings.staging_dir) as staging, sample.open("rb") as content:
            staging.add(sample.name, content)
            return with_files(intake.queue(staging, JobOptions(sample=True)), settings)

    job = await run_in_threadpool(queue)
    locate(request, response, f"/v1/jobs/{job.id}")
    return job


@router.get(
    "",
    operation_id="list_jobs",
    responses=json_answer(JOBS) | refusals(errors.BadRequest),
)
def list_jobs(caller: Caller, store: Store, wanted: Annotated[JobFilter, Query()]) -> JobList:
    """List the caller's jobs, newest first, without their results; filters narrow the list."""
    jobs = store.jobs(
        owner=caller,
        search=wanted.text,
        state=wanted.state,
        model=wanted.model,
        since=wanted.since,
        before=wanted.before,
        limit=wanted.limit + 1,
    )
    shown = (JobView.model_validate(job.model_dump()) for job in jobs[: wanted.limit])
    return JobList(jobs=tuple(shown), more=len(jobs) > wanted.limit)


@router.get(
    "/{job_id}",
    operation_id="get_job",
    responses=json_answer(DONE) | refusals(errors.UnknownJob, errors.BadRequest),
)
def get_job(job: OwnJob, settings: ServiceSettings) -> JobView:
    """Return a job with its progress, its result or its problem."""
    return with_files(job, settings)


@router.get(
    "/{job_id}/events",
    operation_id="follow_job",
    responses=events_answer(EVENT) | refusals(errors.UnknownJob, errors.BadRequest),
    response_class=EventSourceResponse,
)
async def events(
    job: OwnJob, caller: Caller, store: Store, stopping: Stopping, response: Response
) -> AsyncIterator[ServerSentEvent]:
    """Stream `{state, stage, done}` as server-sent events until the job stops.

    A stream that ends while the job runs, because the service stops, is to be opened again.
    """
    response.headers["Cache-Control"] = "no-store"
    last: JobEvent | None = None
    while not stopping.is_set():
        try:
            now = await run_in_threadpool(store.get, job.id, owner=caller)
        except errors.UnknownJob:  # deleted meanwhile
            yield ServerSentEvent(event="deleted", data={})
            return
        except BrainmetsError:  # the job list is away for a moment
            now = None
        if now is not None:
            event = JobEvent(state=now.state, stage=now.stage, done=now.done)
            if event != last:
                yield ServerSentEvent(event="progress", data=event)
                last = event
            if now.state in FINISHED or now.state == "needs_choice":
                return
        await asyncio.sleep(EVENT_EVERY_S)


def chosen_series(offered: tuple[SeriesView, ...], wanted: str) -> str:
    """Return what names one of the series offered and no other.

    Raises:
        BadRequest: none is meant, or several are.
    """
    for fitting in (
        [one for one in offered if one.choice == wanted],
        [one for one in offered if one.uid == wanted],
        [one for one in offered if str(one.number) == wanted],
    ):
        if len(fitting) == 1:
            return fitting[0].choice or wanted
        if fitting:
            raise BadRequest(
                f"{len(fitting)} volumes under that series",
                expected="the `choice` of one of them",
                remedy="choose one by its `choice` from the job's `series`",
            )
    raise BadRequest(
        "a series that is not among those found",
        expected="a `choice` from the job's `series`",
        remedy="choose one of them",
    )


@router.post(
    "/{job_id}/series",
    status_code=202,
    operation_id="choose_series",
    responses=json_answer(QUEUED, 202, "Queued again") | refusals(errors.UnknownJob, *OF_BODIES),
)
def choose_series(
    job: OwnJob, choice: SeriesChoice, store: Store, settings: ServiceSettings, workers: Workers
) -> JobView:
    """Answer `needs_choice` with the `choice` of one of the listed series."""
    options = job.options.model_copy(update={"series": chosen_series(job.series, choice.series)})
    store.choose(job.id, options)
    workers.wake()
    return with_files(store.get(job.id), settings)


@router.post(
    "/{job_id}/again",
    status_code=202,
    operation_id="submit_again",
    responses=json_answer(QUEUED, 202, "Queued")
    | refusals(
        *OF_BODIES,
        errors.UnknownJob,
        errors.UnknownModel,
        errors.JobNotFinished,
        errors.QueueFull,
        errors.DiskFull,
    ),
)
def submit_again(
    job: OwnJob, request: AgainRequest, settings: ServiceSettings, intake: TakeIn
) -> JobView:
    """Queue the images of an earlier job with another model or threshold.

    A follow-up has neither: its jobs are followed again in their current state, reviews included.
    """
    if job.options.followup is not None:
        if request != AgainRequest():
            raise BadRequest(
                "a model or threshold for a follow-up, which segments nothing itself",
                expected="an empty request: `{}`",
                remedy="submit the scans themselves again with it, then follow those jobs",
            )
        return with_files(follow_again(job.options.followup, intake), settings)
    check_model(request.model)
    room_for(settings.state_dir, min_free_bytes=settings.min_free_bytes)
    options = job.options.model_copy(update=request.model_dump())
    with stage(settings.staging_dir) as staging:
        staging.adopt(settings.jobs_dir / job.id / "input")
        return with_files(intake.queue(staging, options, label=job.label), settings)


@router.post(
    "/{job_id}/cancel",
    operation_id="cancel_job",
    responses=json_answer(CANCELLED) | refusals(errors.UnknownJob, errors.BadRequest),
)
def cancel_job(job: OwnJob, store: Store, settings: ServiceSettings, workers: Workers) -> JobView:
    """Stop a job; one that has finished stays as it is."""
    store.cancel(job.id)
    workers.wake()
    return with_files(store.get(job.id), settings)


@router.delete(
    "/{job_id}",
    status_code=204,
    operation_id="delete_job",
    responses=refusals(errors.UnknownJob, errors.BadRequest),
)
def delete_job(job: OwnJob, store: Store, settings: ServiceSettings) -> None:
    """Stop a job and delete its images, its results and its record."""
    store.delete(job.id)
    remove(settings.jobs_dir / job.id)
