"""Workers that fork, stop, die early or serve one job only: the service goes on."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from brainmets.api.liveness import Liveness
from brainmets.api.worker import Worker
from tests.patience import comes_true
from tests.unit.test_api_jobs import nifti, open_service, service, submit, wait

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import httpx

__all__ = ["nifti", "open_service", "service"]

AT_ONCE_S = 15.0
"""Far longer than it takes on a loaded machine, far shorter than the descendants live."""

STAND_IN = "tests.unit.api_stand_in:segment"


def descendants(pid: int) -> set[int]:
    """The processes below one, whatever group they are in."""
    found: set[int] = set()
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            found |= {int(child)} | descendants(int(child))
    return found


def gone(pid: int) -> bool:
    """Whether it has ended; one that nobody has reaped yet has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@pytest.fixture
def at_work(
    tmp_path: Path, repository: Path, nifti: bytes, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str], tuple[Worker, set[int]]]]:
    """Workers that have begun with a file of a name, and the processes that they started."""
    monkeypatch.setenv("PYTHONPATH", str(repository))
    started: list[Worker] = []

    def start(name: str) -> tuple[Worker, set[int]]:
        (tmp_path / "input").mkdir()
        (tmp_path / "input" / name).write_bytes(nifti)
        worker = Worker(0, threads=1)
        started.append(worker)
        worker.give({"job_dir": str(tmp_path), "options": {}, "runner": STAND_IN})
        assert comes_true(lambda: (worker.next_event(timeout_s=0.1) or {}).get("stage") == "start")
        if "forks" in name:
            assert comes_true(lambda: descendants(worker.pid))
        return worker, descendants(worker.pid)

    yield start
    for worker in started:
        worker.close()


@pytest.mark.parametrize("name", ["forks-slow.nii", "forks-away-slow.nii"])
def test_closing_a_worker_does_not_wait_for_what_it_has_forked(
    at_work: Callable[[str], tuple[Worker, set[int]]], name: str
) -> None:
    worker, forked = at_work(name)
    started = time.monotonic()
    worker.close()
    assert time.monotonic() - started < AT_ONCE_S
    assert gone(worker.pid)
    for pid in forked:
        if "away" in name:
            os.kill(pid, signal.SIGKILL)  # it has left the group: nobody can know of it
        else:
            assert comes_true(lambda pid=pid: gone(pid), within_s=AT_ONCE_S)


def test_a_killed_worker_is_noticed_while_its_descendant_holds_the_pipe(
    at_work: Callable[[str], tuple[Worker, set[int]]],
) -> None:
    worker, forked = at_work("forks-away-slow.nii")
    os.kill(worker.pid, signal.SIGKILL)
    assert comes_true(lambda: not worker.alive, within_s=AT_ONCE_S)
    worker.close()
    for pid in forked:
        os.kill(pid, signal.SIGKILL)


def test_a_worker_ends_with_its_server_and_takes_what_it_forked_along(
    at_work: Callable[[str], tuple[Worker, set[int]]],
) -> None:
    worker, forked = at_work("forks-slow.nii")
    worker.drop_tasks()
    assert comes_true(lambda: gone(worker.pid), within_s=AT_ONCE_S)
    assert all(comes_true(lambda pid=pid: gone(pid), within_s=AT_ONCE_S) for pid in forked)


def test_a_stopped_worker_is_silent_and_a_busy_one_is_not(
    at_work: Callable[[str], tuple[Worker, set[int]]],
) -> None:
    worker, _ = at_work("slow.nii")
    time.sleep(2.5)
    assert worker.silent_s <= 2.0
    os.kill(worker.pid, signal.SIGSTOP)
    assert comes_true(lambda: worker.silent_s > 3.0, within_s=AT_ONCE_S)
    assert worker.alive
    worker.close()
    assert gone(worker.pid)


def test_a_worker_that_is_slow_to_start_is_not_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("brainmets.api.worker.START_WITHIN_S", 2.0)
    worker = Worker(0, threads=1)
    os.kill(worker.pid, signal.SIGSTOP)  # before its interpreter has read a line
    time.sleep(1.0)
    assert worker.silent_s == 0
    assert comes_true(lambda: worker.silent_s > 1.0, within_s=AT_ONCE_S)
    worker.close()


def test_a_job_that_is_cancelled_while_a_fork_holds_the_pipe_holds_up_nobody(
    service: httpx.Client, nifti: bytes
) -> None:
    held = submit(service, nifti, "forks-slow.nii")
    assert comes_true(lambda: service.get(f"/v1/jobs/{held['id']}").json()["done"] > 0.02)
    service.post(f"/v1/jobs/{held['id']}/cancel")
    assert wait(service, submit(service, nifti, "next.nii")["id"])["state"] == "done"


def test_a_worker_for_one_job_each_goes_on_whatever_forks(
    open_service: Callable[..., httpx.Client], nifti: bytes
) -> None:
    service = open_service(worker_jobs=1)
    jobs = [submit(service, nifti, f"forks-{n}.nii") for n in range(3)]
    assert [wait(service, job["id"])["state"] for job in jobs] == ["done"] * 3


def test_a_stopped_worker_loses_its_job_to_another(
    open_service: Callable[..., httpx.Client], nifti: bytes
) -> None:
    service = open_service(worker_silence_s=5)
    job = submit(service, nifti, "slow.nii")
    assert comes_true(lambda: service.get(f"/v1/jobs/{job['id']}").json()["done"] > 0.02)
    for pid in children_of_this_process():
        os.kill(pid, signal.SIGSTOP)
    ended = wait(service, job["id"])
    assert (ended["state"], ended["attempts"]) == ("done", 2)


def test_threads_without_progress_are_named() -> None:
    liveness = Liveness()
    work, end_it = threading.Event(), threading.Event()

    def thread() -> None:
        liveness.note()
        work.set()
        end_it.wait()
        liveness.leave()

    one = threading.Thread(target=thread, name="one")
    one.start()
    work.wait()
    liveness.note()
    assert liveness.stalled(after_s=60) == []
    time.sleep(0.2)
    liveness.note()
    assert liveness.stalled(after_s=0.1) == ["one"]
    end_it.set()
    one.join()
    assert liveness.stalled(after_s=60) == []


def test_readiness_says_that_no_thread_hands_out_jobs(
    open_service: Callable[..., httpx.Client], nifti: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = threading.Event()
    monkeypatch.setattr("brainmets.api.liveness.STALLED_AFTER_S", 1.0)
    monkeypatch.setattr(Worker, "close", lambda self: held.wait(60))  # as the hang of 2026
    service = open_service(worker_jobs=1)
    assert service.get("/readyz").status_code == 200
    wait(service, submit(service, nifti, "a.nii")["id"])
    submit(service, nifti, "b.nii")
    try:
        assert comes_true(lambda: service.get("/readyz").status_code == 503, within_s=AT_ONCE_S)
        assert "E_WORKERS" in service.get("/readyz").json()["detail"]
    finally:
        held.set()
    assert comes_true(lambda: service.get("/readyz").status_code == 200, within_s=AT_ONCE_S)


def children_of_this_process() -> set[int]:
    """Workers that the service in this process has started, with what they started."""
    return {pid for pid in descendants(os.getpid()) if b"api.child" in command(pid)}


def command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
