"""The contract of a job list, and its SQL as far as both dialects share it."""

from __future__ import annotations

import json
import secrets
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from brainmets.api.schemas import (
    FINISHED,
    JobOptions,
    JobResult,
    JobState,
    JobView,
    Problem,
    SeriesView,
)
from brainmets.api.store.schema import upgrade
from brainmets.domain.errors import DiskFull, QueueFull, StoreUnavailable, UnknownJob

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

__all__ = [
    "RETRY_AFTER_S",
    "JobStore",
    "Run",
    "StoredJob",
    "disk_full",
    "unavailable",
    "unknown_job",
]

RETRY_AFTER_S = 20

Run = Callable[..., Any]
"""`run(sql, *values)` returns a cursor whose rows are read by column name."""


_CLAIM = (
    "UPDATE jobs SET state = 'running', stage = 'start', done = 0, started = ?,"
    " attempts = attempts + 1, server = ?, token = ?, lease = ? WHERE id ="
    " (SELECT id FROM jobs WHERE state = 'queued' AND queued <= ? ORDER BY queued LIMIT 1 {})"
    " RETURNING *"
)


_LISTED = (
    "id, owner, state, stage, done, created, started, finished, attempts, server_losses, token,"
    " label, options, problem, series, model, lesions"
)
"""All but the result, which is large and which no list shows."""


class StoredJob(JobView):
    """A job with what only the service knows about it."""

    owner: str = ""
    server_losses: int = 0
    token: str = ""
    """Whoever claimed the job holds it; each claim has another."""


