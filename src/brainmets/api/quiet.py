"""Processes that read untrusted files write no text of those files into the log.

Decoders quote what they read in exceptions, warnings, lines of their own loggers and, those
written in C, on standard error. Only the lines of brainmets' own loggers pass.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["FORMAT", "keep_quiet", "place_of", "strip_texts"]

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"

_log = logging.getLogger("brainmets.worker")


def keep_quiet() -> None:
    """Let nothing but brainmets' own lines reach this process's standard error."""
    own = logging.StreamHandler(os.fdopen(os.dup(sys.stderr.fileno()), "w", buffering=1))
    own.setFormatter(logging.Formatter(FORMAT))
    logger = logging.getLogger("brainmets")
    logger.handlers, logger.propagate = [own], False
    logging.lastResort = None  # the other loggers'
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
    sys.excepthook = _name_only
    threading.excepthook = lambda of: _name_only(of.exc_type, of.exc_value, of.exc_traceback)


def strip_texts() -> None:
    """Leave of every exception that this process logs its type and place, once."""
    make = logging.getLogRecordFactory()
    if getattr(make, "strips_texts", False):
        return

    def made(*args: object, **more: object) -> logging.LogRecord:
        record = make(*args, **more)
        error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
        if error is not None:
            record.msg = (
                f"{record.getMessage().rstrip()}: {type(error).__name__} at {place_of(error)}"
            )
            record.args, record.exc_info = None, None
        return record

    made.strips_texts = True  # type: ignore[attr-defined] - a mark for the next call
    logging.setLogRecordFactory(made)


def place_of(error: BaseException) -> str:
    """Where it was raised: file and line only, as messages may quote the patient's data."""
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    if last is None:
        return "?"
    return f"{Path(last.tb_frame.f_code.co_filename).name}:{last.tb_lineno}"


def _name_only(
    kind: type[BaseException], error: BaseException | None, _trace: TracebackType | None
) -> None:
    _log.error("ended by %s at %s", kind.__name__, "?" if error is None else place_of(error))
