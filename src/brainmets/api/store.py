"""The job list: one SQLite table, each change committed to disk before it is answered."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from brainmets.api.schemas import (
    FINISHED,
    JobOptions,
    JobResult,
    JobState,
    JobView,
    Problem,
    SeriesView,
)
from brainmets.domain.errors import QueueFull, UnknownJob

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from pathlib import Path

__all__ = ["RETRY_AFTER_S", "JobStore", "StoredJob"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    id TEXT PRIMARY KEY,
    owner TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    state TEXT NOT NULL,
    stage TEXT NOT NULL DEFAULT '',
    done REAL NOT NULL DEFAULT 0,
    created REAL NOT NULL,
    queued REAL NOT NULL,
    finished REAL,
    attempts INTEGER NOT NULL DEFAULT 0,
    server_losses INTEGER NOT NULL DEFAULT 0,
    label TEXT NOT NULL,
    options TEXT NOT NULL,
    problem TEXT,
    series TEXT NOT NULL DEFAULT '[]',
    result TEXT,
    UNIQUE (owner, fingerprint)
);
CREATE INDEX IF NOT EXISTS jobs_waiting ON jobs (state, queued);
"""

RETRY_AFTER_S = 20
BUSY_TIMEOUT_S = 30.0


class StoredJob(JobView):
    """A job with what only the service knows about it."""

    owner: str = ""
    server_losses: int = 0


