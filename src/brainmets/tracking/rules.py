"""Every number that decides what a change is called."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DEFAULT_RULES", "JUST_MM", "Rules"]

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

    Ours: lesions are the same where `overlap` of the smaller lies in the other, or, with no such
    partner, where their borders are at most `gap_mm` apart. A single lesion grows and shrinks by
    the shares of RANO-BM if that is also at least `change_mm`: less is within what two
    measurements of one lesion differ by. A place counts as imaged where `imaged` of it lay in
    the scan, a size as whole where `whole` of it did.
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


DEFAULT_RULES = Rules()
