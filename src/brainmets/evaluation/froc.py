"""The free-response curve: sensitivity against false positives per scan (Chakraborty 1989)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from brainmets.evaluation.scores import LesionScore

__all__ = ["FROC_RATES", "Froc", "froc_curve"]

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
