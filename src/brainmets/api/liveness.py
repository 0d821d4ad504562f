"""Which of the supervisor's threads still make progress."""

from __future__ import annotations

import threading
import time

__all__ = ["STALLED_AFTER_S", "Liveness"]

STALLED_AFTER_S = 60.0
"""No single step of a thread takes so long: each of its waits has a shorter bound."""


class Liveness:
    """When each thread last finished a step."""

    def __init__(self) -> None:
        """Watch nobody yet."""
        self._noted: dict[str, float] = {}

    def note(self) -> None:
        """Note that the calling thread has made a step."""
        self._noted[threading.current_thread().name] = time.monotonic()

    def leave(self) -> None:
        """Stop watching the calling thread: it ends."""
        self._noted.pop(threading.current_thread().name, None)

    def stalled(self, *, after_s: float | None = None) -> list[str]:
        """Name the threads that have made no step for so long, by default `STALLED_AFTER_S`."""
        after_s = STALLED_AFTER_S if after_s is None else after_s
        now = time.monotonic()
        return sorted(n for n, noted in list(self._noted.items()) if now - noted > after_s)
