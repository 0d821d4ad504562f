"""Each row of the fault table, shown on a server process whose world is really broken.

What users see is compared with the table itself (`tests/docs/faults.py`), so that
`docs/reference/faults.md` tells no more and no less.
"""

from __future__ import annotations

import shutil
import sqlite3
import time
from contextlib import closing, suppress
from typing import TYPE_CHECKING

import pytest

from tests.docs.faults import fault
from tests.patience import comes_true
from tests.trials.faults import PATIENCE_S, Witness, answer_of, mounted, run_as_root
from tests.trials.service import Service
from tests.unit.postgres import postgres_binaries, postgres_server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.unit.postgres import PostgresServer


def fill(path: Path) -> int:
    """Write a file until nothing more fits; return how many bytes are still free."""
    with suppress(OSError), path.open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass
    return shutil.disk_usage(path.parent).free


def test_a_full_disk(tmp_path: Path) -> None:
    row, disk = fault("full disk"), tmp_path / "disk"
    with (
        mounted(disk, "-t", "tmpfs", "-o", "size=40m", "none"),
        Service(disk / "state", min_free_bytes=4 * 2**20) as service,
        Witness(service) as witness,
    ):
        job = witness.done()
        running = witness.submit("pause-4000.nii").json()["id"]
        witness.begins(running)
        ballast = disk / "ballast"
        assert not fill(ballast)
        assert {answer_of(witness.submit()), answer_of(witness.upload())} == row.answers
        assert witness.readiness() == row.readiness
        assert witness.listed() == {job, running}
        assert witness.client.get(f"/v1/jobs/{job}/files/mask.nii.gz").status_code == 200
        time.sleep(4.0)  # the running job comes to its end and finds no room for its result
        assert witness.answers_meanwhile()
        ballast.unlink()
        assert comes_true(witness.ready, within_s=PATIENCE_S)
        ended = witness.ends(running)
        assert (ended["state"], ended["problem"]) == ("done", None)
        witness.done("after.nii")


def test_a_read_only_data_folder(tmp_path: Path) -> None:
    row, disk = fault("read-only"), tmp_path / "disk"
    state = disk / "state"
    tmpfs = ("-t", "tmpfs", "-o", "size=60m", "none")
    with mounted(disk, *tmpfs), Service(state) as service, Witness(service) as witness:
        job = witness.done()
        running = witness.submit("pause-3000.nii").json()["id"]
        witness.begins(running)
        with mounted(state, "--bind", str(state)):
            run_as_root("mount", "-o", "remount,bind,ro", str(state))
            with pytest.raises(OSError, match="Read-only"):
                (state / "probe").touch()
            assert witness.of_everything(job) == row.answers
            assert witness.readiness() == row.readiness
            assert witness.listed() == {job, running}
            assert witness.client.get(f"/v1/jobs/{job}/files/mask.nii.gz").status_code == 200
            time.sleep(4.0)
            assert witness.client.get(f"/v1/jobs/{running}").json()["state"] != "failed"
        assert comes_true(witness.ready, within_s=PATIENCE_S)
        ended = witness.ends(running)
        assert (ended["state"], ended["problem"]) == ("done", None)
        witness.done("after.nii")


@pytest.mark.slow
def test_a_removed_data_folder(tmp_path: Path) -> None:
    row, state, away = fault("removed"), tmp_path / "state", tmp_path / "away"
    with Service(state) as service, Witness(service) as witness:
        job = witness.done()
        running = witness.submit("pause-3000.nii").json()["id"]
        witness.begins(running)
        state.rename(away)
        assert witness.of_everything(job) == row.answers
        assert witness.readiness() == row.readiness
        assert answer_of(witness.client.get("/v1/jobs")) in row.answers
        assert witness.answers_meanwhile()
        time.sleep(4.0)
        away.rename(state)
        assert comes_true(witness.ready, within_s=PATIENCE_S)
        ended = witness.ends(running)
        assert (ended["state"], ended["problem"]) == ("done", None)
        assert witness.listed() == {job, running}
        witness.done("after.nii")


@pytest.mark.slow
def test_a_locked_job_list(tmp_path: Path) -> None:
    row, state = fault("locked"), tmp_path / "state"
    with Service(state) as service, Witness(service) as witness:
        job = witness.done()
        with closing(sqlite3.connect(state / "jobs.sqlite", isolation_level=None)) as holder:
            holder.execute("BEGIN EXCLUSIVE")
            assert witness.listed() == {job}
            assert {answer_of(witness.submit())} == row.answers
            assert witness.readiness() == row.readiness
            assert witness.answers_meanwhile()
            holder.execute("ROLLBACK")
        assert comes_true(witness.ready, within_s=PATIENCE_S)
        witness.done("after.nii")


