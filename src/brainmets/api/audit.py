"""Who did what, with which job or study, and when: a line of JSON each, and no patient data.

A study is named by its salted hash, a job by its random id, a caller by the name of its key or its
AE title. The file is opened for every line, so that it can be rotated at any time.
"""

from __future__ import annotations

import json
import logging
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from brainmets.api.journal import Watching

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.types import ASGIApp, Scope

__all__ = ["Audit", "AuditTrail"]

READS = frozenset({"get_file", "export", "get_thumbnail"})
"""Reading requests that are noted, by operation: they hand out images or results."""

_log = logging.getLogger("brainmets.audit")


class Audit:
    """Appends to a file; without one nothing is noted."""

    def __init__(self, path: Path | None) -> None:
        """Write to `path`."""
        self._path = path

    def note(self, who: str, what: str, **which: str | int) -> None:
        """Append a line. A file that cannot be written is an error of the log, not of the work."""
        if self._path is None:
            return
        when = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = json.dumps({"when": when, "who": who, "what": what, **which}) + "\n"
        try:
            file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                os.write(file, line.encode())
            finally:
                os.close(file)
        except OSError as error:
            _log.error("the audit file cannot be written: %s", type(error).__name__)


class AuditTrail(Watching):
    """Notes every request that changes something or reads images and results, and refused keys."""

    def __init__(self, app: ASGIApp, *, audit: Audit) -> None:
        """Watch `app`, whose authentication says who asks."""
        super().__init__(app)
        self._audit = audit

    def ended(self, scope: Scope, status: int, seconds: float) -> None:  # noqa: ARG002 - not noted
        """Note the request."""
        what = str(getattr(scope.get("route"), "operation_id", None) or "")
        if status in {401, 403}:
            self._audit.note("-", what or "refused", status=status)
        elif what and (scope["method"] not in {"GET", "HEAD", "OPTIONS"} or what in READS):
            given: dict[str, Any] = scope.get("path_params", {})
            which = {
                name.removesuffix("_id"): str(given[name])
                for name in ("job_id", "upload_id")
                if status < 400 and name in given
            }
            self._audit.note(
                str(scope.get("brainmets.owner", "-")),
                what,
                **which,
                status=status,
            )
