"""Lesion counts by size: who was found, who was missed, what was invented."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from brainmets.evaluation.statistics import Interval, ratio_interval

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from brainmets.evaluation.scores import LesionScore

__all__ = [
    "DIAMETER_BINS",
    "VOLUME_BINS",
    "SizeBin",
    "StratumScore",
    "score_strata",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeBin:
    """A half-open range of sizes, `low` included."""

    name: str
    low: float
    high: float

    def holds(self, size: float) -> bool:
        """Say whether the size falls into this bin."""
        return self.low <= size < self.high


DIAMETER_BINS = (
    SizeBin(name="<3 mm", low=0.0, high=3.0),
    SizeBin(name="3–5 mm", low=3.0, high=5.0),
    SizeBin(name="5–10 mm", low=5.0, high=10.0),
    SizeBin(name="≥10 mm", low=10.0, high=float("inf")),
)
"""By longest diameter in space."""

VOLUME_BINS = (
    SizeBin(name="<14 mm³", low=0.0, high=14.137),
    SizeBin(name="14–65 mm³", low=14.137, high=65.45),
    SizeBin(name="65–524 mm³", low=65.45, high=523.6),
    SizeBin(name="≥524 mm³", low=523.6, high=float("inf")),
)
"""The volumes of balls of 3, 5 and 10 mm."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StratumScore:
    """Detection within one size range, lesions pooled over all cases, intervals by patient.

    Reference lesions fall into the range by their own size, false positives by theirs.
    """

    name: str
    tp: int
    fn: int
    fp: int
    sensitivity: Interval
    precision: Interval
    f1: Interval
    false_alarms_per_scan: Interval
    dice_of_found: float


def score_strata(
    patients: Sequence[Sequence[LesionScore]],
    scans: Sequence[int],
    bins: Sequence[SizeBin],
    size: Callable[[LesionScore], float],
    *,
    seed: int = 0,
) -> tuple[StratumScore, ...]:
    """Count outcomes by size; `patients` holds each patient's lesions, `scans` how many scans."""
    every = SizeBin(name="all", low=0.0, high=float("inf"))
    return tuple(_score_bin(patients, scans, one, size, seed) for one in (every, *bins))


def _score_bin(
    patients: Sequence[Sequence[LesionScore]],
    scans: Sequence[int],
    one: SizeBin,
    size: Callable[[LesionScore], float],
    seed: int,
) -> StratumScore:
    within = [[row for row in rows if one.holds(size(row))] for rows in patients]
    counts = {
        outcome: np.array([sum(row.outcome == outcome for row in rows) for rows in within], float)
        for outcome in ("found", "missed", "false positive")
    }
    tp, fn, fp = counts["found"], counts["missed"], counts["false positive"]
    found = [row.dice for rows in within for row in rows if row.outcome == "found"]
    return StratumScore(
        name=one.name,
        tp=int(tp.sum()),
        fn=int(fn.sum()),
        fp=int(fp.sum()),
        sensitivity=ratio_interval(tp, tp + fn, seed=seed),
        precision=ratio_interval(tp, tp + fp, seed=seed),
        f1=ratio_interval(2 * tp, 2 * tp + fn + fp, seed=seed),
        false_alarms_per_scan=ratio_interval(fp, np.asarray(scans, float), seed=seed),
        dice_of_found=float(np.mean(found)) if found else float("nan"),
    )
