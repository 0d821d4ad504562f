"""The job list in one SQLite file: nothing to install, one machine."""

from __future__ import annotations

import sqlite3
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from brainmets.api.store.jobs import JobStore, Run, disk_full, unavailable

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

__all__ = ["SqliteStore"]

BUSY_TIMEOUT_S = 30.0


class SqliteStore(JobStore):
    """Every write is its own transaction under `synchronous=FULL`, with one writer at a time."""

    def __init__(self, path: Path) -> None:
        """Open or create the list at `path`."""
        self._path = path
        self._local = threading.local()
        super().__init__()

    def close(self) -> None:
        """Close this thread's connection."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is not None:
            connection.close()
            del self._local.connection

    @contextmanager
    def _reading(self) -> Generator[Run]:
        with _explaining():
            yield self._run

    @contextmanager
    def _transaction(self, *, exclusive: bool = False) -> Generator[Run]:
        del exclusive  # there is never more than one writer
        with _explaining():
            self._run("BEGIN IMMEDIATE")
            try:
                yield self._run
                self._run("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._run("ROLLBACK")
                raise

    def _now(self, run: Run) -> float:
        del run
        return time.time()

    def _run(self, sql: str, *values: Any) -> sqlite3.Cursor:
        return self._connection.execute(sql, values)

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
def _explaining() -> Generator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        if error.sqlite_errorname in {"SQLITE_FULL", "SQLITE_IOERR_WRITE"}:
            raise disk_full() from error
        raise unavailable() from error
