"""What every job list keeps, whichever database it is in."""

from __future__ import annotations

import importlib.util
import itertools
import sqlite3
import threading
import time
from typing import TYPE_CHECKING

import pytest

from brainmets.api.problems import problem_of
from brainmets.api.routes.examples import DONE
from brainmets.api.schemas import JobOptions, SeriesView
from brainmets.api.store import open_store
from brainmets.domain.errors import (
    NotNifti,
    OptionError,
    QueueFull,
    StoreUnavailable,
    UnknownJob,
)
from tests.patience import comes_true
from tests.unit.postgres import postgres_binaries, postgres_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from brainmets.api.store import JobStore, StoredJob
    from tests.unit.postgres import PostgresServer

PROBLEM = problem_of(NotNifti("a text", expected="NIfTI", remedy="export it again"))
_number = itertools.count()


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    if postgres_binaries() is None or importlib.util.find_spec("procrastinate") is None:
        pytest.skip("no PostgreSQL here: apt-get install postgresql, pip install '.[postgres]'")
    with postgres_server() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite://{tmp_path}/jobs.sqlite"
    return request.getfixturevalue("server").database(f"jobs{next(_number)}")


@pytest.fixture
def opened(url: str) -> Iterator[Callable[[], JobStore]]:
    stores: list[JobStore] = []

    def open_another() -> JobStore:
        stores.append(open_store(url))
        return stores[-1]

    yield open_another
    for store in stores:
        store.close()


@pytest.fixture
def store(opened: Callable[[], JobStore]) -> JobStore:
    return opened()


def submit(store: JobStore, name: str, *, owner: str = "anna", most: int = 1000) -> str:
    return store.submit(
        name,
        owner=owner,
        fingerprint=f"content of {name}",
        label=f"{name}.nii",
        options=JobOptions(),
        max_waiting=most,
    )


def claim(store: JobStore) -> StoredJob:
    job = store.claim()
    assert job is not None
    return job


def test_jobs_are_claimed_in_their_order_and_once(store: JobStore) -> None:
    for name in ("a", "b"):
        submit(store, name)
    first, second = claim(store), claim(store)
    assert (first.id, second.id) == ("a", "b")
    assert (first.state, first.attempts, first.owner) == ("running", 1, "anna")
    assert first.started is not None
    assert first.started >= first.created
    assert first.ticket != second.ticket
    assert store.claim() is None
    assert store.claim(first.ticket) is None
    assert store.counts() == {"running": 2}


def test_owners_share_the_queue_by_turns(store: JobStore) -> None:
    for number in range(6):
        submit(store, f"a{number}")
    assert [claim(store).id for _ in range(2)] == ["a0", "a1"]
    for number in range(3):
        submit(store, f"b{number}", owner="ben")
    submit(store, "c0", owner="cleo")
    order = [claim(store).id for _ in range(8)]
    assert order == ["a2", "b0", "c0", "a3", "b1", "a4", "b2", "a5"]


def test_an_owner_who_comes_later_is_not_ahead_of_those_who_wait(store: JobStore) -> None:
    for number in range(3):
        submit(store, f"a{number}")
        submit(store, f"b{number}", owner="ben")
    served: list[str] = []
    for number in range(4):  # hands in one after another, and waits for each
        submit(store, f"c{number}", owner="cleo")
        while served[-1:] != [f"c{number}"]:
            served.append(claim(store).id)
    assert served[:9] == ["a0", "b0", "c0", "a1", "b1", "c1", "a2", "b2", "c2"]


def test_a_full_queue_keeps_a_share_for_each_owner(store: JobStore) -> None:
    for number in range(8):
        submit(store, f"a{number}", most=8)
    with pytest.raises(QueueFull, match="8 jobs waiting, 8 of them yours"):
        submit(store, "a8", most=8)
    for number in range(4):
        store.refuse_when_full(8, "ben")
        submit(store, f"b{number}", owner="ben", most=8)
    with pytest.raises(QueueFull):
        store.refuse_when_full(8, "ben")
    for number in range(2):
        submit(store, f"c{number}", owner="cleo", most=8)
    with pytest.raises(QueueFull):
        submit(store, "c2", owner="cleo", most=8)
    assert store.counts() == {"queued": 14}


