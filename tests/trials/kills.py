"""`kill -9` of workers and servers at random moments while jobs come in: nothing is lost."""

from __future__ import annotations

import os
import random
import re
import signal
import threading
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from brainmets.api.client import Client
from brainmets.domain.errors import BrainmetsError
from tests.patience import all_below, comes_true
from tests.trials.service import Service, head, vary

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["KillReport", "try_kills"]

PACE_MS = 250
"""How long the stand-in takes for a job: jobs and kills are to overlap."""

MOST_TAKEOVER_S = 15.0

PATIENCE_S = 1200.0
"""A loaded machine starts a worker more slowly than the killer strikes."""


@dataclass(frozen=True, kw_only=True)
class KillReport:
    """What became of the jobs."""

    seed: int
    jobs: int
    servers: int
    worker_kills: int
    server_kills: int
    pauses: int
    takeover_s: float
    """Longest time from the end of a stopped server's heartbeats to its job's next attempt."""
    done: int
    lost: int
    duplicated: int
    stuck: int
    wrong: int
    """Jobs that are done with a result that is not whole."""
    recorded_twice: int
    """Jobs whose result was recorded more than once, as the servers' logs tell."""
    twice_at_once: int
    """Attempts of one job that overlapped in time and both came to an end."""
    left_over: tuple[str, ...]
    endings: dict[str, int]
    """Jobs by state, or by the code of their problem."""
    attempts: int
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether nothing was lost, doubled, stuck, wrong or left behind."""
        faults = (self.lost, self.duplicated, self.stuck, self.wrong, self.twice_at_once)
        whole = self.done == self.jobs and not self.left_over and not self.recorded_twice
        return whole and not any(faults) and self.takeover_s <= MOST_TAKEOVER_S


def try_kills(
    folder: Path,
    *,
    seed: int,
    jobs: int,
    kills: int,
    database_url: str = "",
    servers: int = 1,
    lone_workers: int = 0,
    pauses: int = 0,
) -> KillReport:
    """Hand in `jobs` images while a killer strikes `kills` times, and stops one `pauses` times."""
    started = time.monotonic()
    diary = folder / "diary.txt"
    state = folder / "state"
    os.environ["BRAINMETS_TRIAL_DIARY"] = str(diary)
    with ExitStack() as stack:
        services = [
            stack.enter_context(
                Service(
                    state,
                    database_url=database_url,
                    max_waiting=30,
                    workers=2 if servers == 1 else 1,
                )
            )
            for _ in range(servers)
        ]
        clients = [stack.enter_context(Client(service.url)) for service in services]
        shared: dict[str, Any] = {"database_url": database_url, "workers": 1}
        services += [
            stack.enter_context(Service(state, command=("brainmets", "worker"), **shared))
            for _ in range(lone_workers)
        ]
        ids: dict[int, str] = {}
        struck: Counter[str] = Counter()

        def due(number: int) -> bool:
            """Let jobs come in as long as kills do."""
            return number * kills <= (struck.total() + 2) * jobs

        giver = threading.Thread(target=_hand_in, args=(clients, ids, jobs, seed, due))
        giver.start()
        _strike(services, random.Random(seed), kills, struck)
        giver.join(PATIENCE_S)
        stuck = _wait(clients[0], ids)
        before = diary.read_text() if diary.exists() else ""
        takeovers = [_pause(services, clients, ids, diary) for _ in range(pauses)]
        report = _take_stock(clients[0], ids)
        for service in services:
            service.stop()
            service.start()  # what kills left behind is swept at the start
        known = set(ids.values())
        comes_true(lambda: not _left_over(state, known))  # the sweep takes its time
        left_over = _left_over(state, known)
    del os.environ["BRAINMETS_TRIAL_DIARY"]
    return KillReport(
        seed=seed,
        jobs=jobs + pauses,
        servers=servers,
        pauses=len(takeovers),
        takeover_s=round(max(takeovers, default=0.0), 1),
        worker_kills=struck["worker"],
        server_kills=struck["server"],
        lost=jobs + pauses - len(ids) + report["lost"],
        duplicated=report["duplicated"],
        done=report["done"],
        stuck=stuck,
        wrong=report["wrong"],
        recorded_twice=_recorded_twice([service.log for service in services]),
        twice_at_once=_twice_at_once(before),
        left_over=left_over,
        endings={name[1:]: number for name, number in report.items() if name[0] == "="},
        attempts=report["attempts"],
        seconds=round(time.monotonic() - started, 1),
    )


def _hand_in(
    clients: list[Client],
    ids: dict[int, str],
    jobs: int,
    seed: int,
    due: Callable[[int], bool],
) -> None:
    """Submit each image until the service has said that it has it."""
    choice, content = random.Random(seed + 1), head()
    for number in range(jobs):
        assert comes_true(lambda number=number: due(number), within_s=PATIENCE_S)
        upload = [(f"pause-{PACE_MS}-head-{number}.nii", vary(content, number))]
        deadline = time.monotonic() + PATIENCE_S
        while number not in ids and time.monotonic() < deadline:
            try:
                ids[number] = choice.choice(clients).submit(upload).id
            except BrainmetsError:  # killed, restarting, or full
                time.sleep(0.1)


def _strike(
    services: list[Service], choice: random.Random, kills: int, struck: Counter[str]
) -> None:
    """Kill servers and workers by turns, each as soon as there is one."""
    for number in range(kills):
        time.sleep(choice.uniform(0.05, 1.5))
        if number % 2:
            service = choice.choice(services)
            service.kill()
            service.start()
            struck["server"] += 1
            continue
        assert comes_true(lambda: _kill_worker(services, choice), within_s=PATIENCE_S)
        struck["worker"] += 1


def _kill_worker(services: list[Service], choice: random.Random) -> bool:
    pids = [pid for service in services for pid in service.workers()]
    if not pids:
        return False
    try:
        os.kill(choice.choice(pids), signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def _pause(
    services: list[Service], clients: list[Client], ids: dict[int, str], diary: Path
) -> float:
    """Stop whoever computes a job until another has finished it; return the takeover's seconds.

    What was stopped goes on, the worker 1.5 s before its server.
    """
    number = len(ids)
    name = f"pause-4000-stopped-{number}.nii"
    job = ids[number] = clients[0].submit([(name, vary(head(), number))]).id
    assert comes_true(lambda: _begun(diary, job), within_s=PATIENCE_S)
    computing = _begun(diary, job)[0]
    service = next(one for one in services if computing in one.workers())
    client = clients[1] if service is services[0] else clients[0]
    pids = service.workers()
    service.signal_all(signal.SIGSTOP, [service.pid, *pids])
    stopped = time.monotonic()
    assert comes_true(lambda: len(_begun(diary, job)) > 1, within_s=PATIENCE_S), "no takeover"
    taken = time.monotonic() - stopped
    assert comes_true(lambda: client.job(job).state == "done", within_s=PATIENCE_S)
    service.signal_all(signal.SIGCONT, pids)
    time.sleep(1.5)
    service.signal_all(signal.SIGCONT, [service.pid])
    time.sleep(4.0)  # the superseded attempt comes to its end
    return taken


def _begun(diary: Path, job: str) -> list[int]:
    """Return the processes that began the job, in their order."""
    lines = diary.read_text().splitlines() if diary.exists() else []
    words = (line.split() for line in lines)
    return [int(w[2].partition("-")[0]) for w in words if w[:2] == ["start", job]]


def _wait(client: Client, ids: dict[int, str]) -> int:
    """Wait until all jobs are finished; return how many are not."""
    deadline = time.monotonic() + PATIENCE_S
    waiting = set(ids.values())
    while waiting and time.monotonic() < deadline:
        waiting = {i for i in waiting if client.job(i).state in {"queued", "running"}}
        time.sleep(0.2)
    return len(waiting)


def _take_stock(client: Client, ids: dict[int, str]) -> Counter[str]:
    """Look at every job and at its result."""
    stock: Counter[str] = Counter()
    for listed in client.jobs():
        stock["listed"] += 1
        stock["attempts"] += listed.attempts
    stock["duplicated"] = max(0, stock["listed"] - len(ids)) + len(ids) - len(set(ids.values()))
    first = None
    for job_id in ids.values():
        job = client.job(job_id)
        stock["=" + (job.problem.code if job.problem else job.state)] += 1
        if job.state != "done" or job.result is None:
            stock["lost"] += 1
            continue
        stock["done"] += 1
        whole = {"mask.nii.gz", "report.json"} == {file.name for file in job.files}
        mask = client.file(job_id, "mask.nii.gz")
        first = first or (len(job.result.lesions), len(mask))
        stock["wrong"] += not (whole and first == (len(job.result.lesions), len(mask)))
    return stock


def _left_over(state: Path, ids: set[str]) -> tuple[str, ...]:
    jobs = {path.name for path in (state / "jobs").iterdir()} - ids
    staged = {path.name for path in (state / "staging").iterdir()}
    drafts = {path.name for path in all_below(state) if "draft" in path.name}
    attempts = [path.parent.name for path in (state / "jobs").glob("*/attempt-*")]
    spare = {f"attempts of {job}" for job, number in Counter(attempts).items() if number > 1}
    return tuple(sorted(jobs | staged | drafts | spare))


def _recorded_twice(logs: list[Path]) -> int:
    counts = Counter(re.findall(r"job ([0-9a-f]{16}): done", "".join(p.read_text() for p in logs)))
    return sum(number > 1 for number in counts.values())


def _twice_at_once(diary: str) -> int:
    """Count ended attempts that another ended attempt of the same job overlapped.

    Each line is `start|end job attempt-id seconds`.
    """
    spans: dict[str, dict[str, list[float]]] = {}
    for line in diary.splitlines():
        _, job, attempt, moment = line.split()
        spans.setdefault(job, {}).setdefault(attempt, []).append(float(moment))
    overlaps = 0
    for attempts in spans.values():
        ended = sorted(span for span in attempts.values() if len(span) == 2)
        overlaps += sum(b[0] < a[1] for a, b in pairwise(ended))
    return overlaps
