"""The table of jobs, and the steps from each earlier form of it to the next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from brainmets.domain.errors import OptionError

if TYPE_CHECKING:
    from brainmets.api.store.jobs import Run

__all__ = ["upgrade"]

_STEPS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE IF NOT EXISTS jobs (
            id TEXT PRIMARY KEY,
            owner TEXT NOT NULL,
            fingerprint TEXT NOT NULL,
            state TEXT NOT NULL,
            stage TEXT NOT NULL DEFAULT '',
            done DOUBLE PRECISION NOT NULL DEFAULT 0,
            created DOUBLE PRECISION NOT NULL,
            queued DOUBLE PRECISION NOT NULL,
            finished DOUBLE PRECISION,
            attempts INTEGER NOT NULL DEFAULT 0,
            server_losses INTEGER NOT NULL DEFAULT 0,
            label TEXT NOT NULL,
            options TEXT NOT NULL,
            problem TEXT,
            series TEXT NOT NULL DEFAULT '[]',
            result TEXT,
            UNIQUE (owner, fingerprint)
        )""",
        "CREATE INDEX IF NOT EXISTS jobs_waiting ON jobs (state, queued)",
    ),
    (
        "ALTER TABLE jobs ADD COLUMN server TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE jobs ADD COLUMN token TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE jobs ADD COLUMN lease DOUBLE PRECISION NOT NULL DEFAULT 0",
        "ALTER TABLE jobs ADD COLUMN started DOUBLE PRECISION",
        "CREATE INDEX jobs_owned ON jobs (owner, created)",
    ),
    (
        "ALTER TABLE jobs ADD COLUMN model TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE jobs ADD COLUMN lesions INTEGER",
    ),
    (
        "ALTER TABLE jobs ADD COLUMN ticket BIGINT NOT NULL DEFAULT 0",
        "ALTER TABLE jobs ADD COLUMN turn BIGINT NOT NULL DEFAULT 0",
        """UPDATE jobs SET ticket = -1 - (
            SELECT count(*) FROM jobs AS later WHERE later.queued > jobs.queued
        ) WHERE state <> 'done'""",
        "DROP INDEX jobs_waiting",
        "ALTER TABLE jobs DROP COLUMN queued",
        "ALTER TABLE jobs DROP COLUMN server",
        "ALTER TABLE jobs DROP COLUMN token",
        "ALTER TABLE jobs DROP COLUMN lease",
        "CREATE INDEX jobs_in_turn ON jobs (state, turn, ticket)",
        "CREATE INDEX jobs_by_ticket ON jobs (ticket)",
    ),
)
"""Both dialects understand them; a released step never changes, a new one is added below."""


def upgrade(run: Run) -> None:
    """Bring the table to the present form, inside the caller's transaction.

    Raises:
        OptionError: a later brainmets has already changed it.
    """
    run("CREATE TABLE IF NOT EXISTS brainmets_schema (version INTEGER NOT NULL)")
    row = run("SELECT max(version) AS version FROM brainmets_schema").fetchone()
    version = row["version"] or 0
    if version > len(_STEPS):
        raise OptionError(
            f"a job list of form {version}, made by a later brainmets",
            expected=f"form {len(_STEPS)} or earlier",
            remedy="run that version again, or restore the backup from before the upgrade",
        )
    for number, statements in enumerate(_STEPS[version:], start=version + 1):
        for statement in statements:
            run(statement)
        run("INSERT INTO brainmets_schema (version) VALUES (?)", number)