def test_no_clock_decides_what_waits(store: JobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    submit(store, "a")
    monkeypatch.setattr("time.time", lambda: 1e9)  # years ago
    submit(store, "b")
    assert store.retry(claim(store))
    assert [claim(store).id for _ in range(2)] == ["b", "a"]


def test_the_same_content_is_the_same_job_until_it_fails(store: JobStore) -> None:
    assert submit(store, "a") == "a"
    again = {"owner": "anna", "fingerprint": "content of a", "label": "x", "max_waiting": 9}
    assert store.submit("b", options=JobOptions(), **again) == "a"
    assert submit(store, "a2", owner="ben") == "a2"
    store.fail(claim(store), PROBLEM)
    assert store.get("a").problem == PROBLEM
    assert store.submit("c", options=JobOptions(threshold=0.3), **again) == "a"
    job = store.get("a")
    assert (job.state, job.problem, job.finished, job.attempts) == ("queued", None, None, 0)
    assert job.options.threshold == 0.3


def test_a_job_whose_files_are_gone_makes_way(store: JobStore) -> None:
    submit(store, "a")
    assert store.finish(claim(store), DONE.result)
    asked: list[tuple[str, int | None]] = []

    def gone(job_id: str, ticket: int | None) -> bool:
        asked.append((job_id, ticket))
        return False

    ticket = store.get("a").ticket
    again = {"owner": "anna", "fingerprint": "content of a", "label": "x", "max_waiting": 9}
    assert store.submit("b", options=JobOptions(), intact=gone, **again) == "b"
    assert asked == [("a", ticket)]
    assert store.submit("c", options=JobOptions(), intact=gone, **again) == "c"
    assert asked[1] == ("b", None)
    assert list(store.tickets()) == ["c"]
    assert claim(store).id == "c"
    assert store.claim() is None


def test_the_queue_is_bounded_however_many_submit_at_once(opened: Callable[[], JobStore]) -> None:
    refused: list[str] = []

    def hand_in(store: JobStore, numbers: range) -> None:
        for number in numbers:
            try:
                submit(store, f"job-{number}", most=5)
            except QueueFull:
                refused.append(f"job-{number}")
        store.release()

    threads = [
        threading.Thread(target=hand_in, args=(opened(), range(n * 10, n * 10 + 10)))
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store = opened()
    assert store.counts() == {"queued": 5}
    assert len(refused) == 35
    with pytest.raises(QueueFull):
        store.refuse_when_full(5, "anna")
    store.refuse_when_full(6, "anna")


def test_many_workers_on_one_queue_share_each_job_once(opened: Callable[[], JobStore]) -> None:
    first = opened()
    names = {submit(first, f"job-{n}") for n in range(60)}
    claimed: list[str] = []

    def work(store: JobStore) -> None:
        while job := store.claim():
            claimed.append(job.id)
            assert store.fail(job, PROBLEM)
        store.release()

    threads = [threading.Thread(target=work, args=(opened(),)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(claimed) == sorted(names)
    assert first.counts() == {"failed": 60}


def test_a_superseded_attempt_changes_nothing(store: JobStore) -> None:
    submit(store, "a")
    old = claim(store)
    assert [job.id for job in store.abandoned()] == ["a"]
    assert store.retry(old, lost=True)
    new = claim(store)
    assert new.ticket > old.ticket
    assert (new.attempts, new.server_losses) == (1, 1)
    assert not store.holds(old)
    assert not store.progress(old, stage="segment", done=0.9)
    assert not store.fail(old, PROBLEM)
    assert not store.finish(old, DONE.result)
    assert not store.retry(old)
    assert not store.give_back(old)
    assert store.get("a").stage == "start"
    assert store.holds(new)
    assert store.progress(new, stage="segment", done=0.5)
    job = store.get("a")
    assert (job.state, job.stage, job.done) == ("running", "segment", 0.5)
    assert store.finish(new, DONE.result)
    assert store.get("a").ticket == new.ticket
    assert not store.finish(new, DONE.result)


def test_a_lost_job_waits_behind_its_neighbours_and_a_returned_one_does_not(
    store: JobStore,
) -> None:
    for name in ("a", "b"):
        submit(store, name)
    assert store.give_back(claim(store))
    assert (store.get("a").attempts, store.get("a").state) == (0, "queued")
    assert store.retry(claim(store))
    assert [(job.id, job.attempts) for job in (claim(store), claim(store))] == [("b", 1), ("a", 2)]


def test_a_lost_job_may_have_to_pause(store: JobStore) -> None:
    submit(store, "a")
    assert store.retry(claim(store), after_s=1.0)
    assert store.claim() is None
    assert store.get("a").state == "queued"
    assert comes_true(store.claim, within_s=20)


def test_what_is_waiting_or_computed_is_not_abandoned(store: JobStore) -> None:
    submit(store, "a")
    assert store.abandoned() == ()
    job = claim(store)
    assert store.abandoned() == (job,)
    store.cancel("a")
    assert store.abandoned() == ()


def test_a_choice_cancelling_and_deleting_take_the_claim_away(store: JobStore) -> None:
    for name in ("a", "b", "c"):
        submit(store, name)
    asking, cancelled, deleted = claim(store), claim(store), claim(store)
    assert store.ask(asking, [SeriesView(uid="1.2")])
    assert store.get("a").series == (SeriesView(uid="1.2"),)
    assert store.choose("a", JobOptions(series="1.2"))
    assert not store.choose("a", JobOptions(series="1.2"))
    assert (store.get("a").state, store.get("a").attempts) == ("queued", 0)
    assert store.cancel("b")
    assert not store.cancel("b")
    assert not store.holds(cancelled)
    assert not store.finish(cancelled, DONE.result)
    assert store.get("b").finished is not None
    store.delete("c")
    assert not store.holds(deleted)
    with pytest.raises(UnknownJob):
        store.get("c")
    assert set(store.tickets()) == {"a", "b"}


def test_a_cancelled_job_that_is_submitted_again_is_another_attempt(store: JobStore) -> None:
    submit(store, "a")
    old = claim(store)
    store.cancel("a")
    assert submit(store, "again-a") == "again-a"
    assert submit(store, "a") == "a"
    assert not store.finish(old, DONE.result)
    assert {claim(store).id for _ in range(2)} == {"a", "again-a"}
    assert not store.finish(old, DONE.result)


@pytest.mark.parametrize("column", ["options", "problem", "series", "result", "state"])
def test_one_damaged_entry_stops_neither_the_list_nor_the_queue(
    store: JobStore, column: str
) -> None:
    for name in ("a", "b", "c"):
        submit(store, name)
    with store._transaction() as run:
        run(f"UPDATE jobs SET {column} = '{{' WHERE id = 'a'")  # noqa: S608
    listed = {job.id: job for job in store.jobs(owner="anna")}
    assert set(listed) == {"a", "b", "c"}
    damaged = store.get("a", owner="anna")
    assert (damaged.state, damaged.problem.code) == ("failed", "E_RECORD")
    assert [job.id for job in (claim(store), claim(store))] == ["b", "c"]
    assert store.claim() is None
    store.delete("a")
    assert set(store.tickets()) == {"b", "c"}


def test_a_damaged_entry_that_is_running_is_recovered_to_a_failure(store: JobStore) -> None:
    submit(store, "a")
    claim(store)
    with store._transaction() as run:
        run("UPDATE jobs SET options = '{' WHERE id = 'a'")
    (lost,) = store.abandoned()
    assert store.retry(lost, lost=True)
    assert store.claim() is None
    assert store.counts() == {"failed": 1}


def test_jobs_are_listed_newest_first_by_owner_name_and_state(store: JobStore) -> None:
    for name in ("anna_1", "anna%2", "ANNA_3"):
        submit(store, name)
    submit(store, "b", owner="ben")
    listed = store.jobs(owner="anna")
    assert [job.id for job in listed] == ["ANNA_3", "anna%2", "anna_1"]
    assert [job.id for job in store.jobs(owner="anna", search="a_")] == ["ANNA_3", "anna_1"]
    assert [job.id for job in store.jobs(owner="anna", search="%")] == ["anna%2"]
    assert [job.id for job in store.jobs(owner="anna", limit=1)] == ["ANNA_3"]
    later = store.jobs(owner="anna", before=listed[0].created)
    assert [job.id for job in later] == ["anna%2", "anna_1"]
    store.cancel("anna_1")
    assert [job.id for job in store.jobs(owner="anna", state="cancelled")] == ["anna_1"]
    assert store.jobs(owner="nobody") == ()


def test_jobs_are_listed_by_model_and_date_with_their_counts(store: JobStore) -> None:
    for name, model in (("a", "unet-plus-plus-3d"), ("b", None), ("c", None)):
        store.submit(
            name,
            owner="anna",
            fingerprint=name,
            label=name,
            options=JobOptions(model=model),
            max_waiting=9,
        )
    first = claim(store)
    assert (first.id, first.model, first.lesions) == ("a", "unet-plus-plus-3d", None)
    assert store.finish(first, DONE.result)
    second = claim(store)
    assert store.finish(second, DONE.result)
    assert [job.id for job in store.jobs(owner="anna", model="unet-plus-plus-3d")] == ["b", "a"]
    listed = {job.id: job for job in store.jobs(owner="anna")}
    assert (listed["b"].model, listed["b"].lesions) == ("unet-plus-plus-3d", 1)
    assert (listed["c"].model, listed["c"].lesions) == ("", None)
    middle = listed["b"].created
    assert [job.id for job in store.jobs(owner="anna", since=middle)] == ["c", "b"]
    assert [job.id for job in store.jobs(owner="anna", since=middle, before=middle)] == []


def test_only_long_finished_jobs_expire(store: JobStore) -> None:
    for name in ("a", "b"):
        submit(store, name)
    store.cancel("a")
    assert store.expired(older_than_s=-1) == ("a",)
    assert store.expired(older_than_s=60) == ()


def test_another_users_job_is_unknown(store: JobStore) -> None:
    submit(store, "a")
    assert store.get("a", owner="anna").id == "a"
    with pytest.raises(UnknownJob):
        store.get("a", owner="ben")


def test_a_list_made_by_a_later_version_is_left_alone(url: str, store: JobStore) -> None:
    with store._transaction() as run:
        run("INSERT INTO brainmets_schema (version) VALUES (999)")
    with pytest.raises(OptionError, match="later brainmets"):
        open_store(url)


def test_a_list_made_by_the_first_version_is_upgraded(tmp_path: Path) -> None:
    from brainmets.api.store.schema import _STEPS

    with sqlite3.connect(tmp_path / "old.sqlite") as old:
        for statement in _STEPS[0]:
            old.execute(statement)
        old.execute(
            "INSERT INTO jobs (id, owner, fingerprint, state, created, queued, label, options)"
            " VALUES ('a', 'anna', 'f', 'queued', 1, 1, 'x', '{}')"
        )
    old.close()
    store = open_store(f"sqlite://{tmp_path}/old.sqlite")
    assert claim(store).id == "a"
    store.close()


def test_a_database_that_goes_away_is_named_and_found_again(server: PostgresServer) -> None:
    store = open_store(server.database("away"))
    submit(store, "a")
    server.stop()
    with pytest.raises(StoreUnavailable, match="E_STORE"):
        store.get("a")
    server.start()
    assert store.get("a").state == "queued"
    assert claim(store).id == "a"
    store.close()


def test_a_server_that_is_stopped_amid_a_change_holds_up_nobody(
    url: str, opened: Callable[[], JobStore]
) -> None:
    if url.startswith("sqlite"):
        pytest.skip("its server is the only one")
    stopped, another, started = opened(), opened(), time.monotonic()
    with pytest.raises(StoreUnavailable), stopped._transact(exclusive=True):
        submit(another, "goes on")
    assert time.monotonic() - started < 60, "for ever, before"
    assert stopped.get("goes on").state == "queued", "it connects again"


def test_an_address_of_another_kind_is_refused() -> None:
    for address in ("mysql://somewhere/jobs", "jobs.sqlite", ""):
        with pytest.raises(OptionError, match="E_OPTION"):
            open_store(address)
