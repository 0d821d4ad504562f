"""How the service stands, and which models it has."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast, get_args

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse
from starlette.concurrency import run_in_threadpool

import brainmets
from brainmets.api.routes.dependencies import Store, refusals
from brainmets.api.schemas import JobState, ModelView, ServiceView
from brainmets.domain.errors import BrainmetsError

if TYPE_CHECKING:
    from brainmets.inference import Bundle

__all__ = ["router"]

router = APIRouter(tags=["service"])


@router.get("/healthz", operation_id="get_health")
async def health() -> ServiceView:
    """Say that the process answers."""
    return ServiceView(status="ok", version=brainmets.__version__)


@router.get(
    "/readyz",
    operation_id="get_readiness",
    responses={503: {"model": ServiceView, "description": "A model cannot be used"}},
)
async def readiness(request: Request, response: Response, store: Store) -> ServiceView:
    """Say whether jobs can be computed: every model verified against its SHA-256."""
    verified: bool = getattr(request.app.state, "models_verified", False)
    detail = ""
    if not verified:
        try:
            await run_in_threadpool(_models)
            request.app.state.models_verified = verified = True
        except BrainmetsError as error:
            detail = str(error)
    counts = await run_in_threadpool(store.counts)
    if not verified:
        response.status_code = 503
    return ServiceView(
        status="ok" if verified else "not ready",
        version=brainmets.__version__,
        detail=detail,
        waiting=counts.get("queued", 0),
        running=counts.get("running", 0),
    )


@router.get(
    "/metrics",
    operation_id="get_metrics",
    response_class=PlainTextResponse,
    responses=refusals(),
)
def metrics(store: Store) -> PlainTextResponse:
    """Count jobs by state, in Prometheus' text format; nothing names a patient or a file."""
    counts = store.counts()
    lines = ["# HELP brainmets_jobs Jobs by state.", "# TYPE brainmets_jobs gauge"]
    lines += [f'brainmets_jobs{{state="{s}"}} {counts.get(s, 0)}' for s in get_args(JobState)]
    return PlainTextResponse("\n".join(lines) + "\n")


@router.get("/v1/models", operation_id="list_models", responses=refusals())
def models() -> list[ModelView]:
    """List the models that a job may name."""
    return [_view(bundle) for bundle in _models()]


def _models() -> list[Bundle]:
    from brainmets.inference import Bundle, list_bundles

    return [Bundle.load(name) for name in list_bundles()]


def _view(bundle: Bundle) -> ModelView:
    plan, architecture = bundle.plan, bundle.architecture
    return ModelView(
        name=bundle.name,
        dims=architecture.dims,
        architecture=architecture.name,
        sequences=tuple(cast("tuple[str, ...]", plan.sequences)),
        threshold=bundle.operating_point.threshold,
        sha256=bundle.sha256,
        card=bundle.card,
    )
