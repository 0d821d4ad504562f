"""From a database URL to the store that speaks its dialect."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from brainmets.domain.errors import OptionError

if TYPE_CHECKING:
    from brainmets.api.store.jobs import JobStore

__all__ = ["open_store"]


def open_store(url: str) -> JobStore:
    """Return the job list at `sqlite:///path` or `postgresql://user:password@host/name`.

    Raises:
        OptionError: the URL has another form, or the driver is not installed.
    """
    parts = urlsplit(url)
    if parts.scheme == "sqlite" and parts.path:
        from brainmets.api.store.sqlite import SqliteStore

        return SqliteStore(Path(unquote(parts.path)))
    if parts.scheme in {"postgresql", "postgres"}:
        try:
            from brainmets.api.store.postgres import PostgresStore
        except ImportError as error:
            raise OptionError(
                "a PostgreSQL address and no driver for it",
                expected="the packages psycopg and procrastinate",
                remedy="install the extra: pip install 'brainmets[postgres]'",
            ) from error
        return PostgresStore(url)
    raise OptionError(
        f"a database address of the kind {parts.scheme or 'none'}",
        expected="sqlite:///folder/jobs.sqlite or postgresql://user:password@host/name",
        remedy="correct BRAINMETS_DATABASE_URL, or leave it out",
    )
