"""How much one caller may send: what comes too fast waits, too much in an hour is refused."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass

__all__ = ["Quota"]

MOST_CALLERS = 1000
"""Without a list of callers anybody may use any AE title: the oldest are forgotten."""

BURST_S = 10.0
"""So many seconds of the rate may come at once."""

HOUR_S = 3600.0


@dataclass(slots=True)
class _Account:
    images: float
    bytes: float
    seen: float


class Quota:
    """Two token buckets for each caller; thread-safe."""

    def __init__(self, *, images_per_minute: int, bytes_per_hour: int) -> None:
        """Start with full buckets."""
        self._rate = images_per_minute / 60.0
        self._bytes = float(bytes_per_hour)
        self._accounts: OrderedDict[str, _Account] = OrderedDict()
        self._lock = threading.Lock()

    def charge(self, caller: str, size: int) -> float | None:
        """Charge an image of `size` bytes; return the seconds to wait, None where it is refused."""
        with self._lock:
            now = time.monotonic()
            account = self._accounts.pop(caller, None)
            account = account or _Account(self._rate * BURST_S, self._bytes, now)
            self._accounts[caller] = account
            while len(self._accounts) > MOST_CALLERS:
                self._accounts.popitem(last=False)
            passed, account.seen = now - account.seen, now
            account.images = min(account.images + passed * self._rate, self._rate * BURST_S)
            account.bytes = min(account.bytes + passed * self._bytes / HOUR_S, self._bytes)
            if account.bytes < size:
                return None
            account.bytes -= size
            account.images -= 1.0
            return max(0.0, -account.images / self._rate)
