"""A child process that computes jobs, as its supervisor holds it."""

from __future__ import annotations

import json
import logging
import queue
import subprocess
import sys
import threading
from typing import Any

from brainmets.api.child import worker_environment
from brainmets.inference.machine import THREADS_VARIABLE

__all__ = ["Worker"]

_log = logging.getLogger("brainmets.jobs")


class Worker:
    """One child process, its task pipe and its events."""

    def __init__(self, memory_bytes: int, *, threads: int) -> None:
        """Start it on `threads` processors, its memory limited where `memory_bytes` is not 0."""
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "brainmets.api.child", str(memory_bytes)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=worker_environment() | {THREADS_VARIABLE: str(threads)},
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
        """Whether it lives, or has left words unread."""
        return self._process.poll() is None or self._reader.is_alive()

    def fit(self, most_jobs: int) -> bool:
        """Whether it lives and has jobs left to serve."""
        return self._process.poll() is None and self._given < most_jobs

    def give(self, task: dict[str, Any]) -> None:
        """Hand it a task."""
        assert self._process.stdin is not None  # noqa: S101 - opened as a pipe above
        self._given += 1
        try:
            self._process.stdin.write(json.dumps(task) + "\n")
            self._process.stdin.flush()
        except OSError:  # it has just died: `alive` will tell
            _log.warning("a worker died before its task")

    def next_event(self, *, timeout_s: float) -> dict[str, Any] | None:
        """Return what it said next, or nothing in that time."""
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
                try:
                    pipe.close()
                except OSError:  # the task it never read
                    _log.debug("a worker's pipe was broken")
