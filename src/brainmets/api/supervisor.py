"""Runs queued jobs in worker processes, and outlives every one of them."""

from __future__ import annotations

import fcntl
import logging
import os
import re
import threading
import time
from typing import TYPE_CHECKING, Any

from brainmets.api.liveness import Liveness
from brainmets.api.problems import problem_of
from brainmets.api.schemas import JobResult, Problem, SeriesView
from brainmets.api.staging import remove
from brainmets.api.sweeping import sweep
from brainmets.api.worker import Worker
from brainmets.domain.errors import PoisonJob
from brainmets.inference.machine import count_processors

if TYPE_CHECKING:
    from collections.abc import Callable

    from brainmets.api.metrics import Metrics
    from brainmets.api.settings import Settings
    from brainmets.api.store import JobStore, StoredJob

__all__ = ["Supervisor"]

POLL_S = 0.2
SWEEP_EVERY_S = 60.0
RECOVER_EVERY_S = 5.0
AGAIN_AFTER_S = 1.0

MOST_INNOCENT_LOSSES = 10
"""How often a job may lose its server, or a worker that had not begun with it."""

_log = logging.getLogger("brainmets.jobs")


class Supervisor:
    """The threads that hand jobs to worker processes.

    Of several servers with one name on one state folder, the first supervises and the others
    wait to take over. Servers of different names share a job list: each holds its jobs by a
    lease, and takes over those whose lease is over.
    """

    def __init__(self, settings: Settings, store: JobStore, metrics: Metrics) -> None:
        """Prepare; `start` begins."""
        self._metrics = metrics
        self._settings = settings
        self._store = store
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._threads: list[threading.Thread] = []
        self._lock_file: int | None = None
        self._progress = Liveness()

    def start(self) -> None:
        """Begin to take jobs, as soon as no other server of this name does."""
        if self._settings.workers:
            self._begin(self._lead, "brainmets-lead")

    def stop(self) -> None:
        """Stop the workers; their jobs go back to the queue and lose no attempt."""
        self._stop.set()
        self._wake.set()
        for thread in list(self._threads):
            thread.join(timeout=20)
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

        thread = threading.Thread(target=watched, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _lead(self) -> None:
        while not self._take_lock():
            self._progress.note()
            if self._stop.wait(AGAIN_AFTER_S):
                return
        while not self._tried(lambda: self._recover(self._settings.server_name)):
            if self._stop.wait(AGAIN_AFTER_S):
                return
        for number in range(self._settings.workers):
            self._begin(self._work, f"brainmets-worker-{number}")
        swept = 0.0
        while not self._stop.is_set():
            if not swept or time.monotonic() - swept > SWEEP_EVERY_S:
                self._tried(lambda: sweep(self._settings, self._store))
                swept = time.monotonic()
            if self._tried(self._recover):
                self._progress.note()
            self._stop.wait(min(RECOVER_EVERY_S, self._settings.lease_s / 4))
        self._store.close()

    def _take_lock(self) -> bool:
        name = re.sub(r"[^A-Za-z0-9-]", "_", self._settings.server_name)
        path = self._settings.state_dir / f"supervisor-{name}.lock"
        file = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            return False
        self._lock_file = file
        return True

    def _tried(self, action: Callable[[], object]) -> bool:
        """Do it; a fault, such as a job list out of reach, is logged and no thread dies of it."""
        try:
            action()
        except Exception as error:  # noqa: BLE001 - a dead thread would leave every job waiting
            _log.error("supervising failed with %s; trying again", type(error).__name__)
            return False
        return True

    def _recover(self, server: str | None = None) -> None:
        """Queue again what servers left running that are gone, an earlier `server` at once."""
        for job in self._store.abandoned(server=server):
            self._lost(job, whose="server", innocent=True)

    def _work(self) -> None:
        worker: Worker | None = None
        while not self._stop.is_set():
            try:
                worker = self._work_once(worker)
            except Exception as error:  # noqa: BLE001 - as above; the lease frees the job
                _log.error("a worker's thread failed with %s", type(error).__name__)
                self._stop.wait(AGAIN_AFTER_S)
        if worker is not None:
            worker.close()
        self._store.close()

    def _work_once(self, worker: Worker | None) -> Worker | None:
        """Claim a job and see it through; return the worker for the next one."""
        job = self._store.claim(self._settings.server_name, lease_s=self._settings.lease_s)
        self._progress.note()
        if job is None:
            self._wake.wait(POLL_S)
            self._wake.clear()
            return worker
        if worker is None or not worker.fit(self._settings.worker_jobs):
            if worker is not None:
                worker.close()
            worker = Worker(
                self._settings.worker_memory_bytes,
                threads=max(1, count_processors() // self._settings.workers),
            )
        try:
            self._run(job, worker)
        except BaseException:
            worker.close()  # it may be at work on a job that is no longer ours
            raise
        return worker

    def _run(self, job: StoredJob, worker: Worker) -> None:
        _log.info("job %s: attempt %d", job.id, job.attempts)
        worker.give(
            {
                "job_dir": str(self._settings.jobs_dir / job.id),
                "options": job.options.model_dump(mode="json"),
                "runner": self._settings.runner,
            }
        )
        claim = _Claim(self._store, job, lease_s=self._settings.lease_s)
        deadline = time.monotonic() + self._settings.job_timeout_s
        begun = False
        while True:
            if self._stop.is_set():
                worker.close()
                self._store.give_back(job)
                return
            event = worker.next_event(timeout_s=POLL_S)
            self._progress.note()
            if event is None and self._at_work(worker) and time.monotonic() < deadline:
                stands = claim.stands()
            else:
                event = event or worker.next_event(timeout_s=0.0)  # its last words, if any
                if event is None:
                    if worker.alive:
                        _log.warning("job %s: ended, silent or out of time", job.id)
                    worker.close()
                    self._lost(job, whose="worker", innocent=not begun)
                    return
                begun = True
                if "stage" not in event:
                    self._conclude(job, event)
                    return
                stands = claim.stands(stage=event["stage"], done=event["done"])
            if not stands:  # cancelled, deleted, or taken over by another server
                worker.close()
                self._clear_away(job)
                return

    def _at_work(self, worker: Worker) -> bool:
        return worker.alive and worker.silent_s < self._settings.worker_silence_s

    def _conclude(self, job: StoredJob, event: dict[str, Any]) -> None:
        """Record how a job ended, however long the job list takes to be there again."""
        while not self._tried(lambda: self._record(job, event)):
            if self._stop.wait(AGAIN_AFTER_S):
                return  # the lease will end, and the job be computed anew

    def _record(self, job: StoredJob, event: dict[str, Any]) -> None:
        if "result" in event:
            result = JobResult.model_validate(event["result"])
            recorded = self._store.finish(job, result)
            self._metrics.finished(result)
            ending = "done"
        elif "series" in event:
            views = [SeriesView.model_validate(view) for view in event["series"]]
            recorded = self._store.ask(job, views)
            ending = "needs a choice of series"
        else:
            problem = Problem.model_validate(event["problem"])
            recorded = self._store.fail(job, problem)
            self._metrics.failed(problem.code)
            ending = f"failed with {problem.code}"
        if recorded:
            _log.info("job %s: %s", job.id, ending)
        else:
            self._clear_away(job)

    def _clear_away(self, job: StoredJob) -> None:
        """Remove what a worker wrote for a job while it was being deleted."""
        if job.id not in self._store.ids():
            remove(self._settings.jobs_dir / job.id)

    def _lost(self, job: StoredJob, *, whose: str, innocent: bool) -> None:
        """Give a job whose worker or server died another attempt, unless it has had its share."""
        self._metrics.lost(whose)
        if innocent:
            again = job.server_losses < MOST_INNOCENT_LOSSES
        else:
            again = job.attempts < self._settings.max_attempts
        if again:
            pause_s = 0.0 if innocent else job.attempts * self._settings.retry_after_s
            self._store.retry(job, innocent=innocent, after_s=pause_s)
            _log.warning("job %s: %s lost, queued again", job.id, whose)
        else:
            self._give_up(job)

    def _give_up(self, job: StoredJob) -> None:
        error = PoisonJob(
            "an image that stopped its worker time and again",
            expected="an image that can be computed in the memory and time there is",
            remedy="try a smaller image, or report it to whoever runs this service",
        )
        self._store.fail(job, problem_of(error))
        self._metrics.failed(error.code)
        _log.error("job %s: failed with %s", job.id, error.code)


class _Claim:
    """A claim that is renewed in time, and given up before others may take the job over."""

    def __init__(self, store: JobStore, job: StoredJob, *, lease_s: float) -> None:
        self._store = store
        self._job = job
        self._lease_s = lease_s
        self._renewed = time.monotonic()

    def stands(self, *, stage: str | None = None, done: float = 0.0) -> bool:
        """Renew it where that is due or there is progress to tell; return whether it is ours."""
        now = time.monotonic()
        try:
            if stage is None and now - self._renewed < self._lease_s / 4:
                return self._store.holds(self._job)
            held = self._store.hold(self._job, lease_s=self._lease_s, stage=stage, done=done)
        except Exception as error:  # noqa: BLE001 - out of reach: go on while the lease lasts
            _log.error("job %s: no news to the list: %s", self._job.id, type(error).__name__)
            return now - self._renewed < self._lease_s / 2
        self._renewed = now
        return held
