"""How many workers a clinic, a hospital group or an archive needs: a discrete-event simulation.

    python benchmarks/capacity.py                         the table of docs/explanation/scale.md
    python benchmarks/capacity.py --check RESULTS …       against cohorts that ran

Scans arrive as a Poisson process whose rate follows a working day, wait in one queue in their
order, and take a free worker for a log-normal time. `--check` takes folders of `brainmets segment
--batch`, feeds the seconds that their cases took to the same queue, and compares when the last one
ended.
"""

from __future__ import annotations

import argparse
import heapq
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

HOURS = np.array(
    [*[0.2] * 7, 2, 5, 7, 8, 8, 6, 7, 8, 7, 6, 4, 2, 1.5, 1, 0.7, 0.4, 0.3],
)
"""How the scans of a day fall on its hours: an assumption, most between eight and six."""

SPREAD = 0.5
"""Standard deviation of the logarithm of a scan's seconds; an assumption. Heads differ by a factor
of three in size."""

SEED = 20261130


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Seconds that scans waited, when the last ended, and the workers' share of time at work."""

    waits: np.ndarray
    end: float
    busy: float


def simulate(arrivals: Sequence[float], seconds: Sequence[float], workers: int) -> Outcome:
    """Serve scans in the order they come by the first worker that is free."""
    free = [0.0] * workers
    waits = np.empty(len(arrivals))
    for number, (arrival, needed) in enumerate(zip(arrivals, seconds, strict=True)):
        start = max(arrival, heapq.heappop(free))
        waits[number] = start - arrival
        heapq.heappush(free, start + needed)
    end = max(free)
    return Outcome(waits=waits, end=end, busy=sum(seconds) / (workers * max(end, 1e-9)))


def arrivals_of(a_day: float, days: int, rng: np.random.Generator) -> np.ndarray:
    """Draw the times at which scans come, over some days."""
    share = HOURS / HOURS.sum()
    times = [
        (day * 24 + hour + rng.random(rng.poisson(a_day * share[hour]))) * 3600
        for day in range(days)
        for hour in range(24)
    ]
    return np.sort(np.concatenate(times))


def service_times(count: int, mean: float, rng: np.random.Generator) -> np.ndarray:
    return rng.lognormal(np.log(mean) - SPREAD**2 / 2, SPREAD, count)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, nargs="+", default=[3.0, 10.0, 30.0])
    parser.add_argument("--days", type=int, default=20)
    parser.add_argument("--check", type=Path, nargs="+")
    given = parser.parse_args()
    if given.check:
        for folder in given.check:
            check(folder)
        return
    print(
        "| scans a day | seconds a scan | workers | busy | wait, median | wait, 95th percentile |"
    )
    print("|---|---|---|---|---|---|")
    for a_day in (50, 2000):
        for mean in given.seconds:
            for workers, outcome in until_short(a_day, mean, given.days):
                median, high = np.percentile(outcome.waits, (50, 95))
                print(
                    f"| {a_day:,} | {mean:g} | {workers} | {outcome.busy:.0%} | {median:,.0f} s |"
                    f" {high:,.0f} s |"
                )


def until_short(a_day: int, mean: float, days: int) -> list[tuple[int, Outcome]]:
    """Add workers until nineteen of twenty scans wait for less than a minute."""
    found: list[tuple[int, Outcome]] = []
    for workers in range(1, 100):
        rng = np.random.default_rng(SEED)
        arrivals = arrivals_of(a_day, days, rng)
        outcome = simulate(arrivals, service_times(len(arrivals), mean, rng), workers)
        found.append((workers, outcome))
        if np.percentile(outcome.waits, 95) < 60:
            break
    return found


def check(folder: Path) -> None:
    """Compare the queue with a cohort that ran: the workers that ended its last cases."""
    ended = [
        (path.stat().st_mtime, json.loads(path.read_text()))
        for path in folder.glob("status/*.json")
    ]
    ended.sort(key=lambda one: one[0])
    last = {status["worker"] for _, status in ended[len(ended) * 2 // 3 :]}
    run = [
        (end - status["seconds"], end, status) for end, status in ended if status["worker"] in last
    ]
    run.sort(key=lambda one: one[0])
    seconds = [status["seconds"] for _, _, status in run]
    real = max(end for _, end, _ in run) - min(start for start, _, _ in run)
    told = simulate([0.0] * len(seconds), seconds, len(last)).end
    print(
        f"{folder.name}: {len(seconds)} cases, {len(last)} worker(s): {real:.1f} s, simulated"
        f" {told:.1f} s ({told / real - 1:+.1%})"
    )


if __name__ == "__main__":
    main()
