"""Detection at another confidence than the one a mask was drawn at."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from brainmets.evaluation.froc import froc_curve
from brainmets.evaluation.strata import DIAMETER_BINS, StratumScore, score_strata

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from brainmets.evaluation.scores import CaseScore, LesionScore
    from brainmets.evaluation.strata import SizeBin

__all__ = ["at_confidence", "by_size", "confidence_at_rate", "lesions_by_patient"]

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
