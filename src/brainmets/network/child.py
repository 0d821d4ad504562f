"""The node's child process, in which untrusted files are read: warm, bounded in time, replaced."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import threading
import time
from typing import Any

from brainmets.api.child import worker_environment
from brainmets.api.problems import error_of
from brainmets.api.processes import end_group
from brainmets.api.schemas import Problem
from brainmets.domain.errors import OutOfMemory

__all__ = ["Child"]

WITHIN_S = 600.0
MOST_TASKS = 50
"""A process that is replaced now and then keeps no memory that libraries have lost."""


class Child:
    """Answers one task at a time."""

    def __init__(self) -> None:
        """Prepare; the first task starts the process."""
        self._process: subprocess.Popen[bytes] | None = None
        self._given = 0
        self._lock = threading.Lock()

    def ask(self, **task: Any) -> dict[str, Any]:
        """Return the answer to a task of `brainmets.network.tasks`.

        Raises:
            BrainmetsError: what the task was refused with; `OutOfMemory` where the process died
                of it or took too long.
        """
        with self._lock:
            process = self._running()
            try:
                answer = _talk(process, json.dumps(task).encode() + b"\n")
            except BaseException:
                self._end()
                raise
            self._given += 1
            if answer is None:
                self._end()
                raise OutOfMemory(
                    "a study that could not be read in the memory and time there is",
                    expected=f"one that is read within {WITHIN_S:.0f} s",
                    remedy="try again when fewer jobs run",
                )
        if "problem" in answer:
            raise error_of(Problem.model_validate(answer["problem"]))
        return answer

    def prepare(self) -> None:
        """Start the process where none runs: it loads its libraries while a study still comes."""
        if self._lock.acquire(blocking=False):
            try:
                self._running()
            finally:
                self._lock.release()

    def close(self) -> None:
        """End the process."""
        self._end()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None or self._given >= MOST_TASKS:
            self._end()
            self._given = 0
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "brainmets.network.tasks"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=worker_environment() | {"OMP_NUM_THREADS": "1"},
                start_new_session=True,
            )
        return self._process

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        end_group(process.pid)
        process.wait(timeout=10)
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()


def _talk(process: subprocess.Popen[bytes], line: bytes) -> dict[str, Any] | None:
    """Hand a task over and wait for its answer; None where there is none."""
    assert process.stdin is not None  # noqa: S101 - both are pipes
    assert process.stdout is not None  # noqa: S101
    try:
        process.stdin.write(line)
        process.stdin.flush()
    except OSError:
        return None
    told, deadline = bytearray(), time.monotonic() + WITHIN_S
    while not told.endswith(b"\n"):
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([process.stdout], [], [], left)[0]:
            return None
        piece = os.read(process.stdout.fileno(), 1 << 16)
        if not piece:
            return None
        told += piece
    return json.loads(told)
