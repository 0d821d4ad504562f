"""Folders that no job owns any more, and jobs whose time is over, are deleted."""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from brainmets.api.staging import remove
from brainmets.domain.errors import UnknownJob

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from brainmets.api.settings import Settings
    from brainmets.api.store import JobStore

__all__ = ["sweep"]

UPLOAD_LIFE_S = 3600.0
"""How long an upload waits for its owner's word, or for a job to name it."""

LOST_RESULT_LIFE_S = 30 * 86_400.0
"""How long results stay that no job names: the list may have been lost, and can be restored."""


def sweep(settings: Settings, store: JobStore) -> None:
    """Delete expired jobs, uploads that nobody came back for and what killed servers left."""
    if settings.retention_hours:
        for job_id in store.expired(older_than_s=3600.0 * settings.retention_hours):
            store.delete(job_id)
            remove(settings.jobs_dir / job_id)
    known = store.tickets()
    for folder in settings.jobs_dir.iterdir():
        if folder.name in known:
            _sweep_attempts(folder, *known[folder.name])
        else:
            with _held(folder) as deserted:
                if deserted and not _exists(store, folder.name) and not _holds_results(folder):
                    remove(folder)
    for folder in settings.staging_dir.iterdir():
        with _held(folder) as deserted:
            if deserted and (_old(folder) or not (folder / "upload.json").exists()):
                remove(folder)


def _sweep_attempts(folder: Path, ticket: int, state: str) -> None:
    """Delete attempts that can no longer become the result: killed, or superseded."""
    over = ticket if state in {"failed", "cancelled"} else ticket - 1
    for attempt in folder.glob("attempt-*"):
        number = attempt.name.removeprefix("attempt-")
        if number.isdecimal() and int(number) <= over:
            remove(attempt)


def _exists(store: JobStore, job_id: str) -> bool:
    """Ask again: the job may have been queued since the list was read."""
    try:
        store.get(job_id)
    except UnknownJob:
        return False
    return True


def _holds_results(folder: Path) -> bool:
    """Whether a job has run in the folder, not long ago: with a lost list none is known."""
    return any(folder.glob("attempt-*")) and not _old(folder, LOST_RESULT_LIFE_S)


@contextmanager
def _held(folder: Path) -> Generator[bool]:
    """Say whether no process is filling the folder, and keep others out of it meanwhile.

    Whoever fills a folder holds a lock on it (`brainmets.api.staging.stage`).
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:  # gone meanwhile, or a file next to the folders
        yield _old(folder)
        return
    try:
        yield _lock(descriptor, folder)
    finally:
        os.close(descriptor)


def _lock(descriptor: int, folder: Path) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system that locks no folders
        return _old(folder)
    return True


def _old(folder: Path, life_s: float = UPLOAD_LIFE_S) -> bool:
    """Whether nothing in the folder has changed for so long: a slow upload still grows."""
    try:
        changes = [entry.stat().st_mtime for entry in (folder, *folder.rglob("*"))]
    except OSError:
        return False
    return time.time() - max(changes) > life_s
