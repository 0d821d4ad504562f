"""One task a case, over processes, in bounded memory."""

from __future__ import annotations

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TYPE_CHECKING, TypeVar

from brainmets.domain.errors import OutOfMemory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["map_cases"]

Task = TypeVar("Task")
Result = TypeVar("Result")

WORTH_A_POOL = 4
"""For fewer cases, starting further processes takes longer than the work."""


def map_cases(
    work: Callable[[Task], Result], tasks: Sequence[Task], jobs: int | None
) -> Iterator[Result]:
    """Yield each task's result in order; all work stops when the caller stops listening.

    `jobs` is the number of processes; None means one a core. `work` must be importable by name.

    Raises:
        OutOfMemory: the system ended one of the processes.
    """
    workers = min(jobs or _cores(), len(tasks))
    if workers <= 1 or len(tasks) < WORTH_A_POOL:
        yield from map(work, tasks)
        return
    context = multiprocessing.get_context("spawn")  # the caller may hold threads
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        futures = [pool.submit(work, task) for task in tasks]
        try:
            for future in futures:
                yield future.result()
        except BrokenProcessPool as fault:
            raise OutOfMemory(
                f"one of {workers} processes was ended by the system",
                expected="memory for one case a process",
                remedy="run again with --jobs 1",
            ) from fault
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
