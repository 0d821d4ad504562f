"""The worker process: `python -m brainmets.api.child`, one job after another.

It reads one JSON task per line on standard input and writes JSON events on standard output:
`{"stage", "done"}` while it works, then one of `{"result"}`, `{"problem"}`, `{"series"}`. When
its input closes, the server is gone and it stops at once, in the middle of a job too. An empty
event every second shows that it lives.
Untrusted files are parsed here and nowhere else.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import queue
import signal
import sys
import threading
import time
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import brainmets
from brainmets.api.problems import problem_of
from brainmets.api.quiet import keep_quiet, place_of
from brainmets.api.schemas import JobOptions, SeriesView
from brainmets.api.storage import storage_error
from brainmets.domain.errors import BrainmetsError, OutOfMemory, SeveralSeries, Unforeseen

if TYPE_CHECKING:
    from brainmets.api.segmenting import Runner

__all__ = ["explained", "limit_memory", "main", "worker_environment"]

PROGRESS_EVERY_S = 0.15
SHOW_LIFE_EVERY_S = 1.0
_log = logging.getLogger("brainmets.worker")


def main() -> None:
    """Serve tasks until standard input closes."""
    events = _Events(os.dup(sys.stdout.fileno()))
    keep_quiet()  # a chatty library must not write events either
    limit_memory(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
    tasks: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    threading.Thread(target=_read_tasks, args=(tasks,), daemon=True).start()
    threading.Thread(target=_show_life, args=(events,), daemon=True).start()
    while True:
        events.send(_answer(tasks.get(), events))


class _Events:
    """Writes whole events, whichever thread sends them."""

    def __init__(self, descriptor: int) -> None:
        self._file = os.fdopen(descriptor, "w")
        self._lock = threading.Lock()

    def send(self, event: dict[str, Any]) -> None:
        with self._lock:
            self._file.write(json.dumps(event) + "\n")
            self._file.flush()


def _show_life(events: _Events) -> None:
    while True:
        events.send({})
        time.sleep(SHOW_LIFE_EVERY_S)


def _read_tasks(tasks: queue.SimpleQueue[dict[str, Any]]) -> None:
    for line in sys.stdin:
        tasks.put(json.loads(line))
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)  # what it has started ends with it
    os._exit(0)  # the server is gone: another will take the job up


def _answer(task: dict[str, Any], events: _Events) -> dict[str, Any]:
    from brainmets.api.segmenting import run_job

    job_dir = Path(task["job_dir"])
    try:
        options = JobOptions.model_validate(task["options"])
        runner = _runner(task["runner"])
        events.send({"stage": "start", "done": 0.0})  # from now on a death is held against it
        state_dir = Path(task["state_dir"]) if "state_dir" in task else None
        patient = task.get("patient", "none")
        result = run_job(job_dir, options, runner, _Reporter(events), state_dir, patient=patient)
    except SeveralSeries as choice:
        series = _series(job_dir, choice)
        if len(series) > 1:
            return {"series": [view.model_dump(mode="json") for view in series]}
        return {"problem": problem_of(choice).model_dump(mode="json")}
    except Exception as error:  # noqa: BLE001 - the last line of defence: no traceback to users
        return {"problem": problem_of(explained(error)).model_dump(mode="json")}
    return {"result": result.model_dump(mode="json")}


def worker_environment() -> dict[str, str]:
    """Return the environment in which a child process finds this very brainmets."""
    source = str(Path(brainmets.__file__).parent.parent)
    path = os.pathsep.join(filter(None, (source, os.environ.get("PYTHONPATH"))))
    return os.environ | {"PYTHONPATH": path}


class _Reporter:
    """Sends progress, at most every `PROGRESS_EVERY_S` within a stage."""

    def __init__(self, events: _Events) -> None:
        self._events = events
        self._stage = ""
        self._sent = 0.0

    def __call__(self, stage: str, done: float, /) -> None:
        now = time.monotonic()
        if stage != self._stage or now - self._sent >= PROGRESS_EVERY_S:
            self._stage, self._sent = stage, now
            self._events.send({"stage": stage, "done": max(0.0, min(1.0, float(done)))})


def _runner(name: str) -> Runner:
    module, _, function = name.partition(":")
    return cast("Runner", getattr(importlib.import_module(module), function))


def _series(job_dir: Path, choice: SeveralSeries) -> list[SeriesView]:
    """List the series to choose from, as the exception or the reader lists them."""
    found: Any = getattr(choice, "series", None)
    if not found:
        from brainmets.api.segmenting import input_path
        from brainmets.io import list_series

        found = list_series(input_path(job_dir / "input"))
    return [_series_view(info) for info in found]


def _series_view(info: object) -> SeriesView:
    fields: dict[str, Any] = (
        asdict(info) if is_dataclass(info) and not isinstance(info, type) else {}
    )
    fields["choice"] = getattr(info, "choice", None)
    return SeriesView.model_validate(
        {name: fields[name] for name in SeriesView.model_fields if fields.get(name) is not None}
    )


def limit_memory(limit_bytes: int) -> None:
    """Bound this process's address space; 0 sets no bound."""
    if limit_bytes:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (limit_bytes, limit_bytes))


def explained(error: Exception) -> BrainmetsError:
    """Return an error as one that may be shown; where it was raised goes to the log."""
    if isinstance(error, BrainmetsError):
        return error
    _log.error("job failed: %s at %s", type(error).__name__, place_of(error))
    if isinstance(error, MemoryError):
        return _out_of_memory()
    known = storage_error(error) if isinstance(error, OSError) else None
    return known or _unforeseen()


def _out_of_memory() -> OutOfMemory:
    return OutOfMemory(
        "too little memory for this image",
        expected="an image that fits into the worker's memory",
        remedy="send a smaller image, or raise BRAINMETS_WORKER_MEMORY_BYTES",
    )


def _unforeseen() -> Unforeseen:
    return Unforeseen(
        "a fault that brainmets did not foresee",
        expected="a result or an explained refusal",
        remedy="please report it with the lines of the service's log",
    )


if __name__ == "__main__":
    main()
