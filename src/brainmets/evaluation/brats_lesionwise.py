"""The official BraTS-METS scorers of 2023 and of 2024/25, written from their definitions.

2023 (github.com/rachitsaluja/BraTS-2023-Metrics): WT, TC, ET. Reference lesions are grown
together, predicted ones are plain 26-connected components. Reference lesions of at most 2 mm³ are
left out afterwards; false positives of any size count. A miss or a false positive has Dice 0 and
HD95 374 mm. The case score is the sum over its lesions divided by the number of reference lesions
plus false positives.

2024/25 (github.com/rachitsaluja/BraTS-2024-Metrics, `metrics_MET.py`): RC besides. Predicted
lesions are grown together too, and those of at most 2 voxels are removed. ET lesions that touch one
non-enhancing component count as one. NSD at 0.5 and 1.0 mm besides; the HD95 penalty is the
image's diagonal counted in voxels.

Differences we chose: NSD lacks the 1e-8 that the 2024 code adds to its denominator, so that
perfect is exactly 1. The 2024 code leaves open whether RC lesions are merged by other tissues;
here they are only grown together.

Neighbours grown together: reference lesions that touch after growing by one voxel count as one
lesion. A predicted lesion belongs to every reference lesion whose grown form it touches, and a
reference lesion is compared with all that belong to it together.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from brainmets.evaluation.borders import border_distances
from brainmets.evaluation.boxes import component_boxes, joint_box, labelled_box
from brainmets.evaluation.label_schemes import region_mask
from brainmets.evaluation.matching import label_components
from brainmets.evaluation.overlap import dice
from brainmets.evaluation.scores import EmptyPolicy, LesionScore, RegionScore, empty_scores
from brainmets.evaluation.surfaces import surface_distances

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

__all__ = ["PENALTY_2023_MM", "score_brats_2023", "score_brats_2024"]

PENALTY_2023_MM = 374.0
"""HD95 of a miss or a false positive: about the diagonal of the 240×240×155 atlas grid."""

SMALLEST_REFERENCE_MM3 = 2.0
"""Reference lesions up to this volume are not scored."""

SMALLEST_PREDICTION_VOXELS = 2
"""Predicted lesions up to this size are removed (2024/25)."""

NETC_LABELS, ET_LABELS = (1,), (3,)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Pair:
    """Reference and prediction of one region, cropped, with their lesions numbered."""

    reference: NDArray[np.integer]
    prediction: NDArray[np.integer]
    spacing_mm: tuple[float, ...]
    image_voxels: int

    @property
    def voxel_mm3(self) -> float:
        """Volume of a voxel: always the header's, never taken as 1 mm³."""
        return float(np.prod(self.spacing_mm))


def score_brats_2023(
    reference: NDArray[np.unsignedinteger],
    prediction: NDArray[np.unsignedinteger],
    spacing_mm: tuple[float, float, float],
    regions: Mapping[str, tuple[int, ...]],
    *,
    empty: EmptyPolicy = "official",
) -> tuple[RegionScore, ...]:
    """Score one case by the 2023 definition; arrays (i, j, k) of labels on one grid."""
    voxels = reference.size
    near = _around_both(reference, prediction)
    reference = np.ascontiguousarray(reference[near])
    prediction = np.ascontiguousarray(prediction[near])
    scores: list[RegionScore] = []
    for name, labels in regions.items():
        if name == "rc":  # the resection cavity came in 2024
            continue
        pair = _Pair(
            reference=combine_by_growth(region_mask(reference, labels))[0],
            prediction=label_components(region_mask(prediction, labels))[0],
            spacing_mm=spacing_mm,
            image_voxels=voxels,
        )
        scores.append(
            _score_region(name, pair, penalty_mm=PENALTY_2023_MM, tolerances_mm=(), empty=empty)
        )
    return tuple(scores)


def score_brats_2024(
    reference: NDArray[np.unsignedinteger],
    prediction: NDArray[np.unsignedinteger],
    spacing_mm: tuple[float, float, float],
    regions: Mapping[str, tuple[int, ...]],
    *,
    empty: EmptyPolicy = "official",
) -> tuple[RegionScore, ...]:
    """Score one case by the 2024/25 definition; arrays (i, j, k) of labels on one grid."""
    penalty = float(np.sqrt(np.square(reference.shape).sum()))
    voxels = reference.size
    near = _around_both(reference, prediction)
    reference = np.ascontiguousarray(reference[near])
    prediction = np.ascontiguousarray(prediction[near])
    scores: list[RegionScore] = []
    for name, labels in regions.items():
        pair = _Pair(
            reference=_lesions_2024(reference, labels),
            prediction=_lesions_2024(prediction, labels, without_specks=True),
            spacing_mm=spacing_mm,
            image_voxels=voxels,
        )
        scores.append(
            _score_region(name, pair, penalty_mm=penalty, tolerances_mm=(0.5, 1.0), empty=empty)
        )
    return tuple(scores)


