"""One task a case: in this process, over processes, or on a Dask cluster, in bounded memory."""

from __future__ import annotations

import json
import multiprocessing
import os
import threading
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from brainmets.domain.errors import EngineMissing, OptionError, OutOfMemory, PoisonJob
from brainmets.inference.machine import MEMORY_VARIABLE, THREADS_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

__all__ = ["ended_processes_told", "map_cases", "map_on_cluster"]

_ONE_AT_A_TIME = threading.Lock()
"""Held by the case under way: a worker with four threads gives them all to one case."""

Task = TypeVar("Task")
Result = TypeVar("Result")

WORTH_A_POOL = 4
"""For fewer cases, starting further processes takes longer than the work."""

CONNECT_S = 30
"""How long to wait for a scheduler, and for its first worker."""

WITHOUT_WORKERS_S = 300
"""How long a local cluster may be without any worker: restarting one takes seconds."""

MEMORY_SHARE = 0.7
"""Of a Dask worker's memory limit that a case may take; Dask pauses a worker at 0.8."""


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
            with ended_processes_told("run again with --jobs 1"):
                for future in futures:
                    yield future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def ended_processes_told(remedy: str) -> Generator[None, None, None]:
    """Say what a process pool means by "terminated abruptly".

    Raises:
        OutOfMemory: the system ended one of the processes.
    """
    try:
        yield
    except BrokenProcessPool as fault:
        raise OutOfMemory(
            "a process that helps this one was ended by the system",
            expected="memory for one case a process",
            remedy=remedy,
        ) from fault


def map_on_cluster(
    work: Callable[[Task], Result], tasks: Sequence[Task], where: str
) -> Iterator[tuple[Task, Result | PoisonJob]]:
    """Yield each task with its result as it comes, one task at a time on each Dask worker.

    A task whose worker was killed again and again comes with a `PoisonJob`. No more tasks than
    workers are under way at once: workers may come and go, and two million cases do not wait in
    the scheduler's memory.

    Args:
        work: importable by name on every worker.
        tasks: small; they travel.
        where: `local` or `local:4` (workers on this machine), a scheduler's address such as
            `tcp://host:8786`, or its `--scheduler-file`.

    Raises:
        EngineMissing: Dask is not installed.
        OptionError: no scheduler answers there, or it has no worker.
        OutOfMemory: all workers were lost.
    """
    try:
        from dask.distributed import as_completed
        from distributed.scheduler import KilledWorker, NoWorkerError
    except ModuleNotFoundError as error:
        raise EngineMissing(
            "the package distributed is not installed",
            expected="brainmets with its extra cluster",
            remedy="run `pip install 'brainmets[cluster]'`",
        ) from error
    with _client(where) as client:
        waiting = iter(tasks)
        under_way: dict[Any, Task] = {}
        arriving = as_completed()

        def submit() -> None:
            workers = max(1, len(client.scheduler_info(n_workers=-1)["workers"]))
            while len(under_way) < workers and (task := next(waiting, None)) is not None:
                future = client.submit(_alone, work, task, pure=False)
                under_way[future] = task
                arriving.add(future)

        submit()
        for future in arriving:
            task = under_way.pop(future)
            try:
                outcome: Any = future.result()
            except NoWorkerError as error:
                raise OutOfMemory(
                    "a cluster that has lost all its workers",
                    expected="at least one worker",
                    remedy="start workers again and add --resume",
                ) from error
            except KilledWorker:
                outcome = PoisonJob(
                    "a case that ended its worker each time it was tried",
                    expected="enough memory for one case a worker",
                    remedy="segment this case alone, with --memory",
                )
            future.release()
            submit()
            yield task, outcome


def _alone(work: Callable[[Task], Result], task: Task) -> Result:
    """Do a task on a Dask worker, on its share of the machine's processors and memory."""
    from dask.distributed import get_worker

    worker = get_worker()
    os.environ.setdefault(THREADS_VARIABLE, str(worker.state.nthreads))
    if limit := worker.memory_manager.memory_limit:
        os.environ.setdefault(MEMORY_VARIABLE, str(int(MEMORY_SHARE * limit)))
    with _ONE_AT_A_TIME:
        return work(task)


@contextmanager
def _client(where: str) -> Generator[Any, None, None]:
    """Give a connected client with at least one worker.

    Raises:
        OptionError: no scheduler answers there, or it has no worker.
    """
    from dask import config  # pyright: ignore[reportPrivateImportUsage]
    from dask.distributed import Client, LocalCluster

    name, _, count = where.partition(":")
    with ExitStack() as stack:
        try:
            target: Any = where
            if name == "local" and (not count or count.isdigit()):
                # a worker whose engine fills its share must not be paused or restarted for it
                kept: dict[str, Any] = {
                    f"distributed.worker.memory.{w}": False for w in ("target", "spill", "pause")
                }
                kept["distributed.worker.profile.enabled"] = False  # a hundred looks a second
                kept["distributed.scheduler.no-workers-timeout"] = f"{WITHOUT_WORKERS_S} s"
                stack.enter_context(config.set(kept))
                cores = _cores()
                workers = max(1, int(count or cores))
                target = stack.enter_context(
                    LocalCluster(
                        n_workers=workers,
                        threads_per_worker=max(1, cores // workers),
                        dashboard_address=None,  # pyright: ignore[reportArgumentType]
                        # even without it a server listens: not at 8787, where another may
                        scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
                        host="127.0.0.1",
                    )
                )
            elif Path(where).is_file():
                target = json.loads(Path(where).read_text(encoding="utf-8"))["address"]
            client = stack.enter_context(Client(target, timeout=CONNECT_S))
            client.wait_for_workers(1, timeout=CONNECT_S)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise OptionError(
                "no Dask scheduler with a worker where --cluster says",
                expected="local, local:4, tcp://host:8786 or a scheduler file",
                remedy="start `dask scheduler` and `dask worker`, or use --cluster local",
            ) from error
        yield client


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
