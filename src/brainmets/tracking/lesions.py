"""A lesion followed over time: what was seen of it in each scan, and what that is called."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

__all__ = ["STATES", "Sighting", "State", "TrackedLesion", "share_of_change"]

State = Literal[
    "absent",
    "first",
    "new",
    "growing",
    "stable",
    "shrinking",
    "gone",
    "returned",
    "merged",
    "uncertain",
    "partly imaged",
    "not imaged",
]
"""What a lesion is in one scan.

absent      not there yet, although its place was imaged
first       in the first scan that shows its place
new         there, where an earlier scan showed its place without it
growing     longest diameter well above its smallest so far (`Rules.progression`, `change_mm`)
stable      neither growing nor shrinking
shrinking   longest diameter well below its first (`Rules.response`, `change_mm`)
gone        no longer there, although its place was imaged
returned    there again after it was gone
merged      grown together with a larger followed lesion, under whose number both are measured
uncertain   there, but not surely new: a speck next to another lesion, or its place was suspicious
            in an earlier scan's probability
partly imaged  cut off where a scan ends or holds no image, so that sizes do not compare
not imaged  its place lies outside this scan, or where it holds no image
"""

STATES: tuple[State, ...] = get_args(State)

SEEN = frozenset[State](
    {"first", "new", "growing", "stable", "shrinking", "returned", "uncertain", "partly imaged"}
)


def share_of_change(now_mm: float | None, then_mm: float | None) -> float | None:
    """Return by what share a length has changed; None where one is unknown or was nothing."""
    return None if now_mm is None or not then_mm else now_mm / then_mm - 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """A followed lesion in one scan.

    Sizes are 0 where it is absent, gone or merged and None where it was not imaged. Of a lesion
    in several parts volumes and diameters are added (RECIST 1.1), the diameters up to the
    parts' common extent; `across_mm` is the largest part's. `parts` are its ids in that
    scan's own mask. `into` is the number of the lesion it has merged into. `whole` is False
    where this scan, or the one it was last seen in, shows only part of it. `first_mm` and
    `smallest_mm` are the diameters it is compared with, of a lesion that others have merged
    into the sum of all; None where there is nothing to compare with. `notes` are clauses for
    a reader.
    """

    state: State
    diameter_mm: float | None = 0.0
    across_mm: float | None = 0.0
    volume_mm3: float | None = 0.0
    parts: tuple[int, ...] = ()
    into: int | None = None
    whole: bool = True
    first_mm: float | None = None
    smallest_mm: float | None = None
    notes: tuple[str, ...] = ()

    @property
    def seen(self) -> bool:
        """Whether it has a size of its own here."""
        return self.state in SEEN

    @property
    def change_from_first(self) -> float | None:
        """Change of the diameter as a share: +0.25 is a quarter more."""
        return share_of_change(self.diameter_mm, self.first_mm)

    @property
    def change_from_smallest(self) -> float | None:
        """The same against the smallest diameter before."""
        return share_of_change(self.diameter_mm, self.smallest_mm)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackedLesion:
    """A lesion under one number in all scans, with a sighting for each.

    `target` says whether its diameter counts in the RANO-BM sum. `place_ras_mm` is its centre
    where it was first seen, in the first scan's RAS+ mm.
    """

    id: int
    target: bool
    place_ras_mm: tuple[float, float, float]
    sightings: tuple[Sighting, ...]

    @property
    def latest(self) -> Sighting:
        """What the last scan says."""
        return self.sightings[-1]
