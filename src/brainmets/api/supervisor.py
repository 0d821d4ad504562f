"""Hands queued jobs to worker processes, and outlives every one of them.

It also deletes folders that no job owns any more, and jobs whose time is over.
"""

from __future__ import annotations

import fcntl
import logging
import os
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from brainmets.api.attempts import AGAIN_AFTER_S, POLL_S, Attempts
from brainmets.api.audit import Audit
from brainmets.api.liveness import Liveness
from brainmets.api.staging import remove
from brainmets.domain.errors import UnknownJob

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

    from brainmets.api.metrics import Metrics
    from brainmets.api.settings import Settings
    from brainmets.api.storage import Storage
    from brainmets.api.store import JobStore

__all__ = ["Supervisor", "sweep"]

SWEEP_EVERY_S = 60.0
RECOVER_EVERY_S = 0.5

_log = logging.getLogger("brainmets.jobs")


class Supervisor:
    """Threads that compute the jobs of an SQLite list, in the one server that holds its lock.

    Other servers on the same data folder take jobs in and wait for the lock. Whoever gets it
    queues again what is still called running: its server is gone.
    """

    def __init__(
        self, settings: Settings, store: JobStore, metrics: Metrics, storage: Storage
    ) -> None:
        """Prepare; `start` begins."""
        self._settings = settings
        self._store = store
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._threads: list[threading.Thread] = []
        self._lock_file: int | None = None
        self._progress = Liveness()
        self._held: set[int] = set()
        self._claiming, self._locking = threading.Lock(), threading.Lock()
        self._attempts = Attempts(
            settings, store, metrics, storage, stopping=self._stop, progress=self._progress
        )

    def start(self) -> None:
        """Begin to take jobs, as soon as no other server does."""
        if self._settings.workers:
            self._begin(self._lead, "brainmets-lead")

    def stop(self) -> None:
        """Stop the workers; their jobs go back to the queue and lose no attempt."""
        self._stop.set()
        self._wake.set()
        for thread in list(self._threads):
            thread.join(timeout=20)
        self._attempts.close()
        if self._lock_file is not None:
            os.close(self._lock_file)
            self._lock_file = None

    def stalled(self) -> list[str]:
        """Name the threads that make no progress: jobs would wait for ever."""
        return self._progress.stalled()

    def wake(self) -> None:
        """Look at the queue now."""
        self._wake.set()

    def _begin(self, target: Callable[[], None], name: str) -> None:
        def watched() -> None:
            self._progress.note()
            target()
            self._progress.leave()
            self._store.release()

        thread = threading.Thread(target=watched, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _lead(self) -> None:
        while not self._ready():
            self._progress.note()
            if self._stop.wait(AGAIN_AFTER_S):
                return
        self._begin_work()
        self._begin(self._sweep, "brainmets-sweep")
        while not self._stop.wait(RECOVER_EVERY_S):
            self._tried(self._recover)
            self._progress.note()

    def _sweep(self) -> None:
        self._progress.leave()  # it waits for long, and no job waits for it
        while not self._stop.is_set():
            self._tried(lambda: sweep(self._settings, self._store))
            self._stop.wait(SWEEP_EVERY_S)

    def _ready(self) -> bool:
        """Whether this server may compute: it holds the lock and has recovered what was left."""
        return self._take_lock() and self._tried(self._recover)

    def _begin_work(self) -> None:
        for number in range(self._settings.workers):
            self._begin(self._work, f"brainmets-worker-{number}")

    def _take_lock(self) -> bool:
        """Whether this server holds the lock of the data folder that is there now.

        One that holds the lock of a folder that was replaced, such as by a backup, holds nothing.
        """
        path = self._settings.state_dir / "jobs.lock"
        with self._locking:
            if self._lock_file is not None:
                if _is_at(self._lock_file, path):
                    return True
                os.close(self._lock_file)
                self._lock_file = None
            try:
                file = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
            except OSError:
                return False
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(file)
                return False
            self._lock_file = file
            return _is_at(file, path)

    def _tried(self, action: Callable[[], object]) -> bool:
        """Do it; a fault, such as a job list out of reach, is logged and no thread dies of it."""
        try:
            action()
        except Exception as error:  # noqa: BLE001 - a dead thread would leave every job waiting
            _log.error("supervising failed with %s; trying again", type(error).__name__)
            return False
        return True

    def _recover(self) -> None:
        """Queue again what nobody computes any more."""
        if not self._take_lock():
            return
        with self._claiming:
            abandoned = self._store.abandoned(held=self._held)
        for job in abandoned:
            self._attempts.lost(job, whose="server", begun=False)

    def _work(self) -> None:
        while not self._stop.is_set():
            if not self._tried(self._work_once):
                self._progress.note()  # it tries: not the thread is at fault, the list is
                self._stop.wait(AGAIN_AFTER_S)

    def _work_once(self) -> None:
        """Claim a job and see it through."""
        leads = self._take_lock()
        with self._claiming:
            job = self._store.claim() if leads else None
            if job is not None:
                self._held.add(job.ticket)
        self._progress.note()
        if job is None:
            self._wake.wait(POLL_S)
            self._wake.clear()
            return
        try:
            self._attempts.run(job, interrupted=lambda: not self._store.holds(job))
        finally:
            self._held.discard(job.ticket)


def _is_at(file: int, path: Path) -> bool:
    """Whether an open file is the one at a path."""
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except OSError:
        return False


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
            Audit(settings.audit_file).note("service", "retention", job=job_id)
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
