"""The free-response curve: sensitivity against false positives per scan (Chakraborty 1989)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from brainmets.evaluation.strata import DIAMETER_BINS, StratumScore, score_strata

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from brainmets.evaluation.scores import CaseScore, LesionScore
    from brainmets.evaluation.strata import SizeBin

__all__ = ["FROC_RATES", "Froc", "at_confidence", "by_size", "confidence_at_rate", "froc_curve"]

FROC_RATES = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""False positives per scan at which sensitivity is read off (the LUNA16 convention)."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Froc:
    """Points of the curve, from the strictest threshold to the loosest."""

    thresholds: NDArray[np.float64]
    false_alarms_per_scan: NDArray[np.float64]
    sensitivity: NDArray[np.float64]

    def sensitivity_at(self, rate: float) -> float:
        """Return the best sensitivity at no more than `rate` false positives per scan."""
        allowed = self.sensitivity[self.false_alarms_per_scan <= rate]
        return float(allowed.max()) if len(allowed) else 0.0

    @property
    def score(self) -> float:
        """The mean sensitivity over `FROC_RATES`."""
        return float(np.mean([self.sensitivity_at(rate) for rate in FROC_RATES]))


def froc_curve(lesions: Sequence[LesionScore], scans: int) -> Froc | None:
    """Raise the threshold over the lesions' confidences; None if any found one has none.

    Lesions are those drawn at the mask's own threshold: at a stricter one a lesion is dropped
    whole, never split or shrunk. So the curve ends at the mask's operating point.
    """
    seen = [row for row in lesions if row.outcome != "missed"]
    if not seen or any(np.isnan(row.confidence) for row in seen):
        return None
    references = sum(row.outcome != "false positive" for row in lesions)
    confidence = np.array([row.confidence for row in seen])
    real = np.array([row.outcome == "found" for row in seen])
    order = np.argsort(-confidence, kind="stable")
    confidence, real = confidence[order], real[order]
    last_of_ties = np.concatenate((np.diff(confidence) != 0, [True]))
    hits = np.cumsum(real)[last_of_ties]
    alarms = np.cumsum(~real)[last_of_ties]
    return Froc(
        thresholds=confidence[last_of_ties],
        false_alarms_per_scan=alarms / scans,
        sensitivity=hits / references if references else np.full(len(hits), np.nan),
    )


Grouped = tuple[list[list["LesionScore"]], list[int]]


def at_confidence(lesions: Sequence[LesionScore], least: float) -> list[LesionScore]:
    """Return the lesions as they are when detections below a confidence are dropped whole.

    A lesion found with less is missed, a false positive with less is none.
    """
    kept: list[LesionScore] = []
    for row in lesions:
        if row.outcome == "missed" or row.confidence >= least:
            kept.append(row)
        elif row.outcome == "found":
            kept.append(
                replace(
                    row, outcome="missed", prediction_ids=(), dice=0.0, predicted_volume_mm3=0.0
                )
            )
    return kept


def confidence_at_rate(cases: Sequence[CaseScore], rate: float) -> float:
    """Return the lowest confidence with at most `rate` false positives a scan; 1.01 if none has."""
    curve = froc_curve([row for case in cases for row in case.regions[0].lesions], len(cases))
    if curve is None:
        return 1.01
    allowed = np.flatnonzero(curve.false_alarms_per_scan <= rate)
    return float(curve.thresholds[allowed[-1]]) if len(allowed) else 1.01


def by_size(
    cases: Sequence[CaseScore],
    *,
    least: float = 0.0,
    bins: Sequence[SizeBin] = DIAMETER_BINS,
    size: Callable[[LesionScore], float] = lambda row: row.diameter_mm,
    seed: int = 0,
) -> tuple[StratumScore, ...]:
    """Return detection by size at a confidence, "all" first, with intervals by patient."""
    rows, scans = lesions_by_patient(cases, least=least)
    return score_strata(rows, scans, bins, size, seed=seed)


def lesions_by_patient(cases: Sequence[CaseScore], *, least: float = 0.0) -> Grouped:
    """Return each patient's lesions at a confidence, and how many scans each patient has."""
    rows: dict[str, list[LesionScore]] = {}
    scans: dict[str, int] = {}
    for case in cases:
        lesions = case.regions[0].lesions
        kept = at_confidence(lesions, least) if least > 0 else list(lesions)
        rows.setdefault(case.patient, []).extend(kept)
        scans[case.patient] = scans.get(case.patient, 0) + 1
    return list(rows.values()), list(scans.values())
