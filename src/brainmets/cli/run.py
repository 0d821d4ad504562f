"""Running a command: every failure becomes one line and an exit code."""

from __future__ import annotations

import atexit
import json
import os
import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

from brainmets.domain.errors import BrainmetsError, Unforeseen, explained
from brainmets.domain.extras import missing_package

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
    stop = _Stop()
    signal.signal(signal.SIGINT, stop.interrupt)
    signal.signal(signal.SIGTERM, stop.terminate)
    code = _run(arguments, stop)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)  # all is done: from here on it ends at once
    if stop.code is not None:
        _leave(code)
    sys.exit(code)


class _Stop:
    """Ends the command as if by an exception, so that every half-written folder is removed.

    It remembers the signal: some libraries turn the exception into one of their own, as
    pybind11 does while a module is being imported, and the cause would be lost.
    """

    def __init__(self) -> None:
        self.code: int | None = None

    def interrupt(self, _signal: int, _frame: FrameType | None) -> None:
        self.code = EXIT_INTERRUPTED
        raise KeyboardInterrupt

    def terminate(self, _signal: int, _frame: FrameType | None) -> None:
        self.code = EXIT_TERMINATED
        raise SystemExit(EXIT_TERMINATED)


def _leave(code: int) -> NoReturn:
    """End now: a network that was interrupted can hang while the interpreter is taken down."""
    # there child processes are ended
    atexit._run_exitfuncs()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def _run(arguments: Sequence[str], stop: _Stop) -> int:
    try:
        return _invoke(arguments)
    except KeyboardInterrupt:
        return _stopped(EXIT_INTERRUPTED)
    except SystemExit:
        if stop.code is None:
            raise
        return _stopped(stop.code)
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if stop.code is not None:
            return _stopped(stop.code)
        if os.environ.get(DEBUG_VARIABLE):
            raise
        return _report_error(_explained(error), as_json="--json" in arguments)


def _stopped(code: int) -> int:
    sys.stderr.write("interrupted; nothing half-written was left behind\n")
    return code


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
    if isinstance(error, ModuleNotFoundError) and (told := missing_package(error)):
        return told
    return explained(error, if_memory="close other programs or set --memory")


def _report_error(error: BrainmetsError, *, as_json: bool) -> int:
    if as_json:
        document = {"error": error.parts()}
        sys.stdout.write(json.dumps(document, ensure_ascii=False) + "\n")
    else:
        sys.stderr.write(f"{error}\n")
    return EXIT_INTERNAL if isinstance(error, Unforeseen) else EXIT_REFUSED
