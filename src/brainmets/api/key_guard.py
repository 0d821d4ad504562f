"""Guessing keys takes long: after ten wrong ones, an address has one tried a second."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from dataclasses import dataclass, field

from brainmets.domain.errors import TooManyTries

__all__ = ["KeyGuard"]

FREE_TRIES = 10
EVERY_S = 1.0
FORGOTTEN_AFTER_S = 300.0
"""Since the last wrong key of an address."""

MOST_WAITING = 5
"""Requests of one address that wait for their turn; more are refused at once."""

MOST_ADDRESSES = 10_000


@dataclass(slots=True)
class _Address:
    wrong: int = 0
    last: float = 0.0
    waiting: int = 0
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    good: set[str] = field(default_factory=set[str])
    """Digests of keys that were right from here: their holders wait for nobody's guesses."""


class KeyGuard:
    """What is remembered of the addresses that sent wrong keys."""

    def __init__(self) -> None:
        """Remember nothing yet."""
        self._addresses: OrderedDict[str, _Address] = OrderedDict()

    async def admit(self, address: str, digest: str) -> None:
        """Wait until this address may try the key with this digest.

        Raises:
            TooManyTries: too many of its requests wait already.
        """
        known = self._addresses.get(address)
        if known is None or known.wrong < FREE_TRIES or digest in known.good:
            return
        if time.monotonic() - known.last > FORGOTTEN_AFTER_S:
            known.wrong = 0
            return
        if known.waiting >= MOST_WAITING:
            raise TooManyTries(
                "too many requests with wrong keys from one address",
                expected=f"one every {EVERY_S:.0f} s after the first {FREE_TRIES}",
                remedy="wait, then send the right key",
            )
        known.waiting += 1
        try:
            async with known.turn:
                await asyncio.sleep(EVERY_S)
        finally:
            known.waiting -= 1

    def note(self, address: str, digest: str, *, right: bool) -> None:
        """Note how a try ended."""
        known = self._addresses.setdefault(address, _Address())
        self._addresses.move_to_end(address)
        if right:
            known.good.add(digest)
        else:
            known.wrong += 1
            known.last = time.monotonic()
        while len(self._addresses) > MOST_ADDRESSES:
            self._addresses.popitem(last=False)
