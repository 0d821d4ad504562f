"""Runs queued jobs in worker processes, and outlives every one of them."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import queue
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from brainmets.api.child import worker_environment
from brainmets.api.problems import problem_of
from brainmets.api.schemas import JobResult, Problem, SeriesView
from brainmets.api.staging import remove
from brainmets.domain.errors import BrainmetsError, PoisonJob

if TYPE_CHECKING:
    from brainmets.api.settings import Settings
    from brainmets.api.store import JobStore, StoredJob

__all__ = ["Supervisor"]

POLL_S = 0.2
SWEEP_EVERY_S = 60.0
ORPHAN_AGE_S = 3600.0
"""Younger folders may belong to an upload that another process is about to queue."""

MOST_SERVER_LOSSES = 10
"""Restarts that a job may sit through before it is taken for their cause."""

_log = logging.getLogger("brainmets.jobs")


class Supervisor:
    """The threads that hand jobs to worker processes.

    Of several servers on one state folder, the first supervises and the others wait to take
    over, so a job is never computed twice at once.
    """

    def __init__(self, settings: Settings, store: JobStore) -> None:
        """Prepare; `start` begins."""
        self._settings = settings
        self._store = store
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._threads: list[threading.Thread] = []
        self._lock_file: int | None = None

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
        if self._lock_file is not None:
            os.close(self._lock_file)

    def wake(self) -> None:
        """Look at the queue now."""
        self._wake.set()

    def _begin(self, target: Any, name: str) -> None:
        thread = threading.Thread(target=target, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _lead(self) -> None:
        while not self._stop.is_set():
            if self._take_lock():
                break
            self._stop.wait(1.0)
        else:
            return
        self._recover()
        for number in range(self._settings.workers):
            self._begin(self._work, f"brainmets-worker-{number}")
        while not self._stop.is_set():
            self._sweep()
            self._stop.wait(SWEEP_EVERY_S)
        self._store.close()

    def _take_lock(self) -> bool:
        file = os.open(self._settings.state_dir / "lock", os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            return False
        self._lock_file = file
        return True

    def _recover(self) -> None:
        """Queue again what a killed server left running."""
        for job in self._store.running():
            if job.server_losses < MOST_SERVER_LOSSES:  # not the job's fault, most likely
                self._store.requeue(job.id, refund=True, server_lost=True)
            else:
                self._give_up(job)

    def _sweep(self) -> None:
        """Delete what has expired, and folders that no job owns."""
        if self._settings.retention_hours:
            before = time.time() - 3600.0 * self._settings.retention_hours
            for job_id in self._store.expired(before=before):
                self._store.delete(job_id)
                remove(self._settings.jobs_dir / job_id)
        known = self._store.ids()
        for folder in (*self._settings.jobs_dir.iterdir(), *self._settings.staging_dir.iterdir()):
            old = time.time() - folder.stat().st_mtime > ORPHAN_AGE_S
            if old and folder.name not in known:
                remove(folder)

    def _work(self) -> None:
        worker: _Worker | None = None
        while not self._stop.is_set():
            job = self._store.claim()
            if job is None:
                self._wake.wait(POLL_S)
                self._wake.clear()
                continue
            if worker is None or not worker.fit(self._settings.worker_jobs):
                if worker is not None:
                    worker.close()
                worker = _Worker(self._settings.worker_memory_bytes)
            self._run(job, worker)
        if worker is not None:
            worker.close()
        self._store.close()

    def _run(self, job: StoredJob, worker: _Worker) -> None:
        _log.info("job %s: attempt %d", job.id, job.attempts)
        worker.give(
            {
                "job_dir": str(self._settings.jobs_dir / job.id),
                "options": job.options.model_dump(mode="json"),
                "runner": self._settings.runner,
            }
        )
        deadline = time.monotonic() + self._settings.job_timeout_s
        while True:
            if self._stop.is_set():
                worker.close()
                self._store.requeue(job.id, refund=True)
                return
            event = worker.next_event(timeout_s=POLL_S)
            if event is None and worker.alive and time.monotonic() < deadline:
                if self._cancelled(job):
                    worker.close()
                    return
                continue
            event = event or worker.next_event(timeout_s=0.0)  # its last words, if any
            if event is None:
                worker.close()
                self._lost(job)
                return
            if "stage" in event:
                if not self._store.progress(job.id, stage=event["stage"], done=event["done"]):
                    worker.close()  # cancelled or deleted meanwhile
                    return
                continue
            self._conclude(job, event)
            return

    def _cancelled(self, job: StoredJob) -> bool:
        try:
            return self._store.get(job.id).state != "running"
        except BrainmetsError:
            return True

    def _conclude(self, job: StoredJob, event: dict[str, Any]) -> None:
        if "result" in event:
            self._store.finish(job.id, JobResult.model_validate(event["result"]))
            _log.info("job %s: done", job.id)
        elif "series" in event:
            views = [SeriesView.model_validate(view) for view in event["series"]]
            self._store.ask(job.id, views)
            _log.info("job %s: needs a choice of series", job.id)
        else:
            problem = Problem.model_validate(event["problem"])
            self._store.fail(job.id, problem)
            _log.info("job %s: failed with %s", job.id, problem.code)

    def _lost(self, job: StoredJob) -> None:
        """Give a job whose worker died another attempt, unless it has had its share."""
        if job.attempts < self._settings.max_attempts:
            self._store.requeue(job.id)
            _log.warning("job %s: worker lost, queued again", job.id)
        else:
            self._give_up(job)

    def _give_up(self, job: StoredJob) -> None:
        error = PoisonJob(
            "an image that stopped its worker time and again",
            expected="an image that can be computed in the memory and time there is",
            remedy="try a smaller image, or report it to whoever runs this service",
        )
        self._store.fail(job.id, problem_of(error))
        _log.error("job %s: failed with %s", job.id, error.code)


class _Worker:
    """One child process, its task pipe and its events."""

    def __init__(self, memory_bytes: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "brainmets.api.child", str(memory_bytes)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=worker_environment(),
        )
        self._events: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._given = 0

    def _read(self) -> None:
        assert self._process.stdout is not None  # noqa: S101 - opened as a pipe above
        for line in self._process.stdout:
            try:
                self._events.put(json.loads(line))
            except ValueError:  # a line cut short by a kill
                return

    @property
    def alive(self) -> bool:
        return self._process.poll() is None or self._reader.is_alive()

    def fit(self, most_jobs: int) -> bool:
        """Whether it lives and has jobs left to serve."""
        return self._process.poll() is None and self._given < most_jobs

    def give(self, task: dict[str, Any]) -> None:
        assert self._process.stdin is not None  # noqa: S101 - opened as a pipe above
        self._given += 1
        try:
            self._process.stdin.write(json.dumps(task) + "\n")
            self._process.stdin.flush()
        except OSError:  # it has just died: `alive` will tell
            _log.warning("a worker died before its task")

    def next_event(self, *, timeout_s: float) -> dict[str, Any] | None:
        try:
            return self._events.get(block=timeout_s > 0, timeout=timeout_s)
        except queue.Empty:
            return None

    def close(self) -> None:
        """Kill it, whatever it is doing."""
        self._process.kill()
        self._process.wait()
        self._reader.join(timeout=5)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
