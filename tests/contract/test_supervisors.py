"""What computes jobs keeps the same promises on either engine: SQLite and PostgreSQL."""

from __future__ import annotations

import io
import itertools
import time
from contextlib import ExitStack
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

from brainmets.api.engines import open_supervisor
from brainmets.api.metrics import Metrics
from brainmets.api.schemas import JobOptions
from brainmets.api.settings import Settings
from brainmets.api.staging import stage
from brainmets.api.storage import Storage
from brainmets.api.store import open_store
from tests.patience import comes_true
from tests.trials.service import head
from tests.unit.postgres import postgres_binaries, postgres_server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from brainmets.api.store import JobStore, StoredJob
    from brainmets.api.supervisor import Supervisor
    from tests.unit.postgres import PostgresServer

PATIENCE_S = 240.0
_number = itertools.count()


class Engine:
    """One job list with its data folder, and the servers that compute its jobs."""

    def __init__(self, state: Path, url: str, stack: ExitStack) -> None:
        self.settings = Settings(
            state_dir=state,
            database_url=url,
            runner="tests.unit.api_stand_in:segment",
            retry_after_s=0.1,
        )
        self.storage = Storage(self.settings)
        self.store: JobStore = open_store(self.settings.job_list)
        self._stack = stack
        self._content = head()
        stack.callback(self.store.close)

    def start(self) -> Supervisor:
        server = open_supervisor(self.settings, self.store, Metrics(), self.storage)
        server.start()
        self._stack.callback(server.stop)
        return server

    def submit(self, name: str, owner: str = "anna") -> str:
        """Take an image in as the service does: its folder is locked until the list names it."""
        with stage(self.settings.staging_dir) as staging:
            staging.add(f"{name}.nii", io.BytesIO(self._content))
            job_id = staging.commit(self.settings.jobs_dir)
            return self.store.submit(
                job_id,
                owner=owner,
                fingerprint=job_id,
                label=name,
                options=JobOptions(),
                max_waiting=100,
            )

    def wait(self, job_id: str, *states: str) -> StoredJob:
        expected = states or ("done", "failed", "cancelled")
        assert comes_true(lambda: self.store.get(job_id).state in expected, within_s=PATIENCE_S)
        return self.store.get(job_id)

    def attempts(self, job_id: str) -> list[str]:
        return sorted(path.name for path in (self.settings.jobs_dir / job_id).glob("attempt-*"))


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    if postgres_binaries() is None or find_spec("procrastinate") is None:
        pytest.skip("no PostgreSQL here: apt-get install postgresql, pip install '.[postgres]'")
    with postgres_server() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    repository: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Engine]:
    monkeypatch.setenv("PYTHONPATH", str(repository))
    url = ""
    if request.param == "postgresql":
        url = request.getfixturevalue("server").database(f"engine{next(_number)}")
    with ExitStack() as stack:
        yield Engine(tmp_path, url, stack)


def test_jobs_are_computed_by_turns_each_in_a_folder_of_its_own(engine: Engine) -> None:
    jobs = [engine.submit(f"a{number}") for number in range(3)]
    jobs.append(engine.submit("b0", owner="ben"))
    engine.start()
    done = [engine.wait(job) for job in jobs]
    assert [job.state for job in done] == ["done"] * 4
    assert [job.attempts for job in done] == [1] * 4
    started = {job.label: job.started for job in done}
    assert sorted(started, key=lambda name: started[name] or 0) == ["a0", "b0", "a1", "a2"]
    for job in done:
        assert engine.attempts(job.id) == [f"attempt-{job.ticket}"]
        folder = engine.settings.result_dir(job.id, job.ticket)
        assert {path.name for path in (folder / "out").iterdir()} == {"mask.nii.gz", "report.json"}
        assert (folder / "view" / "meta.json").is_file()


def test_a_cancelled_job_ends_and_leaves_nothing_but_its_images(engine: Engine) -> None:
    engine.start()
    job = engine.submit("slow")
    engine.wait(job, "running")
    assert comes_true(lambda: engine.store.get(job).done > 0, within_s=PATIENCE_S)
    engine.store.cancel(job)
    assert comes_true(lambda: not engine.attempts(job), within_s=PATIENCE_S)
    assert engine.wait(engine.submit("next")).state == "done"
    assert engine.store.get(job).state == "cancelled"
    assert (engine.settings.jobs_dir / job / "input").is_dir()


def test_a_server_that_stops_gives_its_job_back(engine: Engine) -> None:
    first = engine.start()
    job = engine.submit("pause-8000")
    engine.wait(job, "running")
    first.stop()
    given_back = engine.store.get(job)
    assert (given_back.state, given_back.attempts, given_back.server_losses) == ("queued", 0, 0)
    engine.start()
    done = engine.wait(job)
    assert (done.state, done.attempts) == ("done", 1)
    assert engine.attempts(job) == [f"attempt-{done.ticket}"]


def test_a_job_that_kills_its_worker_fails_and_its_neighbour_does_not(engine: Engine) -> None:
    engine.start()
    poison, neighbour = engine.submit("kill"), engine.submit("neighbour")
    assert engine.wait(neighbour).state == "done"
    failed = engine.wait(poison)
    assert failed.problem is not None
    assert (failed.state, failed.problem.code, failed.attempts) == ("failed", "E_POISON", 3)
    assert comes_true(lambda: not engine.attempts(poison), within_s=PATIENCE_S)


def test_a_superseded_attempt_neither_records_nor_removes_a_result(engine: Engine) -> None:
    first = engine.start()
    job = engine.submit("pause-6000")
    taken = engine.wait(job, "running")
    assert comes_true(lambda: engine.store.get(job).done > 0, within_s=PATIENCE_S)
    assert engine.store.retry(taken, lost=True), "as a server does that takes the job over"
    done = engine.wait(job, "done")
    assert done.ticket > taken.ticket
    assert (done.attempts, done.server_losses) == (1, 1)
    assert comes_true(
        lambda: engine.attempts(job) == [f"attempt-{done.ticket}"], within_s=PATIENCE_S
    )
    assert (engine.settings.result_dir(job, done.ticket) / "out" / "mask.nii.gz").is_file()
    first.stop()
    assert engine.store.get(job).state == "done"


def test_a_server_of_a_folder_that_was_replaced_takes_no_jobs(engine: Engine) -> None:
    earlier = engine.start()
    assert engine.wait(engine.submit("before")).state == "done"
    (engine.settings.state_dir / "jobs.lock").unlink(missing_ok=True)  # as a restored folder has
    later = engine.start()
    jobs = [engine.wait(engine.submit(f"pause-600-{number}")) for number in range(3)]
    assert [(job.state, job.attempts, job.server_losses) for job in jobs] == [("done", 1, 0)] * 3
    assert (earlier.stalled(), later.stalled()) == ([], [])


def test_a_clock_that_was_put_back_keeps_no_job_waiting(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.start()
    before = engine.submit("before")
    real = time.time
    monkeypatch.setattr("time.time", lambda: real() - 86_400)
    after = engine.submit("after")
    assert [engine.wait(job).state for job in (before, after)] == ["done", "done"]
