"""How the service stands, and which models it has."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, cast, get_args

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse
from starlette.concurrency import run_in_threadpool

import brainmets
from brainmets.api.liveness import STALLED_AFTER_S
from brainmets.api.metrics import CONTENT_TYPE, Metrics
from brainmets.api.routes.answers import bytes_answer, json_answer, refusals
from brainmets.api.routes.dependencies import Stopping, Store, Workers  # noqa: TC001 - FastAPI reads it
from brainmets.api.routes.examples import METRICS, MODELS, NOT_READY, READY
from brainmets.api.schemas import JobState, ModelView, ServiceView
from brainmets.api.store import RETRY_AFTER_S
from brainmets.domain.errors import BrainmetsError, BundleTampered, ServiceStopping, WorkersStalled

if TYPE_CHECKING:
    from starlette.datastructures import State

    from brainmets.api.storage import Storage
    from brainmets.inference import Bundle

__all__ = ["router"]

router = APIRouter(tags=["service"])


@router.get("/healthz", operation_id="get_health", responses=json_answer(READY))
async def health() -> ServiceView:
    """Say that the process answers."""
    return ServiceView(status="ok", version=brainmets.__version__)


@router.get(
    "/readyz",
    operation_id="get_readiness",
    responses=json_answer(READY) | json_answer(NOT_READY, 503, "Jobs cannot be taken in now"),
)
async def readiness(
    request: Request, response: Response, store: Store, workers: Workers, stopping: Stopping
) -> ServiceView:
    """Say whether jobs can be taken in and computed.

    The job list must answer, the threads that hand jobs to workers make progress, and every
    model be what its SHA-256 says.
    """
    faults: list[str] = []
    if stopping.is_set():
        faults.append(f"{ServiceStopping.code}: the service stops")
    try:
        await run_in_threadpool(_verify_models, request.app.state)
    except BrainmetsError as error:
        faults.append(str(error))
    counts: dict[str, int] = {}
    try:
        counts = await run_in_threadpool(store.counts)
        await run_in_threadpool(store.check)
    except BrainmetsError as error:
        faults.append(str(error))
    try:
        await run_in_threadpool(cast("Storage", request.app.state.storage).check)
    except BrainmetsError as error:
        faults.append(str(error))
    if stalled := workers.stalled():
        faults.append(str(_workers_stalled(stalled)))
    if faults:
        response.status_code = 503
        response.headers["Retry-After"] = str(RETRY_AFTER_S)
    return ServiceView(
        status="not ready" if faults else "ok",
        version=brainmets.__version__,
        detail=" · ".join(faults),
        waiting=counts.get("queued", 0),
        running=counts.get("running", 0),
    )


def _workers_stalled(threads: list[str]) -> WorkersStalled:
    return WorkersStalled(
        f"no progress for {STALLED_AFTER_S:.0f} s of {', '.join(threads)}",
        expected="a step every few seconds",
        remedy="start the service again: no job is lost",
    )


@router.get(
    "/metrics",
    operation_id="get_metrics",
    response_class=PlainTextResponse,
    responses=bytes_answer("text/plain", "Prometheus' text format", METRICS) | refusals(),
)
def metrics(request: Request, store: Store) -> PlainTextResponse:
    """Count requests and jobs, for Prometheus; nothing names a patient, a file or a caller."""
    try:
        counts = store.counts()
        jobs = {state: counts.get(state, 0) for state in get_args(JobState)}
    except BrainmetsError:
        jobs = None
    page = cast("Metrics", request.app.state.metrics).page(jobs)
    return PlainTextResponse(page, media_type=CONTENT_TYPE)


@router.get(
    "/v1/models",
    operation_id="list_models",
    responses=json_answer(MODELS) | refusals(BundleTampered),
)
def models() -> list[ModelView]:
    """List the models that a job may name."""
    return [_view(bundle) for bundle in _models()]


def _verify_models(state: State) -> None:
    """Read every model whose files have changed since they were last found sound."""
    from brainmets.bundles import SHIPPED_ANATOMY
    from brainmets.inference import bundle_file_states
    from brainmets.inference.anatomy_bundle import AnatomyBundle

    now = bundle_file_states()
    if getattr(state, "models_verified", None) != now:
        _models()
        AnatomyBundle.load(SHIPPED_ANATOMY)
        state.models_verified = now


def _models() -> tuple[Bundle, ...]:
    from brainmets.inference import bundle_file_states

    return _read_models(bundle_file_states())


@lru_cache(maxsize=1)
def _read_models(_files: object) -> tuple[Bundle, ...]:
    """Read every model; `_files` changes when a file of one does."""
    from brainmets.inference import Bundle, list_bundles

    return tuple(Bundle.load(name) for name in list_bundles())


def _view(bundle: Bundle) -> ModelView:
    from brainmets.workflows.model_quality import quality

    plan, architecture = bundle.plan, bundle.architecture
    return ModelView(
        name=bundle.name,
        dims=architecture.dims,
        architecture=architecture.name,
        sequences=tuple(cast("tuple[str, ...]", plan.sequences)),
        threshold=bundle.operating_point.threshold,
        sha256=bundle.sha256,
        quality=quality(bundle),
        card=bundle.card,
    )
