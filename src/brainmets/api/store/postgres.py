"""The job list in PostgreSQL: several servers and workers, on several machines, on one queue."""

from __future__ import annotations

import queue
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.rows import DictRow, dict_row

from brainmets.api.store.jobs import JobStore, Run, disk_full, unavailable

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["PostgresStore"]

MOST_CONNECTIONS = 12
CONNECT_TIMEOUT_S = 5
LOCK_NUMBER = 0x627261696E
"""Names our advisory lock among those of other programs in the same database."""

Connection = psycopg.Connection[DictRow]


class PostgresStore(JobStore):
    """Jobs are claimed with `FOR UPDATE SKIP LOCKED`; every time comes from the database's clock.

    A pooled connection that broke is replaced; the one call that found it broken fails with
    `StoreUnavailable` unless it had not begun.
    """

    _PASSING_BY = "FOR UPDATE SKIP LOCKED"

    def __init__(self, url: str) -> None:
        """Connect to the database at `url` and create or upgrade the table."""
        self._url = url
        self._idle: queue.LifoQueue[Connection | None] = queue.LifoQueue()
        for _ in range(MOST_CONNECTIONS):
            self._idle.put(None)
        super().__init__()

    def close(self) -> None:
        """Close the connections that nobody uses."""
        for _ in range(self._idle.qsize()):
            try:
                connection = self._idle.get_nowait()
            except queue.Empty:
                return
            if connection is not None:
                connection.close()
            self._idle.put(None)

    @contextmanager
    def _reading(self) -> Generator[Run]:
        with self._transaction() as run:
            yield run

    @contextmanager
    def _transaction(self, *, exclusive: bool = False) -> Generator[Run]:
        connection = self._idle.get()
        try:
            connection = self._working(connection)

            def run(sql: str, *values: Any) -> psycopg.Cursor[DictRow]:
                return connection.execute(sql.replace("?", "%s").encode(), values)

            with connection.transaction():
                if exclusive:
                    run("SELECT pg_advisory_xact_lock(?)", LOCK_NUMBER)
                yield run
        except psycopg.errors.DiskFull as error:
            raise disk_full() from error
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise unavailable() from error
        finally:
            usable = connection is not None and not connection.closed
            self._idle.put(connection if usable else None)

    def _working(self, connection: Connection | None) -> Connection:
        """Return the connection if the server still answers it, else a new one."""
        if connection is not None:
            try:
                connection.execute("SELECT 1")
            except psycopg.Error:
                connection.close()
            else:
                return connection
        return Connection.connect(
            self._url,
            autocommit=True,  # `transaction()` below begins and commits
            row_factory=dict_row,
            connect_timeout=CONNECT_TIMEOUT_S,
            application_name="brainmets",
            keepalives_idle=10,
            keepalives_interval=5,
            keepalives_count=3,
        )

    def _now(self, run: Run) -> float:
        row = run("SELECT extract(epoch FROM clock_timestamp())::double precision AS now")
        return float(row.fetchone()["now"])
