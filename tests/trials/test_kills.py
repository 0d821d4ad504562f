"""Jobs survive kills and stops of workers, servers and the database at random moments.

`BRAINMETS_TRIAL_JOBS` and `BRAINMETS_TRIAL_KILLS` say how large the slow trials are, each, and
`BRAINMETS_TRIAL_MINUTES` how long they may go on.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.trials.kills import Trial, try_kills
from tests.unit.postgres import postgres_binaries, postgres_server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.unit.postgres import PostgresServer

JOBS = int(os.environ.get("BRAINMETS_TRIAL_JOBS", "200"))
KILLS = int(os.environ.get("BRAINMETS_TRIAL_KILLS", "50"))
MINUTES = float(os.environ.get("BRAINMETS_TRIAL_MINUTES", "600"))
SEED = 20_261_130


def test_a_few_kills_lose_no_job(tmp_path: Path) -> None:
    report = try_kills(tmp_path, Trial(seed=SEED, jobs=6, kills=2))
    assert report.passed, report


@pytest.mark.slow
def test_kills_and_stops_of_one_machine_lose_no_job(tmp_path: Path) -> None:
    report = try_kills(
        tmp_path,
        Trial(seed=SEED, jobs=JOBS, kills=KILLS, stops=True, real_every=10, minutes=MINUTES),
    )
    print(report)
    assert report.passed, report


@pytest.fixture
def database() -> Iterator[PostgresServer]:
    if postgres_binaries() is None:
        pytest.skip("no PostgreSQL here: apt-get install postgresql")
    with postgres_server() as server:
        yield server


def test_a_stopped_worker_that_goes_on_spoils_no_result(
    tmp_path: Path, database: PostgresServer
) -> None:
    report = try_kills(tmp_path, Trial(seed=1, jobs=2, kills=0, servers=2, pauses=1), database)
    assert report.passed, report


@pytest.mark.slow
def test_kills_and_stops_of_two_servers_and_two_workers_lose_no_job(
    tmp_path: Path, database: PostgresServer
) -> None:
    trial = Trial(
        seed=SEED,
        jobs=JOBS,
        kills=KILLS,
        stops=True,
        real_every=10,
        servers=2,
        lone_workers=2,
        pauses=3,
        minutes=MINUTES,
    )
    report = try_kills(tmp_path, trial, database)
    print(report)
    assert report.passed, report