def _around_both(
    reference: NDArray[np.unsignedinteger], prediction: NDArray[np.unsignedinteger]
) -> tuple[slice, ...]:
    """Return the box of everything labelled and the two voxels that growing can reach."""
    return tuple(
        slice(max(side.start - 2, 0), side.stop + 2) for side in labelled_box(reference, prediction)
    )


def _lesions_2024(
    labels: NDArray[np.unsignedinteger], wanted: tuple[int, ...], *, without_specks: bool = False
) -> NDArray[np.integer]:
    """Number the lesions of one side, grown together; enhancing ones also joined by their core."""
    clean = _without_specks if without_specks else np.asarray
    lesions = clean(combine_by_growth(region_mask(labels, wanted))[0])
    if wanted == ET_LABELS:
        lesions = _joined_by_core(
            lesions, clean(combine_by_growth(region_mask(labels, NETC_LABELS))[0])
        )
    return lesions


def _without_specks(lesions: NDArray[np.integer]) -> NDArray[np.integer]:
    sizes = np.bincount(lesions.ravel())
    return np.where(sizes[lesions] > SMALLEST_PREDICTION_VOXELS, lesions, 0)


def _joined_by_core(lesions: NDArray[np.integer], core: NDArray[np.integer]) -> NDArray[np.integer]:
    """Give the enhancing lesions that touch one non-enhancing component one number.

    A lesion that touches several goes with the lowest-numbered.
    """
    touch = touching_pairs(lesions, core).partners
    offset = int(lesions.max(initial=0)) + 1
    new = np.arange(offset, dtype=np.int64)
    for lesion, cores in touch.items():
        if cores:
            new[lesion] = offset + min(cores)
    renamed = new[lesions]
    numbers = np.unique(renamed[renamed > 0])
    return np.where(renamed > 0, np.searchsorted(numbers, renamed) + 1, 0)


def _score_region(
    name: str,
    pair: _Pair,
    *,
    penalty_mm: float,
    tolerances_mm: tuple[float, ...],
    empty: EmptyPolicy,
) -> RegionScore:
    touch = touching_pairs(pair.reference, pair.prediction)
    boxes = (component_boxes(pair.reference), component_boxes(pair.prediction))
    found = [
        _score_lesion(
            _close_up(pair, boxes, number, partners),
            number,
            partners,
            penalty_mm=penalty_mm,
            tolerances_mm=tolerances_mm,
        )
        for number, partners in sorted(touch.partners.items())
    ]
    sizes = np.bincount(pair.prediction.ravel())
    claimed = touch.claimed()
    alarms = [
        LesionScore(
            outcome="false positive",
            reference_id=0,
            prediction_ids=(number,),
            voxels=int(sizes[number]),
            volume_mm3=float(sizes[number]) * pair.voxel_mm3,
            predicted_volume_mm3=float(sizes[number]) * pair.voxel_mm3,
            dice=0.0,
            nsd=0.0,
            hd95_mm=penalty_mm,
        )
        for number in range(1, len(sizes))
        if sizes[number] and number not in claimed
    ]
    counted = [row for row, _ in found if row.counted]
    total = len(counted) + len(alarms)
    best, nearest = empty_scores(empty, official="perfect", penalty_mm=penalty_mm)
    values = {
        "tp": float(sum(row.outcome == "found" for row in counted)),
        "fn": float(sum(row.outcome == "missed" for row in counted)),
        "fp": float(len(alarms)),
        "lesionwise_dice": sum(row.dice for row in counted) / total if total else best,
        "lesionwise_hd95": (sum(row.hd95_mm for row in counted) + penalty_mm * len(alarms)) / total
        if total
        else nearest,
    }
    for position, tolerance in enumerate(tolerances_mm):
        shares = sum(nsd[position] for row, nsd in found if row.counted)
        values[f"lesionwise_nsd_{tolerance}mm"] = shares / total if total else best
    values |= _whole_region(pair, best, nearest, penalty_mm, tolerances_mm)
    rows = (*(row for row, _ in found), *alarms)
    return RegionScore(region=name, values=values, lesions=rows)


def _close_up(
    pair: _Pair,
    boxes: tuple[dict[int, tuple[slice, ...]], dict[int, tuple[slice, ...]]],
    number: int,
    partners: tuple[int, ...],
) -> _Pair:
    """Return the pair cropped to one reference lesion and its partners."""
    box = joint_box(boxes[0][number], *(boxes[1][partner] for partner in partners))
    return replace(pair, reference=pair.reference[box], prediction=pair.prediction[box])


