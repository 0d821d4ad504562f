"""The scorers by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from brainmets.domain.regrid import turned_onto, volume_turned_onto
from brainmets.evaluation.brats_2026 import OFFICIAL_SPLIT, SpacingOrder, score_brats_2026
from brainmets.evaluation.brats_lesionwise import score_brats_2023, score_brats_2024
from brainmets.evaluation.label_schemes import REGION_SCHEMES, RegionScheme
from brainmets.evaluation.own import score_brainmets
from brainmets.evaluation.scores import CaseScore, EmptyPolicy, RegionScore, ScorerName

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from brainmets.domain import Mask, Volume

__all__ = ["SCORERS", "Scorer", "default_regions", "score_case"]


class Scorer(Protocol):
    """Scores one case from two label arrays (i, j, k) on one grid, spacing in mm."""

    def __call__(
        self,
        reference: NDArray[np.unsignedinteger],
        prediction: NDArray[np.unsignedinteger],
        spacing_mm: tuple[float, float, float],
        regions: Mapping[str, tuple[int, ...]],
        *,
        empty: EmptyPolicy = "official",
    ) -> tuple[RegionScore, ...]:
        """Return one score a region."""
        ...


SCORERS: Mapping[ScorerName, Scorer] = {
    "brats-2023": score_brats_2023,
    "brats-2024": score_brats_2024,
    "brats-2026": score_brats_2026,
    "brainmets": score_brainmets,
}


def default_regions(scorer: ScorerName) -> RegionScheme:
    """Return the regions a scorer is made for: BraTS labels, or any label for `brainmets`."""
    return "binary" if scorer == "brainmets" else "brats"


def score_case(
    reference: Mask,
    prediction: Mask,
    *,
    case_id: str,
    scorer: ScorerName,
    patient: str | None = None,
    regions: RegionScheme | None = None,
    empty: EmptyPolicy = "official",
    probability: Volume | None = None,
    spacing_order: SpacingOrder = "official",
) -> CaseScore:
    """Score one prediction against its reference.

    Args:
        reference: The expert's labels.
        prediction: The model's labels of the same voxels.
        case_id: Names the scan in tables.
        scorer: Whose definition to follow.
        patient: Groups the scans of one person; the case id by default.
        regions: What the labels mean; the scorer's own by default.
        empty: What a region is worth that is empty on both sides.
        probability: The model's probabilities, for the FROC curve (brainmets only).
        spacing_order: `official` repeats the 2026 package's mistake with thick slices.

    A prediction (or probability) stored with its axes in another order or direction is turned.

    Raises:
        GridMismatch: the masks, or the probabilities, are not on the same voxels.
    """
    if not reference.geometry.same_grid(prediction.geometry):
        prediction = turned_onto(
            prediction,
            reference.geometry,
            expected="the prediction on the reference's voxels, within a tenth of a voxel",
            remedy="write the prediction on the input's own grid, as brainmets segment does",
        )
    if probability is not None:
        probability = volume_turned_onto(probability, reference.geometry)
    spacing = reference.geometry.spacing_mm
    named = REGION_SCHEMES[regions or default_regions(scorer)]
    labels = (reference.data, prediction.data)
    if scorer == "brats-2026":
        scores = score_brats_2026(
            *labels,
            spacing,
            named,
            empty=empty,
            split=OFFICIAL_SPLIT,
            spacing_order=spacing_order,
        )
    elif scorer == "brainmets":
        scores = score_brainmets(
            *labels,
            spacing,
            named,
            empty=empty,
            probability=None if probability is None else probability.data,
            slice_axis=reference.geometry.slice_axis,
        )
    else:
        scores = SCORERS[scorer](*labels, spacing, named, empty=empty)
    return CaseScore(case_id=case_id, patient=patient or case_id, scorer=scorer, regions=scores)
