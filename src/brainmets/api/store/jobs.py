"""The contract of a job list, and its SQL as far as both dialects share it."""

from __future__ import annotations

import json
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from brainmets.api.schemas import (
    FINISHED,
    JobOptions,
    JobResult,
    JobState,
    Problem,
    SeriesView,
)
from brainmets.api.store.records import StoredJob, read_record
from brainmets.api.store.schema import upgrade
from brainmets.domain.errors import DiskFull, QueueFull, StoreUnavailable, UnknownJob

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from contextlib import AbstractContextManager

__all__ = [
    "RETRY_AFTER_S",
    "JobStore",
    "Run",
    "disk_full",
    "unavailable",
    "unknown_job",
]

RETRY_AFTER_S = 20

Run = Callable[..., Any]
"""`run(sql, *values)` returns a cursor whose rows are read by column name."""


_TURN = (
    "SELECT COALESCE(MIN(CASE WHEN state = 'queued' THEN turn END), MAX(turn), 0) AS now,"
    " COALESCE(MAX(CASE WHEN owner = ? THEN turn + 1 END), 0) AS own"
    " FROM jobs WHERE state IN ('queued', 'running') AND id <> ?"
)
"""Fair queueing by start tags: jobs of one owner are one turn apart, owners share each turn."""


_WAITING = (
    "SELECT count(*) AS waiting, COALESCE(SUM(CASE WHEN owner = ? THEN 1 ELSE 0 END), 0) AS own,"
    " COUNT(DISTINCT CASE WHEN owner <> ? THEN owner END) AS others"
    " FROM jobs WHERE state = 'queued'"
)


_LISTED = (
    "id, owner, state, stage, done, created, started, finished, attempts, server_losses, ticket,"
    " turn, label, options, problem, series, model, lesions"
)
"""All but the result, which is large and which no list shows."""


