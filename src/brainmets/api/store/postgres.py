"""The job list in PostgreSQL, queued by Procrastinate for workers on several machines."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg
from procrastinate import SyncPsycopgConnector
from procrastinate.exceptions import ConnectorException
from procrastinate.jobs import Job
from procrastinate.manager import JobManager
from procrastinate.schema import SchemaManager
from psycopg.rows import DictRow, dict_row
from psycopg_pool import ConnectionPool

from brainmets.api.store.jobs import JobStore, Run, disk_full, unavailable
from brainmets.api.store.records import StoredJob, read_record

if TYPE_CHECKING:
    from collections.abc import Collection, Generator

__all__ = ["AWAY", "CONNECTION", "END_IDLE_CHANGES", "QUEUE", "STALLED_S", "TASK", "PostgresStore"]

TASK = QUEUE = "brainmets"
MOST_CONNECTIONS = 12
ANSWERS_WITHIN_S = 5.0
STALLED_S = 5.0
"""A worker without a heartbeat for so long, by the database's clock, has lost its jobs."""

CONNECTION = {
    "connect_timeout": 5,
    "application_name": "brainmets",
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
}

AWAY = (psycopg.OperationalError, psycopg.InternalError)
"""Errors of a database that is away, is damaged, or has ended a connection."""

END_IDLE_CHANGES = f"SET idle_in_transaction_session_timeout = {STALLED_S * 1000:.0f}"
"""A server that is stopped amid a change loses its connection: its locks hold up nobody."""

LOCK_NUMBER = 0x627261696E
"""Names our advisory lock among those of other programs in the same database."""

_DEAD = (
    "(worker.id IS NULL OR abs(extract(epoch FROM clock_timestamp() - worker.last_heartbeat)) > ?)"
)
"""A heartbeat in the future is one from before the clock was put back."""

_ABANDONED = (
    "SELECT jobs.*, COALESCE(jobs.state = 'queued' AND queued.status = 'doing'"  # noqa: S608
    f" AND NOT {_DEAD}, FALSE) AS fetched"
    " FROM jobs LEFT JOIN procrastinate_jobs AS queued ON queued.id = jobs.ticket"
    " AND queued.status IN ('todo', 'doing')"
    " LEFT JOIN procrastinate_workers AS worker ON worker.id = queued.worker_id"
    " WHERE jobs.state IN ('queued', 'running')"
    f" AND (queued.id IS NULL OR (queued.status = 'doing' AND (jobs.state = 'queued' OR {_DEAD})))"
)

_SWEEP = (
    "DELETE FROM procrastinate_jobs AS queued WHERE queued.status = 'doing'"  # noqa: S608
    " AND NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.ticket = queued.id"
    " AND jobs.state IN ('queued', 'running'))"
    " AND NOT EXISTS (SELECT 1 FROM procrastinate_workers AS worker"
    f" WHERE worker.id = queued.worker_id AND NOT {_DEAD})"
)

Connection = psycopg.Connection[DictRow]


class PostgresStore(JobStore):
    """A job and its place in Procrastinate's queue change in one transaction.

    Its ticket is the number of its entry there; each attempt has an entry of its own. Times and
    heartbeats are compared by the database's clock alone.
    """

    def __init__(self, url: str) -> None:
        """Connect to the database at `url` and create or upgrade the tables."""
        self.url = url
        self._fetched: set[int] = set()
        self._manager = JobManager(SyncPsycopgConnector())
        self._pool: ConnectionPool[Connection] = ConnectionPool(
            url,
            connection_class=Connection,
            min_size=1,
            max_size=MOST_CONNECTIONS,
            timeout=ANSWERS_WITHIN_S,
            reconnect_timeout=ANSWERS_WITHIN_S,
            check=_check,
            configure=_configure,
            kwargs=CONNECTION | {"autocommit": True, "row_factory": dict_row},
            open=True,
        )
        super().__init__()

    def close(self) -> None:
        """Close every connection."""
        self._pool.close()

    def abandoned(self, *, held: Collection[int] = ()) -> tuple[StoredJob, ...]:
        """Return jobs whose worker sends no heartbeat, and those that have left the queue.

        One that a living worker fetched and never began counts from the second look on.
        """
        del held  # their worker's heartbeat speaks for them
        with self._transaction() as run:
            rows = run(_ABANDONED, *[STALLED_S] * 2).fetchall()
            run(_SWEEP, STALLED_S)
        earlier, self._fetched = self._fetched, {row["ticket"] for row in rows if row["fetched"]}
        return tuple(
            read_record(row) for row in rows if not row["fetched"] or row["ticket"] in earlier
        )

    @contextmanager
    def _transact(self, *, exclusive: bool) -> Generator[Run]:
        try:
            with self._pool.connection() as connection, connection.transaction():

                def run(sql: str, *values: Any) -> psycopg.Cursor[DictRow]:
                    return connection.execute(sql.replace("?", "%s").encode(), values or None)

                if exclusive:
                    run("SELECT pg_advisory_xact_lock(?)", LOCK_NUMBER)
                yield run
        except psycopg.errors.DiskFull as error:
            raise disk_full() from error
        except (*AWAY, psycopg.InterfaceError, ConnectorException) as error:
            raise unavailable() from error

    def _upgrade(self, run: Run) -> None:
        super()._upgrade(run)
        if run("SELECT to_regclass('procrastinate_jobs') AS found").fetchone()["found"] is None:
            run(SchemaManager.get_schema())

    def _ticket(self, run: Run, job_id: str, *, turn: int, after_s: float) -> int:
        clock = run("SELECT clock_timestamp() + make_interval(secs => ?) AS start", after_s)
        job = Job(
            queue=QUEUE,
            task_name=TASK,
            priority=-turn,
            lock=None,
            queueing_lock=None,
            task_kwargs={"job_id": job_id},
            scheduled_at=clock.fetchone()["start"] if after_s else None,
        )
        return int(self._manager.defer_job(job, connection=clock.connection).id or 0)

    def _withdraw(self, run: Run, ticket: int) -> None:
        run("SELECT procrastinate_cancel_job_v1(?, TRUE, TRUE)", ticket)

    def _next(self, run: Run) -> int | None:
        row = run(
            "SELECT id FROM procrastinate_fetch_job_v2(?::varchar[], NULL)", [QUEUE]
        ).fetchone()
        return row["id"]

    def _now(self, run: Run) -> float:
        row = run("SELECT extract(epoch FROM clock_timestamp())::double precision AS now")
        return float(row.fetchone()["now"])


def _configure(connection: Connection) -> None:
    connection.execute(END_IDLE_CHANGES.encode())


def _check(connection: Connection) -> None:
    connection.execute("")
