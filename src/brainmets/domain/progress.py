"""Progress reports of long work to its caller."""

from __future__ import annotations

from typing import Protocol

__all__ = ["STAGES", "Progress", "silent"]

STAGES = ("read", "prepare", "segment", "measure", "write")
"""The stages of segmenting one case, in order."""


class Progress(Protocol):
    """Called with a stage's name and the share of it that is done, 0…1.

    It may raise to cancel the work: nothing half-written is left behind.
    """

    def __call__(self, stage: str, done: float, /) -> None:
        """Take note."""
        ...


def silent(_stage: str, _done: float, /) -> None:
    """Ignore progress."""
