"""The job list in one SQLite file: nothing to install, one server computes."""

from __future__ import annotations

import sqlite3
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from brainmets.api.store.jobs import JobStore, Run, disk_full, unavailable
from brainmets.api.store.records import StoredJob, read_record

if TYPE_CHECKING:
    from collections.abc import Collection, Generator
    from pathlib import Path

__all__ = ["SqliteStore"]

BUSY_TIMEOUT_S = 10.0


class SqliteStore(JobStore):
    """Every write is its own transaction under `synchronous=FULL`, with one writer at a time.

    A file that was replaced, such as by a backup, is opened again. Where it is gone, and not only
    with the disk that held it, an empty list takes its place.
    """

    def __init__(self, path: Path) -> None:
        """Open or create the list at `path`."""
        self._path = path
        self._local = threading.local()
        self._pauses: dict[int, float] = {}
        """When tickets may be claimed, by the monotonic clock; a restart ends every pause."""
        self._device: int | None = None
        self._file: tuple[int, int] | None = None
        super().__init__()

    def close(self) -> None:
        """Close this thread's connection."""
        self.release()

    def release(self) -> None:
        """Close this thread's connection."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is not None:
            connection.close()
            del self._local.connection

    def abandoned(self, *, held: Collection[int] = ()) -> tuple[StoredJob, ...]:
        """Return running jobs that are not among those this server, the only one, computes."""
        with self._transaction() as run:
            rows = run("SELECT * FROM jobs WHERE state = 'running'").fetchall()
        return tuple(read_record(row) for row in rows if row["ticket"] not in held)

    @contextmanager
    def _transact(self, *, exclusive: bool) -> Generator[Run]:
        with _explaining():
            connection = self._connected()

            def run(sql: str, *values: Any) -> sqlite3.Cursor:
                if not connection.in_transaction and not sql.startswith("SELECT"):
                    connection.execute("BEGIN IMMEDIATE")
                return connection.execute(sql, values)

            if exclusive:
                connection.execute("BEGIN IMMEDIATE")
            try:
                yield run
                if connection.in_transaction:
                    connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def _ticket(self, run: Run, job_id: str, *, turn: int, after_s: float) -> int:
        del job_id, turn  # the table is the queue
        ticket = int(run("SELECT MAX(1, MAX(ticket) + 1) AS next FROM jobs").fetchone()["next"])
        now = time.monotonic()
        self._pauses = {one: end for one, end in self._pauses.items() if end > now}
        if after_s:
            self._pauses[ticket] = now + after_s
        return ticket

    def _withdraw(self, run: Run, ticket: int) -> None:
        """Do nothing: the state of its row takes a job out of the queue."""

    def _next(self, run: Run) -> int | None:
        now = time.monotonic()
        pausing = ", ".join(str(ticket) for ticket, end in self._pauses.items() if end > now)
        row = run(
            f"SELECT ticket FROM jobs WHERE state = 'queued' AND ticket NOT IN ({pausing})"  # noqa: S608
            " ORDER BY turn, ticket LIMIT 1"
        ).fetchone()
        return None if row is None else int(row["ticket"])

    def _now(self, run: Run) -> float:
        del run
        return time.time()

    def _connected(self) -> sqlite3.Connection:
        """Return this thread's connection to the file that is there now."""
        file = self._identity()
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is not None and self._local.file == file:
            return connection
        self.release()
        if self._file not in {None, file}:
            self._prepared = False  # another file: its table may be of an earlier form
        connection = sqlite3.connect(
            self._path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
        )
        try:
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            self._local.file = self._file = self._identity()
        except BaseException:
            connection.close()
            raise
        self._local.connection = connection
        return connection

    def _identity(self) -> tuple[int, int] | None:
        """Name the file by device and number; None where it is to be created."""
        try:
            device = self._path.parent.stat().st_dev
            if self._device is None:
                self._device = device
            elif device != self._device:
                raise unavailable("a job list whose disk is no longer there")
            found = self._path.stat()
        except FileNotFoundError as error:
            if self._path.parent.is_dir():
                return None
            raise unavailable("a job list whose folder is no longer there") from error
        except OSError as error:
            raise unavailable("a job list that cannot be reached") from error
        return found.st_dev, found.st_ino


@contextmanager
def _explaining() -> Generator[None]:
    try:
        yield
    except (sqlite3.IntegrityError, sqlite3.ProgrammingError):
        raise
    except sqlite3.DatabaseError as error:
        name = getattr(error, "sqlite_errorname", "")
        if name in {"SQLITE_FULL", "SQLITE_IOERR_WRITE"}:
            raise disk_full() from error
        if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
            raise unavailable("a job list that is damaged") from error
        if name.startswith("SQLITE_READONLY"):
            raise unavailable("a job list that is read-only") from error
        raise unavailable() from error
