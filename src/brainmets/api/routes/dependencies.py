"""What the routes share: the caller, the job list, the settings, the way in."""

from __future__ import annotations

import asyncio
import re
from typing import Annotated, cast

from fastapi import Depends, Path, Request, Response

from brainmets.api.intake import Intake
from brainmets.api.limits import LOCAL_OWNER
from brainmets.api.settings import Settings
from brainmets.api.store import JobStore, StoredJob, unknown_job
from brainmets.api.supervisor import Supervisor

__all__ = [
    "Caller",
    "OwnJob",
    "ServiceSettings",
    "Stopping",
    "Store",
    "TakeIn",
    "Workers",
    "locate",
]


def _caller(request: Request) -> str:
    return str(request.scope.get("brainmets.owner", LOCAL_OWNER))


def _settings(request: Request) -> Settings:
    return cast("Settings", request.app.state.settings)


def _store(request: Request) -> JobStore:
    return cast("JobStore", request.app.state.store)


def _supervisor(request: Request) -> Supervisor:
    return cast("Supervisor", request.app.state.supervisor)


def _stopping(request: Request) -> asyncio.Event:
    return cast("asyncio.Event", request.app.state.stopping)


_ID = re.compile(r"[0-9a-f]{16}")

Caller = Annotated[str, Depends(_caller)]
ServiceSettings = Annotated[Settings, Depends(_settings)]
Store = Annotated[JobStore, Depends(_store)]
Workers = Annotated[Supervisor, Depends(_supervisor)]
Stopping = Annotated[asyncio.Event, Depends(_stopping)]
"""Set when the service begins to stop: whatever could go on for long ends then."""


def _intake(caller: Caller, store: Store, settings: ServiceSettings, workers: Workers) -> Intake:
    return Intake(owner=caller, store=store, settings=settings, workers=workers)


TakeIn = Annotated[Intake, Depends(_intake)]


def _own_job(
    job_id: Annotated[str, Path(description="The job's id", max_length=64)],
    caller: Caller,
    store: Store,
) -> StoredJob:
    if not _ID.fullmatch(job_id):
        raise unknown_job()
    return store.get(job_id, owner=caller)


OwnJob = Annotated[StoredJob, Depends(_own_job)]


def locate(request: Request, response: Response, path: str) -> None:
    """Say where the thing that was made is to be found."""
    response.headers["Location"] = f"{request.scope.get('root_path', '')}{path}"
