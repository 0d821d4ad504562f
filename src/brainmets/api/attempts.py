"""One attempt at a job: a worker computes it into a folder of its own, the job list decides.

The folder is named by the ticket. Which one holds the result is decided by the job list alone,
in the one change that makes the job `done`; every other attempt removes its own folder.
"""

from __future__ import annotations

import logging
import queue
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from brainmets.api.problems import problem_of
from brainmets.api.schemas import JobResult, Problem, SeriesView
from brainmets.api.staging import begin_attempt, remove
from brainmets.api.storage import files_gone
from brainmets.api.worker import Worker
from brainmets.domain.errors import (
    BrainmetsError,
    DiskFull,
    PoisonJob,
    StorageUnavailable,
    UnknownJob,
)
from brainmets.inference.machine import count_processors

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable
    from pathlib import Path

    from brainmets.api.liveness import Liveness
    from brainmets.api.metrics import Metrics
    from brainmets.api.settings import Settings
    from brainmets.api.storage import Storage
    from brainmets.api.store import JobStore, StoredJob

__all__ = ["AGAIN_AFTER_S", "POLL_S", "Attempts"]

POLL_S = 0.2
AGAIN_AFTER_S = 1.0

MOST_LOSSES = 10
"""How often a job may lose its server, or a worker that had not begun with it."""

_log = logging.getLogger("brainmets.jobs")


