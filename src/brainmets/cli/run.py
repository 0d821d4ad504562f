"""Running a command: every failure becomes one line and an exit code."""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import TYPE_CHECKING

from brainmets.cli.extras import missing_package
from brainmets.domain.errors import BrainmetsError, OutOfMemory, Unforeseen

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

__all__ = ["DEBUG_VARIABLE", "EXIT_INTERNAL", "EXIT_INTERRUPTED", "EXIT_REFUSED", "run"]

EXIT_INTERNAL, EXIT_REFUSED, EXIT_TERMINATED, EXIT_INTERRUPTED = 1, 2, 143, 130

DEBUG_VARIABLE = "BRAINMETS_DEBUG"
"""Environment variable: when set, an unexpected failure shows its traceback."""


def run(arguments: Sequence[str] | None = None) -> None:
    """Run a command and exit: 0 done, 2 refused with its reason, 130 interrupted, 1 our fault."""
    arguments = sys.argv[1:] if arguments is None else arguments
    signal.signal(signal.SIGTERM, _terminate)
    sys.exit(_run(arguments))


def _run(arguments: Sequence[str]) -> int:
    try:
        return _invoke(arguments)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; nothing was left behind\n")
        return EXIT_INTERRUPTED
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if os.environ.get(DEBUG_VARIABLE):
            raise
        return _tell(_explained(error), as_json="--json" in arguments)


def _invoke(arguments: Sequence[str]) -> int:
    import typer
    from typer.main import get_command

    from brainmets.cli.app import app

    try:
        outcome = get_command(app).main(
            args=list(arguments), prog_name="brainmets", standalone_mode=False
        )
    except typer.Abort:
        raise KeyboardInterrupt from None
    except Exception as error:
        # a usage error, whose class lives in click or in typer depending on the version
        show = getattr(error, "show", None)
        if not callable(show):
            raise
        show()
        return EXIT_REFUSED
    if outcome == EXIT_INTERRUPTED:
        raise KeyboardInterrupt
    return outcome if isinstance(outcome, int) else 0


def _explained(error: Exception) -> BrainmetsError:
    """Return the error in our terms; of a stranger only its kind, its text may hold names."""
    if isinstance(error, BrainmetsError):
        return error
    if isinstance(error, MemoryError):
        return OutOfMemory(
            "no memory left while working",
            expected="enough free memory",
            remedy="close other programs or set --memory",
        )
    if isinstance(error, ModuleNotFoundError) and (told := missing_package(error)):
        return told
    return Unforeseen(
        f"an unexpected {type(error).__name__}",
        expected="this not to happen",
        remedy=f"please report it with the traceback that {DEBUG_VARIABLE}=1 shows",
    )


def _tell(error: BrainmetsError, *, as_json: bool) -> int:
    if as_json:
        document = {
            "error": {
                "code": error.code,
                "found": error.found,
                "expected": error.expected,
                "remedy": error.remedy,
            }
        }
        sys.stdout.write(json.dumps(document, ensure_ascii=False) + "\n")
    else:
        sys.stderr.write(f"{error}\n")
    return EXIT_INTERNAL if isinstance(error, Unforeseen) else EXIT_REFUSED


def _terminate(_signal: int, _frame: FrameType | None) -> None:
    """Leave as if by an exception, so that every half-written folder is removed."""
    raise SystemExit(EXIT_TERMINATED)