def _score_lesion(
    pair: _Pair,
    number: int,
    partners: tuple[int, ...],
    *,
    penalty_mm: float,
    tolerances_mm: tuple[float, ...],
) -> tuple[LesionScore, tuple[float, ...]]:
    """Score one reference lesion against all its partners; also its NSD at each tolerance."""
    reference, prediction = pair.reference == number, np.isin(pair.prediction, partners)
    voxels = int(np.count_nonzero(reference))
    volume = voxels * pair.voxel_mm3
    nsd = tuple(0.0 for _ in tolerances_mm)
    hd95 = penalty_mm
    if partners:
        hd95 = surface_distances(reference, prediction, pair.spacing_mm).hd95_mm
        if tolerances_mm:
            borders = border_distances(reference, prediction, pair.spacing_mm)
            nsd = tuple(borders.nsd(tolerance) for tolerance in tolerances_mm)
    row = LesionScore(
        outcome="found" if partners else "missed",
        reference_id=number,
        prediction_ids=partners,
        voxels=voxels,
        volume_mm3=volume,
        predicted_volume_mm3=int(np.count_nonzero(prediction)) * pair.voxel_mm3,
        dice=dice(reference, prediction),
        nsd=nsd[-1] if nsd else float("nan"),
        hd95_mm=hd95,
        counted=volume > SMALLEST_REFERENCE_MM3,
    )
    return row, nsd


def _whole_region(
    pair: _Pair,
    best: float,
    nearest: float,
    penalty_mm: float,
    tolerances_mm: tuple[float, ...],
) -> dict[str, float]:
    """Return what the scorers call the legacy scores: the region without regard to lesions."""
    reference, prediction = pair.reference > 0, pair.prediction > 0
    some, other = bool(reference.any()), bool(prediction.any())
    shared = int(np.count_nonzero(reference & prediction))
    n_reference, n_prediction = int(reference.sum()), int(prediction.sum())
    background = pair.image_voxels - n_reference
    values = {
        "dice": dice(reference, prediction, both_empty=best),
        "hd95": penalty_mm if some or other else nearest,
        "sensitivity": shared / n_reference if some else float(not other),
        "specificity": (background - (n_prediction - shared)) / background if background else 0.0,
        "reference_volume_mm3": n_reference * pair.voxel_mm3,
        "prediction_volume_mm3": n_prediction * pair.voxel_mm3,
    }
    for tolerance in tolerances_mm:
        values[f"nsd_{tolerance}mm"] = 0.0 if some or other else best
    if some and other:
        values["hd95"] = surface_distances(reference, prediction, pair.spacing_mm).hd95_mm
        if tolerances_mm:
            borders = border_distances(reference, prediction, pair.spacing_mm)
            for tolerance in tolerances_mm:
                values[f"nsd_{tolerance}mm"] = borders.nsd(tolerance)
    return values


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Touch:
    """Which predicted lesions each reference lesion touches when grown."""

    partners: dict[int, tuple[int, ...]]

    def claimed(self) -> set[int]:
        """Return the predicted lesions that some reference lesion touches."""
        return {one for ids in self.partners.values() for one in ids}


def grow(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the mask with every face and edge neighbour added (18-connected, one step)."""
    out = mask.copy()
    for first in range(mask.ndim):
        out |= _spread(mask, first)
        for second in range(first + 1, mask.ndim):
            out |= _spread(_spread(mask, first), second)
    return out


def _spread(mask: NDArray[np.bool_], axis: int) -> NDArray[np.bool_]:
    """Return the voxels one step along the axis, either way, and the mask itself."""
    out = mask.copy()
    first, last = [slice(None)] * mask.ndim, [slice(None)] * mask.ndim
    first[axis], last[axis] = slice(None, -1), slice(1, None)
    out[tuple(last)] |= mask[tuple(first)]
    out[tuple(first)] |= mask[tuple(last)]
    return out


def combine_by_growth(mask: NDArray[np.bool_]) -> tuple[NDArray[np.integer], int]:
    """Number the lesions 1…n, those that touch after growing under one number."""
    grown, count = label_components(grow(mask))
    return np.where(mask, grown, 0), count


def touching_pairs(reference: NDArray[np.integer], prediction: NDArray[np.integer]) -> Touch:
    """Find, for each reference lesion, the predicted lesions its grown form touches."""
    partners: dict[int, tuple[int, ...]] = {}
    for number, box in component_boxes(reference, margin=1).items():
        near = np.unique(prediction[box][grow(reference[box] == number)])
        partners[number] = tuple(int(n) for n in near if n)
    return Touch(partners=partners)
