"""Whoever kills or stops processes of a service, at random moments, and what that struck."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.patience import comes_true

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from tests.trials.service import Service
    from tests.unit.postgres import PostgresServer

__all__ = ["Killer", "Strike"]

PATIENCE_S = 1200.0
"""A loaded machine starts a worker more slowly than the killer strikes."""

LONGEST_STOP_S = 12.0
"""Longer than the silence after which a worker or a server is given up."""


AT_WORK = 0.8
"""How many of the strikes wait until a job is being computed, if one soon is."""


@dataclass(frozen=True, slots=True)
class Strike:
    """One kill, or one stop that goes on later, and the processes of workers that it struck."""

    kind: str
    moment: float
    workers: frozenset[int]


@dataclass
class Killer:
    """Strikes by turns, each kind as soon as there is something to strike."""

    services: Sequence[Service]
    choice: random.Random
    diary: Path
    database: PostgresServer | None = None
    struck: list[Strike] = field(default_factory=list[Strike])
    _going_on: list[threading.Thread] = field(default_factory=list[threading.Thread])

    def strike(self, times: int, *, stops: bool, until: float) -> None:
        """Kill workers, servers and the database; `stops` adds SIGSTOP and SIGCONT.

        Most strikes wait for a moment when a job is computed. No more come after `until`, a
        time of the monotonic clock.
        """
        kinds: dict[str, Callable[[], bool]] = {
            "kill worker": self._kill_worker,
            "kill server": self._kill_server,
        }
        if stops:
            kinds |= {
                "stop worker": lambda: self._stop(server=False, workers=True),
                "stop server": lambda: self._stop(server=True, workers=False),
                "stop both": lambda: self._stop(server=True, workers=True),
            }
        if self.database is not None:
            kinds["kill database"] = self._kill_database
        names = sorted(kinds)
        for number in range(times):
            if self.choice.random() < AT_WORK:
                comes_true(self._at_work, within_s=60.0)
            time.sleep(self.choice.uniform(0.0, 0.8))
            if time.monotonic() > until:
                break
            if number % len(names) == 0:
                self.choice.shuffle(names)
            assert comes_true(kinds[names[number % len(names)]], within_s=PATIENCE_S)
        for thread in self._going_on:
            thread.join()

    def counts(self) -> dict[str, int]:
        """Return how often each kind was struck."""
        return dict(sorted(Counter(strike.kind for strike in self.struck).items()))

    def hit(self) -> dict[str, set[str]]:
        """Return by kind the jobs that were being computed by what was struck."""
        found: dict[str, set[str]] = {strike.kind: set() for strike in self.struck}
        for job, pid, span in self._attempts():
            for strike in self.struck:
                within = span["start"] <= strike.moment <= span.get("end", float("inf"))
                if pid in strike.workers and within:
                    found[strike.kind].add(job)
        return found

    def _attempts(self) -> Iterator[tuple[str, int, dict[str, float]]]:
        """Yield job, process and the moments of `start` and `end` of each attempt.

        Each line of the diary is `start|end job process-moment seconds`.
        """
        spans: dict[tuple[str, str], dict[str, float]] = {}
        for line in self.diary.read_text().splitlines() if self.diary.exists() else []:
            what, job, attempt, moment = line.split()
            spans.setdefault((job, attempt), {})[what] = float(moment)
        for (job, attempt), span in spans.items():
            yield job, int(attempt.partition("-")[0]), span

    def _at_work(self) -> bool:
        living = {pid for service in self.services for pid in service.workers()}
        return any(pid in living and "end" not in span for _, pid, span in self._attempts())

    def _note(self, kind: str, workers: Sequence[int]) -> None:
        self.struck.append(Strike(kind, time.monotonic(), frozenset(workers)))

    def _kill_worker(self) -> bool:
        pids = [pid for service in self.services for pid in service.workers()]
        if not pids:
            return False
        chosen = self.choice.choice(pids)
        self._note("kill worker", [chosen])
        try:
            os.kill(chosen, signal.SIGKILL)
        except ProcessLookupError:
            self.struck.pop()
            return False
        return True

    def _kill_server(self) -> bool:
        service = self.choice.choice(self.services)
        self._note("kill server", service.workers())
        service.kill()
        service.start()
        return True

    def _kill_database(self) -> bool:
        assert self.database is not None
        self._note("kill database", [pid for one in self.services for pid in one.workers()])
        self.database.kill()
        time.sleep(self.choice.uniform(0, 3.0))
        assert comes_true(self._database_starts)
        return True

    def _database_starts(self) -> bool:
        assert self.database is not None
        try:
            self.database.start()
        except subprocess.CalledProcessError:
            return False
        return True

    def _stop(self, *, server: bool, workers: bool) -> bool:
        """Stop processes of one service in any order; let them go on in any other, later."""
        service = self.choice.choice(self.services)
        computing = service.workers()
        if workers and not computing:
            return False
        pids = [service.pid] * server + computing * workers
        self.choice.shuffle(pids)
        name = {(True, True): "both", (True, False): "server"}.get((server, workers), "worker")
        self._note(f"stop {name}", computing)
        service.signal_all(signal.SIGSTOP, pids)
        order = self.choice.sample(pids, len(pids))
        pauses = [self.choice.uniform(0.3, LONGEST_STOP_S)]
        pauses += [self.choice.uniform(0.0, 2.0) for _ in order[1:]]

        def go_on() -> None:
            for pid, pause in zip(order, pauses, strict=True):
                time.sleep(pause)
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

        thread = threading.Thread(target=go_on)
        self._going_on.append(thread)
        thread.start()
        return True
