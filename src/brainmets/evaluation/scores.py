"""What every scorer returns, and what an empty mask is worth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "CaseScore",
    "EmptyPolicy",
    "LesionOutcome",
    "LesionScore",
    "RegionScore",
    "ScorerName",
    "empty_scores",
]

ScorerName = Literal["brats-2023", "brats-2024", "brats-2026", "brainmets"]
"""The three official BraTS-METS scorers and `brainmets`."""

EmptyPolicy = Literal["official", "perfect", "undefined", "worst"]
"""What a region scores that is empty in the reference *and* in the prediction.

- `official`: what the scorer's own definition says: `perfect` for brats-2023, brats-2024 and
  brainmets, `undefined` for brats-2026.
- `perfect`: overlap and surface scores 1, distance 0.
- `undefined`: NaN, left out of every mean.
- `worst`: scores 0, distance the scorer's penalty.

A region that is empty on one side only is never excused: its scores are 0 and its distance is the
scorer's penalty.
"""

LesionOutcome = Literal["found", "missed", "false positive"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LesionScore:
    """One reference lesion, or one predicted lesion that no reference lesion accounts for.

    Attributes:
        outcome: `found` and `missed` are reference lesions, `false positive` predicted ones.
        reference_id: Component number in the reference; 0 for a false positive.
        prediction_ids: Component numbers in the prediction; empty for a miss.
        voxels: Of the reference lesion; of the predicted one for a false positive.
        volume_mm3: Of the same lesion.
        predicted_volume_mm3: Of its predicted partner or partners; 0 for a miss.
        diameter_mm: Longest in space, NaN where the scorer does not measure it.
        equivalent_mm: Diameter of the ball of its volume, in a single slice of the disc of its
            area; NaN where not measured.
        sphericity: 1 for a ball, less for anything else; NaN where not measured.
        solidity: Its share of its convex hull, 1 where nothing is indented; NaN where not measured.
        dice: With its partners; 0 for a miss or a false positive.
        nsd: Normalised surface Dice by the scorer's definition.
        hd95_mm: By the scorer's definition, its penalty included.
        confidence: Peak probability of the predicted lesion; NaN without a probability map.
        counted: Whether it entered the case's score; too small a lesion may not.
    """

    outcome: LesionOutcome
    reference_id: int
    prediction_ids: tuple[int, ...]
    voxels: int
    volume_mm3: float
    predicted_volume_mm3: float
    dice: float
    nsd: float
    hd95_mm: float
    diameter_mm: float = float("nan")
    equivalent_mm: float = float("nan")
    sphericity: float = float("nan")
    solidity: float = float("nan")
    confidence: float = float("nan")
    counted: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionScore:
    """One region of one case: its figures by name and its lesions."""

    region: str
    values: Mapping[str, float]
    lesions: tuple[LesionScore, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseScore:
    """One case by one scorer. `patient` groups the scans of one person."""

    case_id: str
    patient: str
    scorer: ScorerName
    regions: tuple[RegionScore, ...]


def empty_scores(
    policy: EmptyPolicy, *, official: EmptyPolicy, penalty_mm: float
) -> tuple[float, float]:
    """Return (overlap score, distance in mm) of a region that is empty on both sides."""
    chosen = official if policy == "official" else policy
    if chosen == "perfect":
        return 1.0, 0.0
    if chosen == "worst":
        return 0.0, penalty_mm
    return float("nan"), float("nan")
