"""The node's list of studies and of objects to send, in SQLite; it survives a crash.

A study's `state`:
  receiving   images are arriving
  complete    no image for the waiting time: to be submitted to the service
  queued      the service has it as `job`
  following   the service compares it with earlier scans as `followup`
  sending     its objects are in the outbox
  answered    every object is at every target
  failed      `problem` says why; `brainmets listen --retry` begins again

Nothing here names a patient: studies and patients are keyed by salted hashes.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable
    from pathlib import Path

__all__ = ["ENDED", "Parcel", "Request", "Study", "StudyList", "StudyState"]

StudyState = Literal[
    "receiving", "complete", "queued", "following", "sending", "answered", "failed"
]
ENDED: frozenset[StudyState] = frozenset({"answered", "failed"})

_SCHEMA = """
CREATE TABLE IF NOT EXISTS studies (
  key TEXT PRIMARY KEY, patient TEXT NOT NULL, state TEXT NOT NULL, round INTEGER NOT NULL,
  received REAL NOT NULL, day INTEGER, job TEXT, followup TEXT, names TEXT NOT NULL DEFAULT '{}',
  problem TEXT NOT NULL DEFAULT '', tries INTEGER NOT NULL DEFAULT 0,
  next_try REAL NOT NULL DEFAULT 0, ended REAL
);
CREATE INDEX IF NOT EXISTS studies_patient ON studies (patient);
CREATE TABLE IF NOT EXISTS parcels (
  id INTEGER PRIMARY KEY, study TEXT NOT NULL, round INTEGER NOT NULL, file TEXT NOT NULL,
  target TEXT NOT NULL, state TEXT NOT NULL DEFAULT 'waiting', tries INTEGER NOT NULL DEFAULT 0,
  next_try REAL NOT NULL DEFAULT 0, problem TEXT NOT NULL DEFAULT '', made REAL NOT NULL,
  UNIQUE (study, round, file, target)
);
CREATE TABLE IF NOT EXISTS requests (
  id INTEGER PRIMARY KEY, "transaction" TEXT NOT NULL, caller TEXT NOT NULL, images TEXT NOT NULL,
  tries INTEGER NOT NULL DEFAULT 0, next_try REAL NOT NULL DEFAULT 0, made REAL NOT NULL,
  UNIQUE ("transaction", caller)
);
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """One study. `names` holds each lesion's number over time, by its id in this study.

    `round` counts how often the study was given to the service: late images begin another.
    `day` is the day of the scan as a number, where known.
    """

    key: str
    patient: str
    state: StudyState
    round: int
    received: float
    day: int | None = None
    job: str | None = None
    followup: str | None = None
    names: dict[int, int] = field(default_factory=dict[int, int])
    problem: str = ""
    tries: int = 0
    next_try: float = 0.0
    ended: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """One object on its way to one target; `file` is its name in the study's outbox."""

    id: int
    study: str
    round: int
    file: str
    target: str
    state: Literal["waiting", "sent", "dead"]
    tries: int
    next_try: float
    problem: str
    made: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One storage commitment to report: SOP class and instance UID of each image asked for.

    It is removed once reported.
    """

    id: int
    transaction: str
    caller: str
    images: tuple[tuple[str, str], ...]
    tries: int
    next_try: float
    made: float


class StudyList:
    """The list of studies; every change is on the disk when its method returns. Thread-safe."""

    def __init__(self, path: Path) -> None:
        """Open the list, or create it."""
        self._lock = threading.Lock()
        self._db = sqlite3.connect(
            path, isolation_level=None, check_same_thread=False, timeout=30.0
        )
        self._db.row_factory = sqlite3.Row
        path.chmod(0o600)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    def receive(self, key: str, patient: str) -> bool:
        """Record a new image of a study; return whether this changed the state of the study.

        A study that the service already has is received again, as another round.
        """
        with self._change() as db:
            row = db.execute("SELECT state FROM studies WHERE key = ?", (key,)).fetchone()
            if row is None:
                db.execute(
                    "INSERT INTO studies (key, patient, state, round, received)"
                    " VALUES (?, ?, 'receiving', 1, ?)",
                    (key, patient, time.time()),
                )
                return True
            if row["state"] == "receiving":
                return False
            db.execute(
                "UPDATE studies SET state = 'receiving', round = round + 1, received = ?,"
                " job = NULL, followup = NULL, problem = '', tries = 0, next_try = 0, ended = NULL"
                " WHERE key = ?",
                (time.time(), key),
            )
            return True

    def move(self, study: Study, state: StudyState, **changes: Any) -> bool:
        """Change the state of a study, unless it has changed since `study` was read."""
        values: dict[str, Any] = {"state": state, "tries": 0, "next_try": 0.0, **changes}
        if "names" in values:
            values["names"] = json.dumps(values["names"])
        if state in ENDED:
            values["ended"] = time.time()
        columns = ", ".join(f"{name} = ?" for name in values)
        with self._change() as db:
            done = db.execute(
                f"UPDATE studies SET {columns} WHERE key = ? AND state = ? AND round = ?",  # noqa: S608
                (*values.values(), study.key, study.state, study.round),
            )
            return done.rowcount == 1

    def put_off(self, study: Study, *, after_s: float, problem: str) -> None:
        """Postpone a study until another try."""
        with self._change() as db:
            db.execute(
                "UPDATE studies SET tries = tries + 1, next_try = ?, problem = ?"
                " WHERE key = ? AND state = ? AND round = ?",
                (time.time() + after_s, problem, study.key, study.state, study.round),
            )

    def dispatch(
        self, study: Study, files: Iterable[str], targets: Iterable[str], **changes: Any
    ) -> bool:
        """Put a study's objects into the outbox and set `sending`, in one transaction."""
        now, names = time.time(), json.dumps(changes.pop("names", study.names))
        with self._change() as db:
            done = db.execute(
                "UPDATE studies SET state = 'sending', names = ?, problem = ?, tries = 0,"
                " next_try = 0 WHERE key = ? AND state = ? AND round = ?",
                (names, changes.get("problem", ""), study.key, study.state, study.round),
            )
            if done.rowcount != 1:
                return False
            for target in targets:
                db.executemany(
                    "INSERT OR IGNORE INTO parcels (study, round, file, target, made)"
                    " VALUES (?, ?, ?, ?, ?)",
                    [(study.key, study.round, file, target, now) for file in files],
                )
            return True

    def studies(self, *states: StudyState) -> list[Study]:
        """Return the studies in these states, or all, in the order they came."""
        marks = ",".join("?" * len(states))
        where = f"WHERE state IN ({marks})" if states else ""
        return [_study(row) for row in self._rows(f"{where} ORDER BY received, key", states)]

    def of_patient(self, patient: str) -> list[Study]:
        """Return every study of a patient, in the order they came."""
        return [
            _study(row)
            for row in self._rows("WHERE patient = ? ORDER BY received, key", (patient,))
        ]

    def study(self, key: str) -> Study | None:
        """Return one study."""
        rows = self._rows("WHERE key = ?", (key,))
        return _study(rows[0]) if rows else None

    def parcels(self, state: str | None = None, *, due: float | None = None) -> list[Parcel]:
        """Return objects of a state, or all; with `due` only those to be tried by then."""
        parts, values = ["1"], list[Any]()
        if state is not None:
            parts, values = [*parts, "state = ?"], [*values, state]
        if due is not None:
            parts, values = [*parts, "next_try <= ?"], [*values, due]
        query = f"SELECT * FROM parcels WHERE {' AND '.join(parts)} ORDER BY id"  # noqa: S608
        with self._lock:
            rows = self._db.execute(query, values).fetchall()
        return [Parcel(**dict(row)) for row in rows]

    def sent(self, parcel: Parcel) -> None:
        """Record that an object was sent; after the last one the study is `answered`."""
        with self._change() as db:
            db.execute("UPDATE parcels SET state = 'sent', problem = '' WHERE id = ?", (parcel.id,))
            db.execute(
                "UPDATE studies SET state = 'answered', ended = ? WHERE key = ? AND round = ?"
                " AND state = 'sending' AND NOT EXISTS (SELECT 1 FROM parcels WHERE"
                " parcels.study = studies.key AND parcels.round = studies.round"
                " AND parcels.state != 'sent')",
                (time.time(), parcel.study, parcel.round),
            )

    def unsent(self, parcel: Parcel, *, after_s: float, problem: str, dead: bool) -> None:
        """Record a failed try: the object waits, or is given up (`dead`)."""
        with self._change() as db:
            db.execute(
                "UPDATE parcels SET tries = tries + 1, next_try = ?, problem = ?, state = ?"
                " WHERE id = ?",
                (time.time() + after_s, problem, "dead" if dead else "waiting", parcel.id),
            )

    def retry(self) -> int:
        """Start every failed study and given-up object again; return how many."""
        with self._change() as db:
            studies = db.execute(
                "UPDATE studies SET state = 'complete', round = round + 1, problem = '', tries = 0,"
                " next_try = 0, job = NULL, followup = NULL, ended = NULL WHERE state = 'failed'"
            ).rowcount
            parcels = db.execute(
                "UPDATE parcels SET state = 'waiting', tries = 0, next_try = 0, made = ?"
                " WHERE state = 'dead'",
                (time.time(),),
            ).rowcount
            return studies + parcels

    def ask(self, transaction: str, caller: str, images: Iterable[tuple[str, str]]) -> None:
        """Note a storage commitment that a caller asks for; the same one is noted once."""
        with self._change() as db:
            db.execute(
                'INSERT OR IGNORE INTO requests ("transaction", caller, images, made)'
                " VALUES (?, ?, ?, ?)",
                (transaction, caller, json.dumps(list(images)), time.time()),
            )

    def asked(self, *, due: float) -> list[Request]:
        """Return the storage commitments to report by then."""
        with self._lock:
            rows = self._db.execute(
                "SELECT * FROM requests WHERE next_try <= ? ORDER BY id", (due,)
            ).fetchall()
        requests: list[Request] = []
        for row in rows:
            fields = dict(row)
            images = tuple((kind, uid) for kind, uid in json.loads(fields.pop("images")))
            requests.append(Request(**fields, images=images))
        return requests

    def told(self, request: Request) -> None:
        """Forget a storage commitment that was reported, or cannot be."""
        with self._change() as db:
            db.execute("DELETE FROM requests WHERE id = ?", (request.id,))

    def not_told(self, request: Request, *, after_s: float) -> None:
        """Postpone a report."""
        with self._change() as db:
            db.execute(
                "UPDATE requests SET tries = tries + 1, next_try = ? WHERE id = ?",
                (time.time() + after_s, request.id),
            )

    def _rows(self, rest: str, values: Iterable[Any]) -> list[sqlite3.Row]:
        with self._lock:
            return self._db.execute(f"SELECT * FROM studies {rest}", tuple(values)).fetchall()  # noqa: S608

    @contextmanager
    def _change(self) -> Generator[sqlite3.Connection]:
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")


def _study(row: sqlite3.Row) -> Study:
    fields = dict(row)
    names = json.loads(fields.pop("names"))
    return Study(**fields, names={int(lesion): int(number) for lesion, number in names.items()})
