"""Jobs survive `kill -9` of workers and servers at random moments."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.trials.kills import try_kills
from tests.unit.postgres import postgres_binaries, postgres_server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def test_a_few_kills_lose_no_job(tmp_path: Path) -> None:
    report = try_kills(tmp_path, seed=20_261_125, jobs=6, kills=2)
    assert report.passed, report


@pytest.mark.slow
def test_fifty_kills_over_two_hundred_jobs_lose_none(tmp_path: Path) -> None:
    report = try_kills(tmp_path, seed=20_261_125, jobs=200, kills=50)
    print(report)
    assert report.passed, report


@pytest.fixture
def url() -> Iterator[str]:
    if postgres_binaries() is None:
        pytest.skip("no PostgreSQL here: apt-get install postgresql")
    with postgres_server() as server:
        yield server.database("trial")


def test_a_stopped_worker_that_goes_on_spoils_no_result(tmp_path: Path, url: str) -> None:
    report = try_kills(tmp_path, seed=1, jobs=2, kills=0, database_url=url, servers=2, pauses=1)
    assert report.passed, report


@pytest.mark.slow
def test_fifty_kills_of_two_servers_and_two_workers_lose_none(tmp_path: Path, url: str) -> None:
    report = try_kills(
        tmp_path,
        seed=20_261_125,
        jobs=200,
        kills=50,
        database_url=url,
        servers=2,
        lone_workers=2,
        pauses=3,
    )
    print(report)
    assert report.passed, report