class JobStore(ABC):
    """Durable jobs, safe to use from several threads, processes and servers at once.

    When a writing call returns, a power cut cannot take it back. Whoever claims a job holds it
    by a token and a lease: every later change must show the token, so a server that was silent
    for longer than its lease cannot disturb the one that has taken the job over.

    Every method raises `StoreUnavailable` where the database does not answer and `DiskFull`
    where it has no room.
    """

    _PASSING_BY: ClassVar[str] = ""
    """What makes concurrent claims pass each other by, where writers are not alone anyway."""

    def __init__(self) -> None:
        """Create the table, or bring it to the present form."""
        try:
            with self._transaction(exclusive=True) as run:
                upgrade(run)
        except BaseException:
            self.close()
            raise

    @abstractmethod
    def close(self) -> None:
        """Close what this thread, or nobody, uses."""

    @abstractmethod
    def _transaction(self, *, exclusive: bool = False) -> AbstractContextManager[Run]:
        """Commit what is run inside, or none of it; `exclusive` lets one such in at a time."""

    @abstractmethod
    def _reading(self) -> AbstractContextManager[Run]:
        """Run queries only."""

    @abstractmethod
    def _now(self, run: Run) -> float:
        """Return seconds since 1970 by the clock that all servers share."""

    def submit(
        self,
        job_id: str,
        *,
        owner: str,
        fingerprint: str,
        label: str,
        options: JobOptions,
        max_waiting: int,
    ) -> str:
        """Queue an upload whose files lie in place; return the id of the job that has it.

        The same content with the same options is the same job, so the id may be an older one.
        If that one failed or was cancelled, it is queued afresh.

        Raises:
            QueueFull: as many jobs wait as may.
        """
        chosen = options.model_dump_json()
        with self._transaction(exclusive=True) as run:
            now = self._now(run)
            row = run(
                "SELECT id, state FROM jobs WHERE owner = ? AND fingerprint = ?", owner, fingerprint
            ).fetchone()
            if row is not None and row["state"] not in {"failed", "cancelled"}:
                return str(row["id"])
            _refuse_when_full(run, max_waiting)
            if row is not None:
                run(
                    "UPDATE jobs SET state = 'queued', stage = '', done = 0, queued = ?,"
                    " started = NULL, finished = NULL, attempts = 0, server_losses = 0,"
                    " problem = NULL, options = ?, model = ? WHERE id = ?",
                    *(now, chosen, options.model or "", row["id"]),
                )
                return str(row["id"])
            run(
                "INSERT INTO jobs"
                " (id, owner, fingerprint, state, created, queued, label, options, model)"
                " VALUES (?, ?, ?, 'queued', ?, ?, ?, ?, ?)",
                *(job_id, owner, fingerprint, now, now, label, chosen, options.model or ""),
            )
        return job_id

    def refuse_when_full(self, max_waiting: int) -> None:
        """Raise `QueueFull` before an upload is read that could not be queued."""
        with self._reading() as run:
            _refuse_when_full(run, max_waiting)

    def get(self, job_id: str, *, owner: str | None = None) -> StoredJob:
        """Return one job; with `owner`, only if it is theirs.

        Raises:
            UnknownJob: there is none, or it belongs to someone else.
        """
        with self._reading() as run:
            row = run("SELECT * FROM jobs WHERE id = ?", job_id).fetchone()
        if row is None or (owner is not None and row["owner"] != owner):
            raise unknown_job()
        return _job(row)

    def jobs(
        self,
        *,
        owner: str,
        search: str = "",
        state: JobState | None = None,
        model: str = "",
        since: float | None = None,
        before: float | None = None,
        limit: int = 200,
    ) -> tuple[StoredJob, ...]:
        """Return a caller's jobs, newest first, without their results.

        `search` is a part of the label, whatever its case. `since` and `before` bound `created`,
        the later one excluded: the `created` of the last job seen asks for the next page.
        """
        wanted, values = ["owner = ?"], list[Any]([owner])
        if search:
            wanted.append("lower(label) LIKE ? ESCAPE '!'")
            plain = search.lower().replace("!", "!!").replace("%", "!%").replace("_", "!_")
            values.append(f"%{plain}%")
        for term, value in (
            ("state = ?", state),
            ("model = ?", model or None),
            ("created >= ?", since),
            ("created < ?", before),
        ):
            if value is not None:
                wanted.append(term)
                values.append(value)
        with self._reading() as run:
            rows = run(
                f"SELECT {_LISTED} FROM jobs WHERE {' AND '.join(wanted)}"  # noqa: S608 - ours
                " ORDER BY created DESC, id LIMIT ?",
                *(*values, limit),
            ).fetchall()
        return tuple(_job(row, with_result=False) for row in rows)

    def counts(self) -> dict[str, int]:
        """Return how many jobs are in each state."""
        with self._reading() as run:
            rows = run("SELECT state, count(*) AS number FROM jobs GROUP BY state").fetchall()
        return {str(row["state"]): int(row["number"]) for row in rows}

    def claim(self, server: str, *, lease_s: float) -> StoredJob | None:
        """Take the job that has waited longest for `lease_s` seconds and count the attempt."""
        with self._transaction() as run:
            now = self._now(run)
            row = run(
                _CLAIM.format(self._PASSING_BY),
                *(now, server, secrets.token_hex(8), now + lease_s, now),
            ).fetchone()
        return None if row is None else _job(row)

    def hold(
        self, job: StoredJob, *, lease_s: float, stage: str | None = None, done: float = 0.0
    ) -> bool:
        """Renew a claim, with news of its progress; return whether it still stands."""
        changes = "lease = ?" if stage is None else "lease = ?, stage = ?, done = ?"
        values = () if stage is None else (stage, done)
        with self._transaction() as run:
            lease = self._now(run) + lease_s
            changed = run(
                f"UPDATE jobs SET {changes}"  # noqa: S608 - ours
                " WHERE id = ? AND token = ? AND state = 'running'",
                *(lease, *values, job.id, job.token),
            ).rowcount
        return changed == 1

    def holds(self, job: StoredJob) -> bool:
        """Return whether a claim still stands: not cancelled, deleted or taken over."""
        with self._reading() as run:
            row = run("SELECT state, token FROM jobs WHERE id = ?", job.id).fetchone()
        return row is not None and row["state"] == "running" and row["token"] == job.token

    def finish(self, job: StoredJob, result: JobResult) -> bool:
        """Record a claimed job's result."""
        return self._release(
            job,
            "done",
            result=result.model_dump_json(),
            model=result.provenance.model,
            lesions=len(result.lesions),
        )

    def fail(self, job: StoredJob, problem: Problem) -> bool:
        """Record why a claimed job failed."""
        return self._release(job, "failed", problem=problem.model_dump_json())

    def ask(self, job: StoredJob, series: Sequence[SeriesView]) -> bool:
        """Put a claimed job aside until its owner has chosen a series."""
        listing = json.dumps([choice.model_dump(mode="json") for choice in series])
        return self._release(job, "needs_choice", series=listing)

    def give_back(self, job: StoredJob) -> bool:
        """Return a claimed job to its place in the queue, as if it had never been claimed."""
        return self._release(job, "queued", attempts=job.attempts - 1)

    def retry(self, job: StoredJob, *, innocent: bool = False, after_s: float = 0.0) -> bool:
        """Queue a job whose worker was lost behind those that wait, to be claimed after a pause.

        What struck it, such as a lack of memory, may be over by then. An `innocent` job had not
        begun, or its server was lost: its attempt is not counted, the loss is.
        """
        return self._release(
            job,
            "queued",
            queue_after_s=after_s,
            attempts=job.attempts - int(innocent),
            server_losses=job.server_losses + int(innocent),
        )

    def choose(self, job_id: str, options: JobOptions) -> bool:
        """Queue a job again with the series that its owner chose."""
        chosen = options.model_dump_json()
        return self._move(job_id, "queued", ("needs_choice",), options=chosen, attempts=0)

    def cancel(self, job_id: str) -> bool:
        """Stop a job that has not finished."""
        return self._move(job_id, "cancelled", ("queued", "running", "needs_choice"))

    def delete(self, job_id: str) -> None:
        """Forget a job."""
        with self._transaction() as run:
            run("DELETE FROM jobs WHERE id = ?", job_id)

    def abandoned(self, *, server: str | None = None) -> tuple[StoredJob, ...]:
        """Return running jobs whose lease is over, and all those that `server` had claimed."""
        with self._reading() as run:
            rows = run(
                "SELECT * FROM jobs WHERE state = 'running' AND (lease < ? OR server = ?)",
                *(self._now(run), server or "\n"),
            ).fetchall()
        return tuple(_job(row) for row in rows)

    def ids(self) -> frozenset[str]:
        """Return every known id."""
        with self._reading() as run:
            return frozenset(str(row["id"]) for row in run("SELECT id FROM jobs").fetchall())

    def expired(self, *, older_than_s: float) -> tuple[str, ...]:
        """Return the ids of jobs that finished so long ago."""
        marks = ", ".join("?" for _ in FINISHED)
        with self._reading() as run:
            rows = run(
                f"SELECT id FROM jobs WHERE state IN ({marks}) AND finished < ?",  # noqa: S608
                *(*sorted(FINISHED), self._now(run) - older_than_s),
            ).fetchall()
        return tuple(str(row["id"]) for row in rows)

    def _release(self, job: StoredJob, state: JobState, **changes: Any) -> bool:
        return self._move(job.id, state, ("running",), token=job.token, **changes)

    def _move(
        self,
        job_id: str,
        state: JobState,
        from_states: tuple[JobState, ...],
        *,
        token: str | None = None,
        queue_after_s: float | None = None,
        **changes: Any,
    ) -> bool:
        if state == "queued":
            changes |= {"stage": "", "done": 0.0}
        marks = ", ".join("?" for _ in from_states)
        held, shown = ("", ()) if token is None else (" AND token = ?", (token,))
        with self._transaction() as run:
            now = self._now(run)
            changes["finished"] = now if state in FINISHED else None
            if queue_after_s is not None:
                changes["queued"] = now + queue_after_s
            names = "".join(f"{name} = ?, " for name in changes)
            changed = run(
                f"UPDATE jobs SET {names}state = ?, token = ''"  # noqa: S608 - ours
                f" WHERE id = ? AND state IN ({marks}){held}",
                *(*changes.values(), state, job_id, *from_states, *shown),
            ).rowcount
        return changed == 1