class Attempts:
    """Computes claimed jobs in worker processes, which stay warm from one job to the next."""

    def __init__(
        self,
        settings: Settings,
        store: JobStore,
        metrics: Metrics,
        storage: Storage,
        *,
        stopping: threading.Event,
        progress: Liveness,
    ) -> None:
        """Give every attempt up, and its job back, once `stopping` is set."""
        self._settings = settings
        self._store = store
        self._metrics = metrics
        self._storage = storage
        self._stopping = stopping
        self._progress = progress
        self._workers: queue.LifoQueue[Worker] = queue.LifoQueue()

    def run(self, job: StoredJob, *, interrupted: Callable[[], bool]) -> None:
        """See a claimed job through: to its result, its problem, or back into the queue.

        `interrupted` says whether it was cancelled, deleted or taken over. What goes wrong here
        leaves the job to be recovered.
        """
        _log.info("job %s: attempt %d", job.id, job.attempts)
        try:
            folder = begin_attempt(self._folder(job))
        except OSError:
            self._until_recorded(lambda: self._without_storage(job))
            return
        worker = self._worker()
        try:
            worker.give(
                {
                    "job_dir": str(folder),
                    "state_dir": str(self._settings.state_dir),
                    "patient": self._settings.show_patient,
                    "options": job.options.model_dump(mode="json"),
                    "runner": self._settings.runner,
                }
            )
            event = self._follow(job, worker, interrupted)
        except BaseException:
            worker.close()  # it may be at work on a job that is no longer ours
            raise
        if event is not None:
            self._workers.put(worker)
            event = self._seen_with_storage(event)
            self._until_recorded(lambda: self._record(job, event))
        if event is None or "result" not in event:
            self._discard(job)

    def prepare(self) -> None:
        """Start the workers before there is a job for them."""
        for _ in range(self._settings.workers):
            self._workers.put(self._started())

    def close(self) -> None:
        """End the workers that wait for another job."""
        while not self._workers.empty():
            self._workers.get().close()

    def lost(self, job: StoredJob, *, whose: str, begun: bool) -> None:
        """Give a job whose worker or server died another attempt, unless it has had its share."""
        self._metrics.lost(whose)
        if begun:
            again = job.attempts < self._settings.max_attempts
        else:
            again = job.server_losses < MOST_LOSSES
        if not again:
            self._give_up(job)
        elif self._store.retry(
            job, lost=not begun, after_s=job.attempts * self._settings.retry_after_s if begun else 0
        ):
            _log.warning("job %s: %s lost, queued again", job.id, whose)

    def _folder(self, job: StoredJob) -> Path:
        return self._settings.result_dir(job.id, job.ticket)

    def _worker(self) -> Worker:
        while not self._workers.empty():
            worker = self._workers.get()
            if worker.fit(self._settings.worker_jobs):
                return worker
            worker.close()
        return self._started()

    def _started(self) -> Worker:
        threads = max(1, count_processors() // max(1, self._settings.workers))
        return Worker(self._settings.worker_memory_bytes, threads=threads)

    def _follow(
        self, job: StoredJob, worker: Worker, interrupted: Callable[[], bool]
    ) -> dict[str, Any] | None:
        """Return the event that ends the job; None where the worker had to be ended instead."""
        deadline = time.monotonic() + self._settings.job_timeout_s
        begun = False
        while True:
            if self._stopping.is_set():
                worker.close()
                self._store.give_back(job)
                return None
            event = worker.next_event(timeout_s=POLL_S)
            self._progress.note()
            working = worker.alive and worker.silent_s < self._settings.worker_silence_s
            if event is None and not (working and time.monotonic() < deadline):
                event = worker.next_event(timeout_s=0.0)  # its last one, if any
                if event is None:
                    if worker.alive:
                        _log.warning("job %s: its worker is silent or out of time", job.id)
                    worker.close()
                    self._until_recorded(partial(self.lost, job, whose="worker", begun=begun))
                    return None
            begun = begun or event is not None
            if event is not None and "stage" not in event:
                return event
            if not self._holds(job, event, interrupted):
                worker.close()
                return None

    def _holds(
        self, job: StoredJob, event: dict[str, Any] | None, interrupted: Callable[[], bool]
    ) -> bool:
        try:
            if event is not None:
                held = self._store.progress(job, stage=event["stage"], done=event["done"])
                return held and not interrupted()
            return not interrupted()
        except BrainmetsError as error:  # out of reach: its ticket decides at the end
            _log.error("job %s: no progress to the list: %s", job.id, error.code)
            return True

    def _until_recorded(self, record: Callable[[], None]) -> None:
        """Record how a job ended, however long the job list takes to be there again."""
        while True:
            try:
                record()
            except BrainmetsError as error:
                _log.error("the job list refuses with %s; trying again", error.code)
            else:
                return
            self._progress.note()
            if self._stopping.wait(AGAIN_AFTER_S):
                return  # the next server finds the job abandoned

    def _record(self, job: StoredJob, event: dict[str, Any]) -> None:
        if "result" in event:
            result = JobResult.model_validate(event["result"])
            if self._store.finish(job, result):
                self._metrics.finished(result)
                _log.info("job %s: done", job.id)
            else:
                self._discard(job)
        elif "series" in event:
            views = [SeriesView.model_validate(view) for view in event["series"]]
            self._store.ask(job, views)
            _log.info("job %s: needs a choice of series", job.id)
        else:
            problem = Problem.model_validate(event["problem"])
            if problem.code == StorageUnavailable.code:
                self._without_storage(job)
            elif problem.code == DiskFull.code:
                self._without_room(job, problem)
            else:
                self._failed(job, problem)

    def _seen_with_storage(self, event: dict[str, Any]) -> dict[str, Any]:
        """Blame the data folder for a problem that comes while it is away, whatever it is called.

        Readers call a file that has vanished missing, damaged or nothing that was foreseen.
        """
        if event.get("problem", {}).get("code") in {None, DiskFull.code}:
            return event
        try:
            self._storage.check()
        except StorageUnavailable as error:
            return {"problem": problem_of(error).model_dump(mode="json")}
        except BrainmetsError:
            return event
        return event

    def _failed(self, job: StoredJob, problem: Problem) -> None:
        if self._store.fail(job, problem):
            self._metrics.failed(problem.code)
            _log.info("job %s: failed with %s", job.id, problem.code)

    def _without_storage(self, job: StoredJob) -> None:
        """Give a job back while the data folder is away; fail it where only its files are gone."""
        try:
            self._storage.check()
        except BrainmetsError as error:
            _log.error("job %s: given back: %s", job.id, error.code)
            self._store.give_back(job)
            self._await_storage()
            return
        if (self._settings.jobs_dir / job.id / "input").is_dir():
            self.lost(job, whose="storage", begun=False)
        else:
            self._failed(job, problem_of(files_gone()))

    def _without_room(self, job: StoredJob, problem: Problem) -> None:
        """Give a job back while the disk is full; fail it where it alone needs more than there is.

        What it has written is removed first.
        """
        self._discard(job)
        try:
            self._storage.check()
        except BrainmetsError as error:
            _log.error("job %s: given back: %s", job.id, error.code)
            self._until_recorded(lambda: self._give_back(job))  # the list has no room either
            self._await_storage()
        else:
            self._failed(job, problem)

    def _give_back(self, job: StoredJob) -> None:
        self._store.give_back(job)

    def _await_storage(self) -> None:
        while not self._stopping.wait(AGAIN_AFTER_S):
            self._progress.note()
            try:
                self._storage.check()
            except BrainmetsError as error:
                _log.error("no job is computed: %s", error.code)
            else:
                return

    def _discard(self, job: StoredJob) -> None:
        """Remove what this attempt wrote, and the whole folder where the job was deleted."""
        remove(self._folder(job))
        if self._folder(job).parent.is_dir() and not self._known(job):
            remove(self._folder(job).parent)

    def _known(self, job: StoredJob) -> bool:
        try:
            self._store.get(job.id)
        except UnknownJob:
            return False
        except BrainmetsError:
            return True
        return True

    def _give_up(self, job: StoredJob) -> None:
        error = PoisonJob(
            "an image that stopped its worker time and again",
            expected="an image that fits the available memory and time",
            remedy="try a smaller image, or report it to the operator of this service",
        )
        self._failed(job, problem_of(error))
