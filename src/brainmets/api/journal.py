"""What the service says on standard error: jobs by their ids, requests by their paths.

Nothing that a caller chose is said: no file name, no search text, no header of an image. Of a
request's path only the words of our own routes and the ids that we gave are shown.
"""

from __future__ import annotations

import logging
import re
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["speak"]

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"

_ID = re.compile(r"[0-9a-f]{16}|")


def speak(level: str, paths: Iterable[str]) -> None:
    """Let brainmets' own lines appear from `level` on, and make uvicorn's discreet.

    `paths` are those of the routes, whose words may be shown.
    """
    logger = logging.getLogger("brainmets")
    logger.setLevel(level.upper())
    if not logger.hasHandlers():
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter(FORMAT))
        logger.addHandler(handler)
    access = logging.getLogger("uvicorn.access")
    if not any(isinstance(present, _Discreet) for present in access.filters):
        access.addFilter(_Discreet(frozenset(word for path in paths for word in path.split("/"))))


class _Discreet(logging.Filter):
    """Leaves of uvicorn's access lines what no caller chose."""

    def __init__(self, words: frozenset[str]) -> None:
        super().__init__()
        self._words = words

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(
                self._shown(argument)
                if isinstance(argument, str) and argument.startswith("/")
                else argument
                for argument in record.args
            )
        return True

    def _shown(self, path: str) -> str:
        parts = path.partition("?")[0].split("/")
        return "/".join(
            part if part in self._words or _ID.fullmatch(part) else "…" for part in parts
        )