class JobStore(ABC):
    """Durable jobs, safe to use from several threads and processes at once.

    When a writing call returns, a power cut cannot take it back. Each time a job is queued it
    gets another ticket. Whoever computes it names that ticket with every change, and writes into
    a folder of that number: an attempt that was superseded changes nothing.

    Every method raises `StoreUnavailable` where the database does not answer and `DiskFull`
    where it has no room.
    """

    def __init__(self) -> None:
        """Create the table, or bring it to the present form; later if it does not answer now."""
        self._preparing = threading.Lock()
        self._prepared = False
        try:
            self._prepare()
        except StoreUnavailable:
            self.release()  # each use tries again
        except BaseException:
            self.close()
            raise

    @abstractmethod
    def close(self) -> None:
        """Close what this thread uses, and what threads share."""

    def release(self) -> None:  # noqa: B027 - not every list has such a thing
        """Close what only the calling thread uses: it needs the list no more."""

    @abstractmethod
    def abandoned(self, *, held: Collection[int] = ()) -> tuple[StoredJob, ...]:
        """Return queued or running jobs that nobody will compute any more.

        `held` are the tickets that this server is computing.
        """

    @abstractmethod
    def _transact(self, *, exclusive: bool) -> AbstractContextManager[Run]:
        """Commit what is run inside, or none of it; `exclusive` lets one such in at a time."""

    @abstractmethod
    def _ticket(self, run: Run, job_id: str, *, turn: int, after_s: float) -> int:
        """Put a job into the queue, to be claimed after a pause; return its ticket."""

    @abstractmethod
    def _withdraw(self, run: Run, ticket: int) -> None:
        """Take a ticket out of the queue, or tell whoever computes it to stop."""

    @abstractmethod
    def _next(self, run: Run) -> int | None:
        """Return the ticket whose turn it is; None where no job waits."""

    @abstractmethod
    def _now(self, run: Run) -> float:
        """Return seconds since 1970 for people to read; nothing waits by them."""

    def _prepare(self) -> None:
        with self._preparing:
            if not self._prepared:
                with self._transact(exclusive=True) as run:
                    self._upgrade(run)
                self._prepared = True

    def _upgrade(self, run: Run) -> None:
        upgrade(run)

    def _transaction(self, *, exclusive: bool = False) -> AbstractContextManager[Run]:
        self._prepare()
        return self._transact(exclusive=exclusive)

    def check(self) -> None:
        """Raise `StoreUnavailable` or `DiskFull` where a job could not be taken in now."""
        with self._transaction() as run:
            run("UPDATE brainmets_schema SET version = version WHERE version < 0")

    def submit(
        self,
        job_id: str,
        *,
        owner: str,
        fingerprint: str,
        label: str,
        options: JobOptions,
        max_waiting: int,
        intact: Callable[[str, int | None], bool] = lambda _id, _ticket: True,
    ) -> str:
        """Queue an upload whose files are in place; return the id of the job that has it.

        The same content with the same options is the same job, so the id may be an older one.
        If that one failed or was cancelled, it is queued afresh. One whose files are gone, as
        `intact` says of its id and its result's ticket, makes way for the new one.

        Raises:
            QueueFull: as many jobs wait as may.
        """
        chosen, model = options.model_dump_json(), options.model or ""
        with self._transaction(exclusive=True) as run:
            row = run(
                "SELECT id, state, ticket FROM jobs WHERE owner = ? AND fingerprint = ?",
                *(owner, fingerprint),
            ).fetchone()
            if row is not None:
                done = row["state"] == "done"
                if not intact(str(row["id"]), int(row["ticket"]) if done else None):
                    self._withdraw(run, row["ticket"])
                    run("DELETE FROM jobs WHERE id = ?", row["id"])
                    row = None
                elif row["state"] not in {"failed", "cancelled"}:
                    return str(row["id"])
            _refuse_when_full(run, max_waiting, owner)
            if row is None:
                run(
                    "INSERT INTO jobs (id, owner, fingerprint, state, created, label, options,"
                    " model) VALUES (?, ?, ?, 'queued', ?, ?, ?, ?)",
                    *(job_id, owner, fingerprint, self._now(run), label, chosen, model),
                )
            else:
                job_id = str(row["id"])
                run(
                    "UPDATE jobs SET state = 'queued', started = NULL, finished = NULL,"
                    " attempts = 0, server_losses = 0, problem = NULL, series = '[]',"
                    " options = ?, model = ? WHERE id = ?",
                    *(chosen, model, job_id),
                )
            self._queue(run, job_id)
        return job_id

    def refuse_when_full(self, max_waiting: int, owner: str) -> None:
        """Raise `QueueFull` before an upload is read that could not be queued."""
        with self._transaction() as run:
            _refuse_when_full(run, max_waiting, owner)

    def get(self, job_id: str, *, owner: str | None = None) -> StoredJob:
        """Return one job; with `owner`, only if it is theirs.

        Raises:
            UnknownJob: there is none, or it belongs to someone else.
        """
        with self._transaction() as run:
            row = run("SELECT * FROM jobs WHERE id = ?", job_id).fetchone()
        if row is None or (owner is not None and row["owner"] != owner):
            raise unknown_job()
        return read_record(row)

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
        with self._transaction() as run:
            rows = run(
                f"SELECT {_LISTED} FROM jobs WHERE {' AND '.join(wanted)}"  # noqa: S608 - ours
                " ORDER BY created DESC, id LIMIT ?",
                *(*values, limit),
            ).fetchall()
        return tuple(read_record(row, with_result=False) for row in rows)

    def counts(self) -> dict[str, int]:
        """Return how many jobs are in each state."""
        with self._transaction() as run:
            rows = run("SELECT state, count(*) AS number FROM jobs GROUP BY state").fetchall()
        return {str(row["state"]): int(row["number"]) for row in rows}

    def claim(self, ticket: int | None = None) -> StoredJob | None:
        """Take the job with this ticket, or the one whose turn it is, and count the attempt.

        None where there is none to compute: none waits, or the ticket holds no more.
        """
        while True:
            with self._transaction() as run:
                chosen = self._next(run) if ticket is None else ticket
                row = run(
                    "UPDATE jobs SET state = 'running', stage = 'start', done = 0, started = ?,"
                    " attempts = attempts + 1 WHERE ticket = ? AND state = 'queued' RETURNING *",
                    *(self._now(run), chosen),
                ).fetchone()
                job = None if row is None else read_record(row)
                if job is not None and job.state != "running":  # it cannot be read
                    run(
                        "UPDATE jobs SET state = 'failed', finished = ? WHERE id = ?",
                        *(self._now(run), job.id),
                    )
            if chosen is None or (job is None and ticket is not None):
                return None
            if job is not None and job.state == "running":
                return job

    def progress(self, job: StoredJob, *, stage: str, done: float) -> bool:
        """Note how far a claimed job is; return whether the claim still holds."""
        return self._change(job, stage=stage, done=done)

    def holds(self, job: StoredJob) -> bool:
        """Return whether a claim still holds: not cancelled, deleted or taken over."""
        with self._transaction() as run:
            row = run("SELECT state, ticket FROM jobs WHERE id = ?", job.id).fetchone()
        return row is not None and row["state"] == "running" and row["ticket"] == job.ticket

    def finish(self, job: StoredJob, result: JobResult) -> bool:
        """Record a claimed job's result, and by its ticket which folder holds the files."""
        return self._change(
            job,
            "done",
            result=result.model_dump_json(),
            model=result.provenance.model,
            label=result.title or job.label,
            lesions=len(result.lesions),
        )

    def fail(self, job: StoredJob, problem: Problem) -> bool:
        """Record why a job failed that was claimed or abandoned."""
        return self._change(job, "failed", problem=problem.model_dump_json())

    def ask(self, job: StoredJob, series: Sequence[SeriesView]) -> bool:
        """Put a claimed job aside until its owner has chosen a series."""
        listing = json.dumps([choice.model_dump(mode="json") for choice in series])
        return self._change(job, "needs_choice", series=listing)

    def give_back(self, job: StoredJob) -> bool:
        """Return a claimed job to its turn in the queue, as if it had never been claimed."""
        return self._change(job, "queued", turn=job.turn, attempts=job.attempts - 1)

    def retry(self, job: StoredJob, *, lost: bool = False, after_s: float = 0.0) -> bool:
        """Queue a claimed or abandoned job behind its owner's others, to be claimed after a pause.

        What struck it, such as a lack of memory, may be over by then. One that was `lost` through
        no fault of its own, such as with its server, has its attempt not counted, but the loss.
        """
        claimed = int(lost and job.state != "queued")
        return self._change(
            job,
            "queued",
            after_s=after_s,
            attempts=job.attempts - claimed,
            server_losses=job.server_losses + claimed,
        )

    def choose(self, job_id: str, options: JobOptions) -> bool:
        """Queue a job again with the series that its owner chose."""
        with self._transaction(exclusive=True) as run:
            changed = run(
                "UPDATE jobs SET state = 'queued', options = ?, attempts = 0"
                " WHERE id = ? AND state = 'needs_choice'",
                *(options.model_dump_json(), job_id),
            ).rowcount
            if changed:
                self._queue(run, job_id)
        return changed == 1

    def cancel(self, job_id: str) -> bool:
        """Stop a job that has not finished."""
        with self._transaction() as run:
            row = run(
                "UPDATE jobs SET state = 'cancelled', finished = ? WHERE id = ?"
                " AND state IN ('queued', 'running', 'needs_choice') RETURNING ticket",
                *(self._now(run), job_id),
            ).fetchone()
            if row is not None:
                self._withdraw(run, row["ticket"])
        return row is not None

    def delete(self, job_id: str) -> None:
        """Forget a job."""
        self.cancel(job_id)
        with self._transaction() as run:
            run("DELETE FROM jobs WHERE id = ?", job_id)

    def tickets(self) -> dict[str, tuple[int, str]]:
        """Return the ticket and state of every job by its id."""
        with self._transaction() as run:
            rows = run("SELECT id, ticket, state FROM jobs").fetchall()
        return {str(row["id"]): (int(row["ticket"]), str(row["state"])) for row in rows}

    def expired(self, *, older_than_s: float) -> tuple[str, ...]:
        """Return the ids of jobs that finished so long ago."""
        marks = ", ".join("?" for _ in FINISHED)
        with self._transaction() as run:
            rows = run(
                f"SELECT id FROM jobs WHERE state IN ({marks}) AND finished < ?",  # noqa: S608
                *(*sorted(FINISHED), self._now(run) - older_than_s),
            ).fetchall()
        return tuple(str(row["id"]) for row in rows)

    def _queue(self, run: Run, job_id: str, *, turn: int | None = None, after_s: float = 0) -> None:
        if turn is None:
            owner = run("SELECT owner FROM jobs WHERE id = ?", job_id).fetchone()["owner"]
            row = run(_TURN, owner, job_id).fetchone()
            turn = int(max(row["now"], row["own"]))
        ticket = self._ticket(run, job_id, turn=turn, after_s=after_s)
        run(
            "UPDATE jobs SET stage = '', done = 0, turn = ?, ticket = ? WHERE id = ?",
            *(turn, ticket, job_id),
        )

    def _change(
        self,
        job: StoredJob,
        state: JobState | None = None,
        *,
        turn: int | None = None,
        after_s: float = 0.0,
        **changes: Any,
    ) -> bool:
        """Change a job only where its ticket still holds."""
        requeued = state == "queued"
        with self._transaction(exclusive=requeued) as run:
            if state is not None:
                finished = self._now(run) if state in FINISHED else None
                changes |= {"state": state, "finished": finished}
            from_states = "'running', 'queued'" if job.state == "queued" else "'running'"
            changed = run(
                f"UPDATE jobs SET {', '.join(f'{name} = ?' for name in changes)}"  # noqa: S608
                f" WHERE id = ? AND ticket = ? AND state IN ({from_states})",
                *(*changes.values(), job.id, job.ticket),
            ).rowcount
            if changed and requeued:
                self._queue(run, job.id, turn=turn, after_s=after_s)
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


def unavailable(found: str = "a job list that does not answer") -> StoreUnavailable:
    """Say that the database does not answer."""
    return StoreUnavailable(
        found,
        expected="the database of the service",
        remedy=f"try again in {RETRY_AFTER_S} seconds; jobs already taken in are safe",
    )


def _refuse_when_full(run: Run, max_waiting: int, owner: str) -> None:
    """Refuse where the queue is full and its owner has at least an equal share of it."""
    row = run(_WAITING, owner, owner).fetchone()
    share = max(1, max_waiting // (row["others"] + 1))
    if row["waiting"] >= max_waiting and row["own"] >= share:
        raise QueueFull(
            f"{row['waiting']} jobs waiting, {row['own']} of them yours",
            expected=f"fewer than {max_waiting}, or than {share} of yours",
            remedy=f"try again in {RETRY_AFTER_S} seconds",
        )