@pytest.mark.slow
def test_a_damaged_job_list(tmp_path: Path) -> None:
    row, state, backup = fault("damaged list"), tmp_path / "state", tmp_path / "backup"
    with Service(state) as service, Witness(service) as witness:
        job = witness.done()
        path = state / "jobs.sqlite"
        with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(backup)) as target:
            source.backup(target)
            source.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        with path.open("r+b") as file:  # the very file that is open
            file.write(b"this is no database " * 1000)
        assert comes_true(lambda: not witness.ready(), within_s=PATIENCE_S)
        assert {answer_of(witness.submit()), answer_of(witness.upload())} == row.answers
        assert witness.readiness() == row.readiness
        assert witness.answers_meanwhile()
        for name in ("jobs.sqlite-wal", "jobs.sqlite-shm"):
            (state / name).unlink(missing_ok=True)
        shutil.copy(backup, state / "restored")
        (state / "restored").rename(path)
        assert comes_true(witness.ready, within_s=PATIENCE_S)
        assert witness.listed() == {job}
        witness.done("after.nii")


@pytest.mark.slow
def test_an_unreadable_entry(tmp_path: Path) -> None:
    row, state = fault("unreadable entry"), tmp_path / "state"
    with Service(state) as service, Witness(service) as witness:
        jobs = {witness.done(f"{number}.nii") for number in range(2)}
        damaged = min(jobs)
        with closing(sqlite3.connect(state / "jobs.sqlite")) as other, other:
            spoil = "UPDATE jobs SET options = '{', series = 'x', result = '[' WHERE id = ?"
            other.execute(spoil, (damaged,))
        assert witness.listed() == jobs
        shown = witness.client.get(f"/v1/jobs/{damaged}")
        assert {f"{shown.status_code} {shown.json()['problem']['code']}"} == row.answers
        assert witness.readiness() == row.readiness
        for path in ("files/mask.nii.gz", "lesions", "exports/lesions.csv", "view/labels.u8"):
            assert witness.client.get(f"/v1/jobs/{damaged}/{path}").status_code == 409, path
        witness.done("after.nii")
        assert witness.client.delete(f"/v1/jobs/{damaged}").status_code == 204
        assert damaged not in witness.listed()


CLOCK = """
import os, time
real, offset_file = time.time, os.environ["BRAINMETS_TRIAL_CLOCK"]
time.time = lambda: real() + float(open(offset_file).read())
"""


@pytest.mark.parametrize("days", [-1, pytest.param(1, marks=pytest.mark.slow)])
def test_a_clock_that_jumps_a_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    """`time.time` is patched in the server and its workers; the monotonic clock goes on."""
    clock, patch = tmp_path / "clock", tmp_path / "patch"
    clock.write_text("0")
    patch.mkdir()
    (patch / "sitecustomize.py").write_text(CLOCK)
    monkeypatch.setenv("BRAINMETS_TRIAL_CLOCK", str(clock))
    monkeypatch.setenv("BRAINMETS_TRIAL_PATH", str(patch))
    row = fault("clock")
    with Service(tmp_path / "state") as service, Witness(service) as witness:
        first = witness.submit("pause-3000-first.nii").json()["id"]
        waiting = witness.submit("waiting.nii").json()["id"]
        clock.write_text(str(days * 86_400))
        after = witness.submit("after.nii")
        assert {answer_of(after)} == row.answers
        assert witness.readiness() == row.readiness
        started = time.monotonic()
        ended = [witness.ends(job) for job in (first, waiting, after.json()["id"])]
        assert [job["state"] for job in ended] == ["done"] * 3
        assert time.monotonic() - started < PATIENCE_S / 2
        created = [job["created"] for job in ended]
        assert abs(created[2] - created[1] - days * 86_400) < 600, "the clock has jumped"
        assert len(witness.listed()) == 3
        upload = witness.upload().json()["id"]
        assert witness.client.get(f"/v1/uploads/{upload}").status_code == 200


@pytest.fixture
def database() -> Iterator[PostgresServer]:
    if postgres_binaries() is None:
        pytest.skip("no PostgreSQL here: apt-get install postgresql")
    with postgres_server() as server:
        yield server


@pytest.mark.slow
@pytest.mark.parametrize("dead_s", [8, 60])
def test_a_dead_database(tmp_path: Path, database: PostgresServer, dead_s: float) -> None:
    row = fault("PostgreSQL")
    with (
        Service(tmp_path / "state", database_url=database.database("dead")) as service,
        Witness(service) as witness,
    ):
        job = witness.done()
        running = witness.submit("pause-4000.nii").json()["id"]
        witness.begins(running)
        database.kill()
        died = time.monotonic()
        assert {answer_of(witness.submit()), answer_of(witness.upload())} == row.answers
        assert witness.readiness() == row.readiness
        assert witness.answers_meanwhile()
        time.sleep(max(0.0, dead_s - (time.monotonic() - died)))
        assert witness.readiness() == row.readiness
        database.start()
        assert comes_true(witness.ready, within_s=PATIENCE_S)
        ended = witness.ends(running)
        assert (ended["state"], ended["problem"]) == ("done", None)
        assert witness.listed() == {job, running}
        witness.done("after.nii")


@pytest.mark.slow
def test_no_memory_for_a_worker(tmp_path: Path) -> None:
    row = fault("no memory")
    with (
        Service(tmp_path / "state", worker_memory_bytes=3 * 2**30) as service,
        Witness(service) as witness,
    ):
        hungry = witness.submit("hungry.nii").json()["id"]
        failed = witness.ends(hungry)
        assert failed["state"] == "failed"
        assert {f"200 {failed['problem']['code']}"} == row.answers
        assert witness.readiness() == row.readiness
        witness.done("after.nii")
