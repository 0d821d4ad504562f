"""Random requests: none is answered by a fault, memory stays, and the event loop never waits.

`BRAINMETS_TRIAL_REQUESTS` and `BRAINMETS_TRIAL_SEED` change the slow one.
"""

from __future__ import annotations

import hashlib
import os
import random
import re
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.patience import comes_true
from tests.trials.fuzz import Fuzzer, Request, send
from tests.trials.service import Service, head

if TYPE_CHECKING:
    from pathlib import Path

REQUESTS = int(os.environ.get("BRAINMETS_TRIAL_REQUESTS", "20000"))
SEED = int(os.environ.get("BRAINMETS_TRIAL_SEED", "20261130"))
TICKING = ("-m", "uvicorn", "tests.trials.ticking:app")
KEY = "the-readers-key"
SENDERS = 4
FLAT_MB = 50.0
BLOCKED_S = 0.25
WARM_REQUESTS = 2000
"""After these every module is loaded; of few requests, after half of them."""


@dataclass
class Outcome:
    """What became of the requests."""

    seed: int
    answers: Counter[int] = field(default_factory=Counter[int])
    operations: Counter[str] = field(default_factory=Counter[str])
    faults: list[str] = field(default_factory=list[str])
    memory_mb: list[float] = field(default_factory=list[float])
    late_s: dict[str, float] = field(default_factory=dict[str, float])
    """Longest times without a turn of the event loop, as `tests.trials.ticking` reports them."""
    seconds: float = 0.0
    log: str = ""


def fuzz(folder: Path, *, requests: int, seed: int) -> Outcome:
    """Send `requests` from `SENDERS` threads at once, with uploads and jobs coming and going."""
    outcome, started = Outcome(seed=seed), time.monotonic()
    key = f"reader:{hashlib.sha256(KEY.encode()).hexdigest()}"
    with Service(
        folder / "state",
        command=TICKING,
        api_keys_sha256=key,
        max_waiting=20,
        workers=1,
    ) as service:
        bearer = {"Authorization": f"Bearer {KEY}"}
        with httpx.Client(base_url=service.url, headers=bearer, timeout=300) as client:
            schema = client.get("/openapi.json").json()
            Senders(service, client, schema, outcome, requests).run()
            assert client.get("/readyz").status_code == 200
        outcome.log = service.log.read_text()
    outcome.seconds = round(time.monotonic() - started, 1)
    return outcome


@dataclass
class Senders:
    """Threads that send until all requests are sent, and look at the server now and then."""

    service: Service
    client: httpx.Client
    schema: dict[str, Any]
    outcome: Outcome
    requests: int
    image: bytes = field(default_factory=lambda: head(spacing_mm=12.0))
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _sent: int = 0

    def run(self) -> None:
        warm = self._fuzzer("warm")
        self._add(warm)
        job = f"/v1/jobs/{warm.jobs[0]}"
        assert comes_true(lambda: self.client.get(job).json()["state"] == "done", within_s=300)
        self.client.get("/trial/ticks")  # what starting took is forgotten
        threads = [threading.Thread(target=self._send, args=(n,)) for n in range(SENDERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self._look()

    def _fuzzer(self, name: object) -> Fuzzer:
        return Fuzzer(self.schema, random.Random(f"{self.outcome.seed}-{name}"), KEY, self.image)

    def _next(self) -> int | None:
        with self._lock:
            if self._sent == self.requests:
                return None
            self._sent += 1
            if self._sent % max(1, self.requests // 40) == 0:
                self._look()
            return self._sent

    def _send(self, mine: int) -> None:
        fuzzer = self._fuzzer(mine)
        while (number := self._next()) is not None:
            if not fuzzer.jobs or fuzzer.choice.random() < 0.01:
                self._add(fuzzer)
            request = fuzzer.request()
            status, answer = send(self.service.url, request)
            with self._lock:
                self.outcome.answers[status] += 1
                self.outcome.operations[request.operation] += 1
                if status >= 500 or status < 0:
                    self.outcome.faults.append(told(number, status, request, answer))

    def _look(self) -> None:
        late = self.outcome.late_s
        for name, worst in self.client.get("/trial/ticks").json().items():
            late[name] = round(max(worst, late.get(name, 0.0)), 3)
        self.outcome.memory_mb.append(round(self.service.memory_mb(), 1))

    def _add(self, fuzzer: Fuzzer) -> None:
        """Give the fuzzer a job and an upload to ask for, as earlier ones are deleted."""
        files = [("files", ("a.nii", self.image[:-4] + fuzzer.choice.randbytes(4)))]
        job = self.client.post("/v1/jobs", files=files)
        if job.status_code == 202:
            fuzzer.jobs[:] = [*fuzzer.jobs[-3:], job.json()["id"]]
        upload = self.client.post("/v1/uploads", files=files).json()["id"]
        fuzzer.uploads[:] = [*fuzzer.uploads[-1:], upload]


def told(position: int, status: int, request: Request, answer: bytes) -> str:
    shown = f"{request.method} {request.path[:300]} {request.headers!r:.600} {request.body[:300]!r}"
    return f"request {position}: {status} to {shown}: {answer[-400:]!r}"


@pytest.mark.parametrize("requests", [600, pytest.param(REQUESTS, marks=pytest.mark.slow)])
def test_random_requests_meet_no_fault(tmp_path: Path, requests: int) -> None:
    warm = min(0.5, WARM_REQUESTS / requests)
    outcome = fuzz(tmp_path, requests=requests, seed=SEED)
    settled, *later = outcome.memory_mb[round(40 * warm) :]  # modules are loaded by then
    print(
        f"\nseed {outcome.seed}: {requests} requests in {outcome.seconds} s,"
        f" answers {dict(sorted(outcome.answers.items()))};"
        f" memory {outcome.memory_mb} MB;"
        f" event loop late by {outcome.late_s}; {len(outcome.faults)} faults"
    )
    assert not outcome.faults, "\n".join(outcome.faults[:20])
    assert "Traceback" not in outcome.log
    failed = set(re.findall(r"a request failed: (\w+)", outcome.log))
    assert failed <= {"LocalProtocolError"}, "only where the caller broke HTTP amid the answer"
    assert sum(outcome.answers.values()) == requests
    assert outcome.answers[200] > requests / 20, "most answers are not about nothing"
    assert all(abs(memory - settled) < FLAT_MB for memory in later)
    assert max(outcome.late_s["own_s"], outcome.late_s["computed_s"]) < BLOCKED_S
