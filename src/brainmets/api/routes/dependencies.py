"""What the routes share: the caller, the job list, the settings, the documented refusals."""

from __future__ import annotations

from typing import Annotated, Any, cast

from fastapi import Depends, Request

from brainmets.api.limits import LOCAL_OWNER
from brainmets.api.problems import MEDIA_TYPE
from brainmets.api.schemas import Problem
from brainmets.api.settings import Settings
from brainmets.api.store import JobStore, StoredJob
from brainmets.api.supervisor import Supervisor

__all__ = [
    "Caller",
    "OwnJob",
    "ServiceSettings",
    "Store",
    "Workers",
    "refusals",
]


def _caller(request: Request) -> str:
    return str(request.scope.get("brainmets.owner", LOCAL_OWNER))


def _settings(request: Request) -> Settings:
    return cast("Settings", request.app.state.settings)


def _store(request: Request) -> JobStore:
    return cast("JobStore", request.app.state.store)


def _supervisor(request: Request) -> Supervisor:
    return cast("Supervisor", request.app.state.supervisor)


Caller = Annotated[str, Depends(_caller)]
ServiceSettings = Annotated[Settings, Depends(_settings)]
Store = Annotated[JobStore, Depends(_store)]
Workers = Annotated[Supervisor, Depends(_supervisor)]


def _own_job(job_id: str, caller: Caller, store: Store) -> StoredJob:
    return store.get(job_id, owner=caller)


OwnJob = Annotated[StoredJob, Depends(_own_job)]


def refusals(**reasons: str) -> dict[int | str, dict[str, Any]]:
    """Document refusals by status, such as `refusals(_404="no such job")`."""
    reasons = {"_401": "API key missing or wrong", "_403": "Not from this computer"} | reasons
    return {
        int(status.removeprefix("_")): {
            "description": reason,
            "content": {MEDIA_TYPE: {"schema": Problem.model_json_schema()}},
        }
        for status, reason in reasons.items()
    }
