"""Being asked to stop while a step is half done."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from brainmets.training.ranks import process_count

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["StopRequest", "held_back"]

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """The signal that is held back, if one has come."""

    def __init__(self) -> None:
        self._came: int | None = None
        self._handlers: dict[int, Any] = {}

    def __bool__(self) -> bool:
        """Whether one has come."""
        return self._came is not None

    def hold(self) -> None:
        """Hold signals back from here on; a second one goes through at once."""
        self._handlers = {number: signal.signal(number, self._note) for number in SIGNALS}

    def release(self) -> None:
        """Let signals through again."""
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers = {}

    def obey(self) -> None:
        """Let the one that came do what it would have done."""
        self.release()
        if self._came is not None:
            signal.raise_signal(self._came)

    def _note(self, number: int, _frame: object) -> None:
        if self:
            self.obey()
        self._came = number


@contextmanager
def held_back() -> Generator[StopRequest, None, None]:
    """Hold Ctrl-C and the scheduler's SIGTERM back until the state is one to go on from.

    Of several processes none waits: they would wait for each other.
    """
    request = StopRequest()
    if process_count() > 1 or threading.current_thread() is not threading.main_thread():
        yield request
        return
    request.hold()
    try:
        yield request
    finally:
        request.release()
