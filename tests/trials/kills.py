"""Workers, servers and the database are killed or stopped while jobs come in: nothing is lost."""

from __future__ import annotations

import gzip
import hashlib
import os
import random
import re
import signal
import threading
import time
import zlib
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import httpx
import nibabel
import numpy as np

from brainmets.api.client import Client
from brainmets.domain.errors import BrainmetsError
from tests.patience import all_below, comes_true
from tests.trials.service import WORKER, Service, head, vary
from tests.trials.strikes import PATIENCE_S, Killer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from brainmets.api.schemas import JobState, JobView
    from tests.unit.postgres import PostgresServer

__all__ = ["KillReport", "Trial", "try_kills"]

PACE_MS = 1000
"""How long the stand-in takes for a job: jobs and kills are to overlap."""

REAL_MODEL, REAL_SPACING_MM = "attention-unet-2d", 10.0
"""The network for volumes of 16 x 19 x 18 voxels, slice by slice."""

MOST_TAKEOVER_S = 10.0

UNFINISHED: tuple[JobState, ...] = ("queued", "running", "needs_choice")


@dataclass(frozen=True, kw_only=True)
class KillReport:
    """What became of the jobs."""

    seed: int
    jobs: int
    real: int
    """Volumes among them that the real network segmented."""
    servers: int
    strikes: dict[str, int]
    """Kills and stops by kind."""
    hit: dict[str, int]
    """Jobs that were being computed by what was struck, by kind."""
    hit_and_faulty: dict[str, int]
    """Those of them that are lost, stuck, torn or recorded twice."""
    pauses: int
    takeover_s: float
    """Longest time from the end of a stopped server's heartbeats to its job's next attempt."""
    done: int
    lost: int
    duplicated: int
    stuck: int
    wrong: int
    """Jobs that are done with a result that is not whole, or not the same as its like."""
    recorded_twice: int
    """Jobs whose result was recorded more than once, as the servers' logs tell."""
    twice_at_once: int
    """Attempts of one job that overlapped in time and both came to an end.

    Where servers are stopped and go on, these are expected: one of the two is recorded.
    """
    left_over: tuple[str, ...]
    endings: dict[str, int]
    """Jobs by state, or by the code of their problem."""
    attempts: int
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether nothing was lost, doubled, stuck, wrong or left behind."""
        stopped = any(kind.startswith("stop") for kind in self.strikes)
        faults = (self.lost, self.duplicated, self.stuck, self.wrong, self.recorded_twice)
        overlapped = self.twice_at_once and not stopped
        whole = self.done == self.jobs and not (self.left_over or overlapped)
        return whole and not any(faults) and self.takeover_s <= MOST_TAKEOVER_S


@dataclass(frozen=True, kw_only=True)
class Trial:
    """How much is done to how many."""

    seed: int
    jobs: int
    kills: int
    stops: bool = False
    """Whether processes are stopped and go on, too."""
    real_every: int = 0
    """Each such job is a volume for the real network; 0 has none."""
    servers: int = 1
    lone_workers: int = 0
    minutes: float = 600.0
    """Longer than this, nothing new is handed in or struck."""
    pauses: int = 0
    """Times that a computing server is stopped until another has taken its job over."""


def try_kills(folder: Path, trial: Trial, database: PostgresServer | None = None) -> KillReport:
    """Hand in images while a killer strikes; then look at every job and its result."""
    started = time.monotonic()
    diary, state, seed = folder / "diary.txt", folder / "state", trial.seed
    os.environ["BRAINMETS_TRIAL_DIARY"] = str(diary)
    shared: dict[str, Any] = {
        "database_url": database.database("trial") if database else "",
        "max_attempts": 10,  # the killer is no fault of a job's
        "retry_after_s": 1,
        "worker_silence_s": 8 if trial.stops else 60,
    }
    with ExitStack() as stack:
        services = [
            stack.enter_context(
                Service(state, max_waiting=30, workers=2 if trial.servers == 1 else 1, **shared)
            )
            for _ in range(trial.servers)
        ]
        clients = [stack.enter_context(Client(service.url)) for service in services]
        services += [
            stack.enter_context(Service(state, command=WORKER, **shared))
            for _ in range(trial.lone_workers)
        ]
        killer = Killer(services, random.Random(seed), diary, database)
        until = started + 60 * trial.minutes
        ids: dict[int, str] = {}

        def due(number: int) -> bool:
            """Let jobs come in as long as kills do."""
            over = time.monotonic() > until
            return over or number * trial.kills <= (len(killer.struck) + 2) * trial.jobs

        giver = threading.Thread(target=_hand_in, args=(clients, ids, trial, due, until))
        giver.start()
        killer.strike(trial.kills, stops=trial.stops, until=until)
        giver.join(PATIENCE_S)
        jobs = len(ids) if time.monotonic() > until else trial.jobs
        unfinished = _wait(clients[0], ids)
        before = diary.read_text() if diary.exists() else ""
        hit = killer.hit()
        takeovers = [_pause(services, clients, ids, diary) for _ in range(trial.pauses)]
        stock, faulty = _take_stock(clients[0], ids)
        for service in services:
            service.stop()
            service.start()  # what kills left behind is swept at the start
        known = set(ids.values())
        comes_true(lambda: not _left_over(state, known))  # the sweep takes its time
        left_over = _left_over(state, known)
    del os.environ["BRAINMETS_TRIAL_DIARY"]
    twice = _recorded_twice([service.log for service in services])
    faulty |= unfinished | twice
    return KillReport(
        seed=seed,
        jobs=jobs + trial.pauses,
        real=sum(_is_real(trial, number) for number in range(jobs)),
        servers=trial.servers,
        strikes=killer.counts(),
        hit={kind: len(found) for kind, found in sorted(hit.items())},
        hit_and_faulty={kind: len(found & faulty) for kind, found in sorted(hit.items())},
        pauses=len(takeovers),
        takeover_s=round(max(takeovers, default=0.0), 1),
        lost=jobs + trial.pauses - len(ids) + stock["lost"],
        duplicated=stock["duplicated"],
        done=stock["done"],
        stuck=len(unfinished),
        wrong=stock["wrong"],
        recorded_twice=len(twice),
        twice_at_once=_twice_at_once(before),
        left_over=left_over,
        endings={name[1:]: number for name, number in stock.items() if name[0] == "="},
        attempts=stock["attempts"],
        seconds=round(time.monotonic() - started, 1),
    )


def _is_real(trial: Trial, number: int) -> bool:
    return trial.real_every > 0 and number % trial.real_every == 0


def _hand_in(
    clients: list[Client],
    ids: dict[int, str],
    trial: Trial,
    due: Callable[[int], bool],
    until: float,
) -> None:
    """Submit each image until the service has said that it has it."""
    choice, content = random.Random(trial.seed + 1), head()
    volume = head(spacing_mm=REAL_SPACING_MM) if trial.real_every else content
    for number in range(trial.jobs):
        assert comes_true(lambda number=number: due(number), within_s=PATIENCE_S)
        if time.monotonic() > until:
            return
        upload, model = [(f"pause-{PACE_MS}-head-{number}.nii", vary(content, number))], None
        if _is_real(trial, number):
            upload, model = [(f"real-{number}.nii", _describe(volume, number))], REAL_MODEL
        deadline = time.monotonic() + PATIENCE_S
        while number not in ids and time.monotonic() < deadline:
            try:
                ids[number] = choice.choice(clients).submit(upload, model=model).id
            except BrainmetsError:  # killed, restarting, or full
                time.sleep(0.1)


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


def _describe(nifti: bytes, number: int) -> bytes:
    """Another file of the very same image: only its description differs."""
    return nifti[:148] + b"%079d\0" % number + nifti[228:]


def _wait(client: Client, ids: dict[int, str]) -> set[str]:
    """Wait until all jobs are finished; return those that are not."""
    deadline = time.monotonic() + PATIENCE_S
    waiting = set(ids.values())
    while waiting and time.monotonic() < deadline:
        waiting = {job.id for state in UNFINISHED for job in client.jobs(state=state)}
        time.sleep(0.5)
    return waiting


def _take_stock(client: Client, ids: dict[int, str]) -> tuple[Counter[str], set[str]]:
    """Look at every job and every file of its result; return counts, and the faulty jobs."""
    stock: Counter[str] = Counter()
    faulty: set[str] = set()
    alike: dict[tuple[str, ...], tuple[object, ...]] = {}
    stock["listed"] = _listed(client)
    stock["duplicated"] = max(0, stock["listed"] - len(ids)) + len(ids) - len(set(ids.values()))
    for job_id in ids.values():
        job = client.job(job_id)
        stock["attempts"] += job.attempts
        stock["=" + (job.problem.code if job.problem else job.state)] += 1
        if job.state != "done" or job.result is None:
            stock["lost"] += 1
            faulty.add(job_id)
            continue
        stock["done"] += 1
        found = _result(client, job)
        names = tuple(file.name for file in job.files)
        if found is None or found != alike.setdefault(names, found) or len(alike) > 2:
            stock["wrong"] += 1
            faulty.add(job_id)
    return stock, faulty


def _listed(client: Client) -> int:
    """Count the jobs in the list, page by page."""
    number, before = 0, None
    while jobs := client.jobs(before=before):
        number, before = number + len(jobs), jobs[-1].created
    return number


def _result(client: Client, job: JobView) -> tuple[object, ...] | None:
    """Return what must be the same for all images alike; None where a file is torn."""
    assert job.result is not None
    mask = b""
    for file in job.files:
        content = client.file(job.id, file.name)
        if len(content) != file.size or not content:
            return None
        if file.name.endswith(".gz"):
            try:
                plain = gzip.decompress(content)
            except (OSError, EOFError, zlib.error):
                return None
            mask = _voxels(plain) if file.name == "mask.nii.gz" else mask
    for part in ("image.u16", "probability.u8", "labels.u8"):
        if httpx.get(f"{client.base_url}/v1/jobs/{job.id}/view/{part}", timeout=60).is_error:
            return None
    return len(job.result.lesions), hashlib.sha256(mask).hexdigest(), bool(mask)


def _voxels(nifti: bytes) -> bytes:
    """Return a file's values without its header, which names the origin of the image."""
    return np.asarray(nibabel.Nifti1Image.from_bytes(nifti).dataobj).tobytes()


def _left_over(state: Path, ids: set[str]) -> tuple[str, ...]:
    jobs = {path.name for path in (state / "jobs").iterdir()} - ids
    staged = {path.name for path in (state / "staging").iterdir()}
    drafts = {path.name for path in all_below(state) if "draft" in path.name}
    attempts = [path.parent.name for path in (state / "jobs").glob("*/attempt-*")]
    spare = {f"attempts of {job}" for job, number in Counter(attempts).items() if number > 1}
    return tuple(sorted(jobs | staged | drafts | spare))


def _recorded_twice(logs: list[Path]) -> set[str]:
    counts = Counter(re.findall(r"job ([0-9a-f]{16}): done", "".join(p.read_text() for p in logs)))
    return {job for job, number in counts.items() if number > 1}


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
