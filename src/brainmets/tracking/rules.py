"""Every number that decides what a change is called."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["DEFAULT_RULES", "JUST_MM", "Rules", "ball_mm"]

JUST_MM = 1e-6
"""Diameters this near a limit have reached it: sums of floats are not exact."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The rules of RANO-BM (Lin et al. 2015, Lancet Oncol 16:e270) and ours for single lesions.

    Of RANO-BM: `measurable_mm` and `across_mm` (longest diameter and the one at right angles to
    it) make a lesion of `slices` slices a possible target, of which the largest `targets` are
    followed. `response` below the first sum is PR; `progression` above the smallest sum is PD
    where at least one target has gained `progression_mm`. CR and PR are confirmed after
    `confirm_days`. Trials that admit small lesions take 5 mm for `measurable_mm`.

    Ours: lesions are the same where `overlap` of the smaller is in the other, or, with no such
    partner, where their borders are at most `gap_mm` apart. A single lesion grows and shrinks
    by the shares of RANO-BM if that is also at least `change_mm`: less is within what two
    measurements of one lesion differ by. Growth of the volume by `volume` and of the ball of
    that volume by `ball_mm` is noted where the diameter does not show it. Of several parts
    those below `crumb` of the largest one's volume add nothing to the diameter. A lesion
    next to one that is found, below the volume of a ball of `speck_mm`, is not called new, nor
    is one whose place had `suspicious` of an earlier scan's threshold as its probability. A
    place counts as imaged where `imaged` of it lay in the scan, a size as whole where `whole`
    of it did.
    """

    measurable_mm: float = 10.0
    across_mm: float = 5.0
    slices: int = 2
    targets: int = 5
    response: float = 0.30
    progression: float = 0.20
    progression_mm: float = 5.0
    confirm_days: int = 28
    overlap: float = 0.25
    gap_mm: float = 2.0
    change_mm: float = 2.0
    volume: float = 0.4
    ball_mm: float = 1.0
    crumb: float = 0.1
    speck_mm: float = 5.0
    suspicious: float = 0.5
    imaged: float = 0.5
    whole: float = 0.9

    def grew(self, now_mm: float, smallest_mm: float, at_least_mm: float) -> bool:
        """Say whether a diameter or a sum has risen by the share of PD and so many mm."""
        return (
            now_mm >= (1.0 + self.progression) * smallest_mm - JUST_MM
            and now_mm - smallest_mm >= at_least_mm - JUST_MM
        )

    def shrank(self, now_mm: float, first_mm: float, at_least_mm: float) -> bool:
        """Say whether a diameter or a sum has fallen by the share of PR and so many mm."""
        return (
            now_mm <= (1.0 - self.response) * first_mm + JUST_MM
            and first_mm - now_mm >= at_least_mm - JUST_MM
        )

    def swelled(self, now_mm3: float, smallest_mm3: float) -> bool:
        """Say whether a volume has risen by more than measuring twice differs by."""
        gained_mm = ball_mm(now_mm3) - ball_mm(smallest_mm3)
        return now_mm3 >= (1.0 + self.volume) * smallest_mm3 and gained_mm >= self.ball_mm

    def is_speck(self, volume_mm3: float) -> bool:
        """Say whether a lesion is too small to be called new next to another."""
        return ball_mm(volume_mm3) < self.speck_mm


def ball_mm(volume_mm3: float) -> float:
    """Return the diameter of the ball of a volume."""
    return (6.0 * volume_mm3 / np.pi) ** (1.0 / 3.0)


DEFAULT_RULES = Rules()