class JobStore:
    """Durable jobs, safe to use from several threads and processes at once.

    Every write is its own transaction under `synchronous=FULL`: when a call returns, a power
    cut cannot take it back.
    """

    def __init__(self, path: Path) -> None:
        """Open or create the list at `path`."""
        self._path = path
        self._local = threading.local()
        with self._transaction() as connection:
            connection.executescript(_SCHEMA)

    def close(self) -> None:
        """Close this thread's connection."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is not None:
            connection.close()
            del self._local.connection

    @property
    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = sqlite3.connect(
                self._path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
            )
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            self._local.connection = connection
        return connection

    @contextmanager
    def _transaction(self) -> Generator[sqlite3.Connection]:
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        if connection.in_transaction:  # executescript commits by itself
            connection.execute("COMMIT")

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
        now = time.time()
        with self._transaction() as connection:
            row = connection.execute(
                "SELECT id, state FROM jobs WHERE owner = ? AND fingerprint = ?",
                (owner, fingerprint),
            ).fetchone()
            if row is not None and row["state"] not in {"failed", "cancelled"}:
                return str(row["id"])
            _refuse_when_full(connection, max_waiting)
            if row is not None:
                connection.execute(
                    "UPDATE jobs SET state = 'queued', stage = '', done = 0, queued = ?,"
                    " finished = NULL, attempts = 0, server_losses = 0, problem = NULL,"
                    " options = ? WHERE id = ?",
                    (now, options.model_dump_json(), row["id"]),
                )
                return str(row["id"])
            connection.execute(
                "INSERT INTO jobs (id, owner, fingerprint, state, created, queued, label, options)"
                " VALUES (?, ?, ?, 'queued', ?, ?, ?, ?)",
                (job_id, owner, fingerprint, now, now, label, options.model_dump_json()),
            )
        return job_id

    def refuse_when_full(self, max_waiting: int) -> None:
        """Raise `QueueFull` before an upload is read that could not be queued."""
        _refuse_when_full(self._connection, max_waiting)

    def get(self, job_id: str, *, owner: str | None = None) -> StoredJob:
        """Return one job; with `owner`, only if it is theirs.

        Raises:
            UnknownJob: there is none, or it belongs to someone else.
        """
        row = self._connection.execute("SELECT * FROM jobs WHERE id = ?", (job_id,)).fetchone()
        if row is None or (owner is not None and row["owner"] != owner):
            raise UnknownJob(
                "no job of yours with this id",
                expected="the id that a submission returned",
                remedy="submit the images again; deleted jobs do not come back",
            )
        return _job(row)

    def jobs(self, *, owner: str, limit: int = 200) -> tuple[StoredJob, ...]:
        """Return a caller's jobs, newest first, without their results."""
        rows = self._connection.execute(
            "SELECT *, NULL AS result FROM jobs WHERE owner = ? ORDER BY created DESC LIMIT ?",
            (owner, limit),
        ).fetchall()
        return tuple(_job(row, with_result=False) for row in rows)

    def counts(self) -> dict[str, int]:
        """Return how many jobs are in each state."""
        rows = self._connection.execute("SELECT state, count(*) FROM jobs GROUP BY state")
        return {str(state): int(number) for state, number in rows.fetchall()}

    def claim(self) -> StoredJob | None:
        """Take the job that has waited longest and count the attempt."""
        with self._transaction() as connection:
            row = connection.execute(
                "UPDATE jobs SET state = 'running', stage = 'start', done = 0,"
                " attempts = attempts + 1 WHERE id = (SELECT id FROM jobs"
                " WHERE state = 'queued' ORDER BY queued LIMIT 1) RETURNING *"
            ).fetchone()
        return None if row is None else _job(row)

    def progress(self, job_id: str, *, stage: str, done: float) -> bool:
        """Note how far a running job is; return whether it should go on."""
        with self._transaction() as connection:
            changed = connection.execute(
                "UPDATE jobs SET stage = ?, done = ? WHERE id = ? AND state = 'running'",
                (stage, done, job_id),
            ).rowcount
        return changed == 1

    def finish(self, job_id: str, result: JobResult) -> bool:
        """Record a running job's result."""
        return self._move(job_id, "done", from_states=("running",), result=result.model_dump_json())

    def fail(self, job_id: str, problem: Problem) -> bool:
        """Record why a running job failed."""
        return self._move(
            job_id, "failed", from_states=("running",), problem=problem.model_dump_json()
        )

    def ask(self, job_id: str, series: Sequence[SeriesView]) -> bool:
        """Stop a running job until its owner has chosen a series."""
        listing = json.dumps([choice.model_dump(mode="json") for choice in series])
        return self._move(job_id, "needs_choice", from_states=("running",), series=listing)

    def choose(self, job_id: str, options: JobOptions) -> bool:
        """Queue a job again with the series that its owner chose."""
        return self._move(
            job_id,
            "queued",
            from_states=("needs_choice",),
            options=options.model_dump_json(),
            attempts=0,
        )

    def requeue(self, job_id: str, *, refund: bool = False, server_lost: bool = False) -> bool:
        """Put a running job back in the queue; `refund` takes the attempt off its account."""
        with self._transaction() as connection:
            changed = connection.execute(
                "UPDATE jobs SET state = 'queued', stage = '', done = 0,"
                " attempts = attempts - ?, server_losses = server_losses + ?"
                " WHERE id = ? AND state = 'running'",
                (int(refund), int(server_lost), job_id),
            ).rowcount
        return changed == 1

    def cancel(self, job_id: str) -> bool:
        """Stop a job that has not finished."""
        return self._move(job_id, "cancelled", from_states=("queued", "running", "needs_choice"))

    def delete(self, job_id: str) -> None:
        """Forget a job."""
        with self._transaction() as connection:
            connection.execute("DELETE FROM jobs WHERE id = ?", (job_id,))

    def running(self) -> tuple[StoredJob, ...]:
        """Return the jobs marked as running."""
        rows = self._connection.execute("SELECT * FROM jobs WHERE state = 'running'").fetchall()
        return tuple(_job(row) for row in rows)

    def ids(self) -> frozenset[str]:
        """Return every known id."""
        return frozenset(str(row[0]) for row in self._connection.execute("SELECT id FROM jobs"))

    def expired(self, *, before: float) -> tuple[str, ...]:
        """Return the ids of jobs finished before a moment."""
        marks = ", ".join("?" for _ in FINISHED)
        rows = self._connection.execute(
            f"SELECT id FROM jobs WHERE state IN ({marks}) AND finished < ?",  # noqa: S608 - marks
            (*sorted(FINISHED), before),
        )
        return tuple(str(row[0]) for row in rows.fetchall())

    def _move(
        self, job_id: str, state: JobState, *, from_states: tuple[str, ...], **changes: Any
    ) -> bool:
        now = time.time()
        changes |= {"state": state, "finished": now if state in FINISHED else None}
        if state == "queued":
            changes |= {"stage": "", "done": 0.0}
        names = ", ".join(f"{name} = ?" for name in changes)
        marks = ", ".join("?" for _ in from_states)
        with self._transaction() as connection:
            changed = connection.execute(
                f"UPDATE jobs SET {names} WHERE id = ? AND state IN ({marks})",  # noqa: S608 - ours
                (*changes.values(), job_id, *from_states),
            ).rowcount
        return changed == 1


def _refuse_when_full(connection: sqlite3.Connection, max_waiting: int) -> None:
    waiting = connection.execute("SELECT count(*) FROM jobs WHERE state = 'queued'").fetchone()[0]
    if waiting >= max_waiting:
        raise QueueFull(
            f"{waiting} jobs waiting",
            expected=f"fewer than {max_waiting}",
            remedy=f"try again in {RETRY_AFTER_S} seconds",
        )


def _job(row: sqlite3.Row, *, with_result: bool = True) -> StoredJob:
    result = row["result"] if with_result else None
    return StoredJob(
        id=row["id"],
        owner=row["owner"],
        state=row["state"],
        stage=row["stage"],
        done=row["done"],
        created=row["created"],
        finished=row["finished"],
        attempts=row["attempts"],
        server_losses=row["server_losses"],
        label=row["label"],
        options=JobOptions.model_validate_json(row["options"]),
        problem=None if row["problem"] is None else Problem.model_validate_json(row["problem"]),
        series=tuple(SeriesView.model_validate(item) for item in json.loads(row["series"])),
        result=None if result is None else JobResult.model_validate_json(result),
    )
