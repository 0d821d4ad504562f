"""The application factory: settings in, a FastAPI application out."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

import brainmets
from brainmets.api.audit import Audit, AuditTrail
from brainmets.api.bodies import BodyKeeper, close_half_open, noting_stop
from brainmets.api.engines import open_supervisor
from brainmets.api.exports import Exports
from brainmets.api.journal import speak
from brainmets.api.limits import LOCAL_OWNER, Authentication, ByteCap
from brainmets.api.metrics import Metrics, RequestMeter
from brainmets.api.problems import MEDIA_TYPE, RETRIED, problem_of
from brainmets.api.routes import (
    documentation,
    followup,
    jobs,
    pacs,
    results,
    sequences,
    service,
    session,
    uploads,
)
from brainmets.api.sessions import Sessions
from brainmets.api.settings import Settings
from brainmets.api.storage import Storage, storage_error
from brainmets.api.store import RETRY_AFTER_S, open_store
from brainmets.api.uploads import Uploads
from brainmets.domain import RESEARCH_USE_ONLY
from brainmets.domain.errors import (
    BadRequest,
    BrainmetsError,
    StorageUnavailable,
    Unforeseen,
    UnknownJob,
)
from brainmets.inference.allocation import return_freed_memory

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from brainmets.api.store import JobStore

__all__ = ["create_app"]

_log = logging.getLogger("brainmets.api")

LOOPBACK_ORIGINS = r"https?://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?"
"""Pages that may read answers: the Streamlit page on its own port of this computer."""

_DESCRIPTION = f"""Brain metastases in MR images: found, measured, segmented.

**{RESEARCH_USE_ONLY}**

Submit images with `POST /v1/jobs`, follow `GET /v1/jobs/{{id}}` or its `/events`, then take
the files. Every refusal is `application/problem+json` with a stable `code`.
"""


def create_app(settings: Settings | None = None) -> FastAPI:
    """Return the service; without `settings` they come from the environment."""
    settings = settings or Settings()
    metrics = Metrics()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        speak(settings.log_level, app.openapi()["paths"])
        close_half_open()
        return_freed_memory()
        app.state.storage = storage = Storage(settings)
        store = open_store(settings.job_list)
        supervisor = open_supervisor(settings, store, metrics, storage)
        app.state.stopping = stopping = asyncio.Event()
        app.state.uploads = Uploads(settings, stopping)
        app.state.exports = Exports(memory_bytes=settings.worker_memory_bytes, stopping=stopping)
        app.state.settings, app.state.store, app.state.supervisor = settings, store, supervisor
        supervisor.start()
        try:
            with noting_stop(stopping):
                yield
        finally:
            stopping.set()
            await run_in_threadpool(supervisor.stop)
            store.close()

    app = FastAPI(
        title="brainmets",
        version=brainmets.__version__,
        description=_DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,  # the stock pages load scripts from a CDN; /docs is ours
        redoc_url=None,
        license_info={"name": "Apache-2.0"},
    )
    app.include_router(service.router)
    app.include_router(documentation.router)
    app.include_router(jobs.router)
    app.include_router(followup.router)
    app.include_router(results.router)
    app.include_router(sequences.router)
    app.include_router(uploads.router)
    app.include_router(pacs.router)
    app.include_router(session.router)
    app.add_exception_handler(BrainmetsError, _explain)
    app.add_exception_handler(RequestValidationError, _explain_validation)
    app.add_exception_handler(HTTPException, _explain_http)
    app.add_exception_handler(OSError, _explain_storage)
    app.add_exception_handler(Exception, _explain_unforeseen)
    app.add_middleware(ByteCap, limit_bytes=settings.max_upload_bytes)
    sessions = Sessions.of(settings.state_dir, settings.keys) if settings.keys else None
    app.state.sessions = sessions
    app.add_middleware(Authentication, keys=settings.keys, sessions=sessions)
    app.add_middleware(BodyKeeper)
    app.state.metrics = metrics
    app.add_middleware(RequestMeter, metrics=metrics)
    if settings.audit_file is not None:
        app.add_middleware(AuditTrail, audit=Audit(settings.audit_file))
    app.add_middleware(
        CORSMiddleware,
        allow_origin_regex=LOOPBACK_ORIGINS,
        allow_origins=settings.origins,
        allow_credentials=True,  # the cookie of `POST /v1/session`; SameSite keeps it at home
        allow_methods=["GET", "POST", "PUT", "DELETE"],
        allow_headers=["Authorization", "Content-Type"],
    )
    return app


def _problem(error: BrainmetsError, *, status: int | None = None) -> JSONResponse:
    problem = problem_of(error, status=status)
    headers = {"Retry-After": str(RETRY_AFTER_S)} if problem.status in RETRIED else None
    return JSONResponse(
        problem.model_dump(), status_code=problem.status, media_type=MEDIA_TYPE, headers=headers
    )


async def _explain(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, BrainmetsError)  # noqa: S101 - registered for nothing else
    if isinstance(error, StorageUnavailable):
        return _problem(await deleted_meanwhile(request) or error)
    return _problem(error)


async def _explain_validation(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for nothing else
    fields = sorted({".".join(str(part) for part in item["loc"][1:]) for item in error.errors()})
    choices = sorted(
        {error["ctx"]["expected"] for error in error.errors() if _names_choices(error)}
    )
    return _problem(
        BadRequest(
            f"unusable values in {', '.join(filter(None, fields)) or 'the request'}",
            expected="; ".join(choices) or "the form that /openapi.json documents",
            remedy="correct the request, as /docs shows it",
        )
    )


def _names_choices(error: dict[str, Any]) -> bool:
    """Say whether the schema itself lists what it would have taken."""
    return error["type"] in {"literal_error", "enum"} and "expected" in error.get("ctx", {})


async def _explain_http(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for nothing else
    if error.status_code == HTTPStatus.BAD_REQUEST:
        return _problem(
            BadRequest(
                "a body that cannot be read",
                expected="UTF-8 text that is JSON, as /openapi.json documents",
                remedy="correct the request",
            )
        )
    refusal = BadRequest(
        f"a request that HTTP answers with {error.status_code} {error.detail}".rstrip("."),
        expected="a path and method that /openapi.json documents",
        remedy="correct the request",
    )
    response = _problem(refusal, status=error.status_code)
    response.headers.update(error.headers or {})
    return response


async def _explain_storage(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, OSError)  # noqa: S101 - registered for nothing else
    known = await deleted_meanwhile(request) or storage_error(error)
    return await _explain_unforeseen(request, error) if known is None else _problem(known)


async def _explain_unforeseen(_request: Request, error: Exception) -> JSONResponse:
    _log.error("a request failed: %s", type(error).__name__)
    return _problem(
        Unforeseen(
            "a fault that brainmets did not foresee",
            expected="an answer or an explained refusal",
            remedy="please report it with the lines of the service's log",
        )
    )


async def deleted_meanwhile(request: Request) -> UnknownJob | None:
    """Return the refusal of what a request is about, where that is no longer there.

    A file that is missing then is nobody's fault.
    """
    owner = str(request.scope.get("brainmets.owner", LOCAL_OWNER))
    job_id, upload_id = (request.path_params.get(name) for name in ("job_id", "upload_id"))
    try:
        if job_id is not None:
            store = cast("JobStore", request.app.state.store)
            await run_in_threadpool(store.get, job_id, owner=owner)
        if upload_id is not None:
            uploads = cast("Uploads", request.app.state.uploads)
            await run_in_threadpool(uploads.staging, upload_id, owner)
    except UnknownJob as gone:
        return gone
    except BrainmetsError:  # the job list is away too
        return None
    return None
