"""What the service says on standard error: jobs by their ids, requests by their paths.

Nothing that a caller chose is said: no file name, no search text, no header of an image.
"""

from __future__ import annotations

import logging
import sys

__all__ = ["speak"]

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def speak(level: str) -> None:
    """Let brainmets' own lines appear from `level` on, and keep uvicorn's discreet."""
    logger = logging.getLogger("brainmets")
    logger.setLevel(level.upper())
    if not logger.hasHandlers():
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter(FORMAT))
        logger.addHandler(handler)
    access = logging.getLogger("uvicorn.access")
    if not any(isinstance(present, _Discreet) for present in access.filters):
        access.addFilter(_Discreet())


class _Discreet(logging.Filter):
    """Cuts names and questions out of uvicorn's access lines: slices are named by their owner."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(
                _cut(argument) if isinstance(argument, str) else argument
                for argument in record.args
            )
        return True


def _cut(path: str) -> str:
    plain = path.partition("?")[0]
    before, folder, _ = plain.partition("/files/")
    return f"{before}{folder}…" if folder else plain
