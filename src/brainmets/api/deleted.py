"""Requests about a job or an upload that is deleted while they are answered."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from starlette.concurrency import run_in_threadpool

from brainmets.api.limits import LOCAL_OWNER
from brainmets.domain.errors import BrainmetsError, UnknownJob

if TYPE_CHECKING:
    from fastapi import Request

    from brainmets.api.store import JobStore
    from brainmets.api.uploads import Uploads

__all__ = ["deleted_meanwhile"]


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
