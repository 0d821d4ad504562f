"""A child process that computes jobs, as its supervisor holds it.

Whatever the child starts belongs to its process group and is ended with it. No wait here is
without a bound: a descendant that keeps a pipe open, or a stopped child, delays nobody.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import select
import subprocess
import sys
import threading
from typing import Any

from brainmets.api.child import worker_environment
from brainmets.api.processes import end_group
from brainmets.inference.machine import THREADS_VARIABLE

__all__ = ["Worker"]

POLL_S = 0.5
READ_BYTES = 1 << 16
START_WITHIN_S = 60.0
"""How much longer than usual a worker may be silent before its first sign of life."""

_log = logging.getLogger("brainmets.jobs")


class Worker:
    """One child process, its task pipe and its events."""

    def __init__(self, memory_bytes: int, *, threads: int) -> None:
        """Start it on `threads` processors, its memory limited where `memory_bytes` is not 0."""
        tasks, self._tasks = os.pipe()  # neither is inherited but by this very child
        events, told = os.pipe()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "brainmets.api.child", str(memory_bytes)],
                stdin=tasks,
                stdout=told,
                env=worker_environment() | {THREADS_VARIABLE: str(threads)},
                start_new_session=True,
            )
        except BaseException:
            os.close(self._tasks)
            os.close(events)
            raise
        finally:
            os.close(tasks)
            os.close(told)
        os.set_blocking(self._tasks, False)
        os.set_blocking(events, False)
        self._events: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._quiet_polls = -int(START_WITHIN_S / POLL_S)
        self._closed = threading.Event()
        self._reader = threading.Thread(target=self._read, args=(events,), daemon=True)
        self._reader.start()
        self._given = 0

    def _read(self, events: int) -> None:
        """Read until the child is gone and its last event is read, or until `close`."""
        rest = b""
        ready = select.poll()
        ready.register(events, select.POLLIN)
        try:
            while not self._closed.is_set():
                ended = self._process.poll() is not None
                if ready.poll(0 if ended else POLL_S * 1000):
                    piece = os.read(events, READ_BYTES)
                    if not piece:
                        return
                    *lines, rest = (rest + piece).split(b"\n")
                    for line in lines:
                        self._note(json.loads(line))
                elif ended:  # a descendant may hold the pipe: what the child wrote is read
                    return
                else:
                    self._quiet_polls += 1
        except (OSError, ValueError):
            _log.warning("a worker wrote what is no event")
        finally:
            os.close(events)

    def _note(self, event: dict[str, Any]) -> None:
        self._quiet_polls = 0
        if event:  # an empty one only shows that it lives
            self._events.put(event)

    @property
    def pid(self) -> int:
        """Its process id, which is its group's too."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it lives, or has left events unread."""
        return self._process.poll() is None or self._reader.is_alive()

    @property
    def silent_s(self) -> float:
        """Seconds that were waited in vain for a sign of life; it gives one every second."""
        return (
            max(0, self._quiet_polls) * POLL_S
        )  # by the clock, a server that slept would blame it

    def fit(self, most_jobs: int) -> bool:
        """Whether it lives and has jobs left to serve."""
        return self._process.poll() is None and self._given < most_jobs

    def give(self, task: dict[str, Any]) -> None:
        """Hand it a task."""
        self._given += 1
        line = json.dumps(task).encode() + b"\n"
        try:
            whole = os.write(self._tasks, line) == len(line)
        except OSError:  # it has just died, or reads no more
            whole = False
        if not whole:
            _log.warning("a worker died before its task")
            self._process.kill()

    def next_event(self, *, timeout_s: float) -> dict[str, Any] | None:
        """Return its next event, or nothing in that time."""
        try:
            return self._events.get(block=timeout_s > 0, timeout=timeout_s)
        except queue.Empty:
            return None

    def close(self) -> None:
        """Kill it with all that it started, whatever they are doing."""
        if self._closed.is_set():
            return
        self._closed.set()
        end_group(self._process.pid)
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:  # in the kernel's hands, such as on a dead file server
            _log.error("a worker cannot be ended; another takes its place")
        self.drop_tasks()

    def drop_tasks(self) -> None:
        """Close its task pipe, as the end of this process does: it ends by itself."""
        if self._tasks >= 0:
            os.close(self._tasks)
            self._tasks = -1