def unknown_job() -> UnknownJob:
    """Say that there is no such job, or that it is not the caller's."""
    return UnknownJob(
        "no job of yours with this id",
        expected="the id that a submission returned",
        remedy="submit the images again; deleted jobs do not come back",
    )


def disk_full() -> DiskFull:
    """Say that the database has no room."""
    return DiskFull(
        "a job list that cannot grow: its disk is full",
        expected="free disk space for the job list",
        remedy="delete old jobs, or try again later",
    )


def unavailable() -> StoreUnavailable:
    """Say that the database does not answer."""
    return StoreUnavailable(
        "a job list that does not answer",
        expected="the database of the service",
        remedy=f"try again in {RETRY_AFTER_S} seconds; jobs already taken in are safe",
    )


def _refuse_when_full(run: Run, max_waiting: int) -> None:
    row = run("SELECT count(*) AS waiting FROM jobs WHERE state = 'queued'").fetchone()
    if row["waiting"] >= max_waiting:
        raise QueueFull(
            f"{row['waiting']} jobs waiting",
            expected=f"fewer than {max_waiting}",
            remedy=f"try again in {RETRY_AFTER_S} seconds",
        )


def _job(row: Any, *, with_result: bool = True) -> StoredJob:
    result = row["result"] if with_result else None
    return StoredJob(
        id=row["id"],
        owner=row["owner"],
        state=row["state"],
        stage=row["stage"],
        done=row["done"],
        created=row["created"],
        started=row["started"],
        finished=row["finished"],
        attempts=row["attempts"],
        server_losses=row["server_losses"],
        token=row["token"],
        label=row["label"],
        options=JobOptions.model_validate_json(row["options"]),
        problem=None if row["problem"] is None else Problem.model_validate_json(row["problem"]),
        series=tuple(SeriesView.model_validate(item) for item in json.loads(row["series"])),
        model=row["model"],
        lesions=row["lesions"],
        result=None if result is None else JobResult.model_validate_json(result),
    )
