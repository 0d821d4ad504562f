"""The official BraTS-METS 2026 scorer, written from its definition.

Lesions are the 26-connected components of each region, paired one to one for the largest summed
Dice among those that overlap. Pairs are compared by Dice, by NSD at a tolerance of the *smallest
voxel spacing* (so it differs from scanner to scanner), and by HD95 in mm over border voxels. The
whole-region figures (`global_bin_…`) count in voxels, NSD there at half a voxel. Definition:
github.com/BrainLesion/panoptica under the configuration `mets` of the package `BraTS_evaluation`.

The challenge's table splits lesions at 27 mm³: `lesionwise_…` are means over the large reference
lesions and all false positives (a miss or a false positive has Dice and NSD 0 and HD95 373 mm), NaN
without a large reference lesion; `small_instance_…` count detections at Dice ≥ 0.2. The sample
table that the organisers published was made by an earlier edition without those penalties and
with the package's defaults (20 mm³, Dice 0.1); its figures are here under `lesionwise_…_found`,
given `split=PACKAGE_SPLIT`.

A fault of the official scorer that we reproduce by default: it reads images through SimpleITK,
whose arrays run k, j, i, and hands panoptica the spacing in the order i, j, k. On grids whose
slices are thicker than their pixels, distances are therefore measured with wrong axes stretched.
`spacing_order="header"` measures them right.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from brainmets.evaluation.borders import border_distances
from brainmets.evaluation.boxes import component_boxes, joint_box, labelled_box
from brainmets.evaluation.label_schemes import region_mask
from brainmets.evaluation.matching import Matching, match_lesions
from brainmets.evaluation.scores import EmptyPolicy, LesionScore, RegionScore, empty_scores

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

__all__ = [
    "OFFICIAL_SPLIT",
    "PACKAGE_SPLIT",
    "PENALTY_2026_MM",
    "SizeSplit",
    "SpacingOrder",
    "score_brats_2026",
]

PENALTY_2026_MM = 373.0
"""HD95 of a miss or a false positive: "diameter of the cube in SRI space"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeSplit:
    """Where small lesions end, and the Dice from which one counts as detected."""

    large_from_mm3: float
    found_from_dice: float


OFFICIAL_SPLIT = SizeSplit(large_from_mm3=27.0, found_from_dice=0.2)
"""What the challenge's rules say."""

PACKAGE_SPLIT = SizeSplit(large_from_mm3=20.0, found_from_dice=0.1)
"""What the package does unless told."""

SpacingOrder = Literal["official", "header"]

MATCHED_ABOVE_DICE = 1e-6

HALF_A_VOXEL = 0.5


def score_brats_2026(
    reference: NDArray[np.unsignedinteger],
    prediction: NDArray[np.unsignedinteger],
    spacing_mm: tuple[float, float, float],
    regions: Mapping[str, tuple[int, ...]],
    *,
    empty: EmptyPolicy = "official",
    split: SizeSplit = OFFICIAL_SPLIT,
    spacing_order: SpacingOrder = "official",
) -> tuple[RegionScore, ...]:
    """Score one case by the 2026 definition; arrays (i, j, k) of labels as stored in the file."""
    if spacing_order == "official":
        spacing_mm = (spacing_mm[2], spacing_mm[1], spacing_mm[0])
    if (
        reference.flags.f_contiguous and not reference.flags.c_contiguous
    ):  # as NIfTI is in memory: turn views, not voxels
        reference, prediction = reference.T, prediction.T
        spacing_mm = (spacing_mm[2], spacing_mm[1], spacing_mm[0])
    near = labelled_box(reference, prediction)
    reference = np.ascontiguousarray(reference[near])
    prediction = np.ascontiguousarray(prediction[near])
    return tuple(
        _score_region(
            name,
            region_mask(reference, labels),
            region_mask(prediction, labels),
            spacing_mm,
            empty=empty,
            split=split,
        )
        for name, labels in regions.items()
    )


def _score_region(
    name: str,
    reference: NDArray[np.bool_],
    prediction: NDArray[np.bool_],
    spacing_mm: tuple[float, ...],
    *,
    empty: EmptyPolicy,
    split: SizeSplit,
) -> RegionScore:
    matching = match_lesions(reference, prediction, min_dice=MATCHED_ABOVE_DICE)
    lesions = _score_lesions(matching, spacing_mm)
    best, nearest = empty_scores(empty, official="undefined", penalty_mm=PENALTY_2026_MM)
    nothing = matching.n_reference + matching.n_prediction == 0
    values = _panoptica_values(matching, lesions, best=best, nearest=nearest)
    values |= _global_values(reference, prediction, best=best, nearest=nearest)
    values |= _challenge_values(lesions, split, best=best, nearest=nearest, nothing=nothing)
    return RegionScore(region=name, values=values, lesions=lesions)


def _score_lesions(matching: Matching, spacing_mm: tuple[float, ...]) -> tuple[LesionScore, ...]:
    """Return the pairs, then the misses, then the false positives."""
    boxes_r = component_boxes(matching.reference_labels)
    boxes_p = component_boxes(matching.prediction_labels)
    size_r = np.bincount(matching.reference_labels.ravel())
    size_p = np.bincount(matching.prediction_labels.ravel())
    voxel_mm3 = float(np.prod(spacing_mm))
    rows: list[LesionScore] = []
    for (one, other), dice in zip(matching.pairs, matching.dice, strict=True):
        box = joint_box(boxes_r[one], boxes_p[other])
        borders = border_distances(
            matching.reference_labels[box] == one,
            matching.prediction_labels[box] == other,
            spacing_mm,
        )
        rows.append(
            LesionScore(
                outcome="found",
                reference_id=one,
                prediction_ids=(other,),
                voxels=int(size_r[one]),
                volume_mm3=float(size_r[one]) * voxel_mm3,
                predicted_volume_mm3=float(size_p[other]) * voxel_mm3,
                dice=dice,
                nsd=borders.nsd(min(spacing_mm)),
                hd95_mm=borders.hd95_mm,
            )
        )
    rows += [_unpaired(n, size_r, voxel_mm3, false_alarm=False) for n in matching.missed]
    rows += [_unpaired(n, size_p, voxel_mm3, false_alarm=True) for n in matching.false_alarms]
    return tuple(rows)


def _unpaired(
    number: int, sizes: NDArray[np.intp], voxel_mm3: float, *, false_alarm: bool
) -> LesionScore:
    volume = float(sizes[number]) * voxel_mm3
    return LesionScore(
        outcome="false positive" if false_alarm else "missed",
        reference_id=0 if false_alarm else number,
        prediction_ids=(number,) if false_alarm else (),
        voxels=int(sizes[number]),
        volume_mm3=volume,
        predicted_volume_mm3=volume if false_alarm else 0.0,
        dice=0.0,
        nsd=0.0,
        hd95_mm=PENALTY_2026_MM,
    )


def _panoptica_values(
    matching: Matching, lesions: tuple[LesionScore, ...], *, best: float, nearest: float
) -> dict[str, float]:
    """Return the figures under panoptica's names, its edge cases as the METS configuration sets."""
    found = [row for row in lesions if row.outcome == "found"]
    tp, fp, fn = len(found), len(matching.false_alarms), len(matching.missed)
    nothing = tp + fp + fn == 0
    quality = best if nothing else 2 * tp / (2 * tp + fp + fn)
    without = {"dsc": 0.0, "nsd": 0.0, "hd95": float("inf")}
    if nothing:
        without = {"dsc": best, "nsd": best, "hd95": nearest}
    values = {
        "n_ref_instances": float(matching.n_reference),
        "n_pred_instances": float(matching.n_prediction),
        "tp": float(tp),
        "fp": float(fp),
        "fn": float(fn),
        "prec": _ratio(tp, tp + fp),
        "rec": _ratio(tp, tp + fn),
        "rq": quality,
    }
    for name, scores in _by_metric(found).items():
        mean, spread = _mean_and_spread(scores)
        values[f"sq_{name}"] = mean if found else without[name]
        values[f"sq_{name}_std"] = spread
    values["pq_dsc"] = values["sq_dsc"] * quality
    values["instance_voxel_count_ref"] = _mean_and_spread([float(row.voxels) for row in found])[0]
    values["instance_volume_ref"] = _mean_and_spread([row.volume_mm3 for row in found])[0]
    return values


def _global_values(
    reference: NDArray[np.bool_], prediction: NDArray[np.bool_], *, best: float, nearest: float
) -> dict[str, float]:
    """Return the whole region's figures, distances counted in voxels."""
    n_reference, n_prediction = int(reference.sum()), int(prediction.sum())
    total = n_reference + n_prediction
    dsc, nsd, hd95 = best, best, nearest
    if total:
        dsc = 2.0 * int(np.count_nonzero(reference & prediction)) / total
        nsd, hd95 = 0.0, float("inf")
    if n_reference and n_prediction:
        borders = border_distances(reference, prediction, (1.0,) * reference.ndim)
        nsd, hd95 = borders.nsd(HALF_A_VOXEL), borders.hd95_mm
    return {
        "global_bin_volume_pred": float(n_prediction),
        "global_bin_volume_ref": float(n_reference),
        "global_bin_dsc": dsc,
        "global_bin_hd95": hd95,
        "global_bin_nsd": nsd,
    }


def _challenge_values(
    lesions: tuple[LesionScore, ...],
    split: SizeSplit,
    *,
    best: float,
    nearest: float,
    nothing: bool,
) -> dict[str, float]:
    """Return the figures of the challenge's table."""
    alarms = [row for row in lesions if row.outcome == "false positive"]
    real = [row for row in lesions if row.outcome != "false positive"]
    large = [row for row in real if row.volume_mm3 >= split.large_from_mm3]
    small = [row for row in real if row.volume_mm3 < split.large_from_mm3]
    values: dict[str, float] = {}
    best, nearest = (best, nearest) if nothing else (float("nan"), float("nan"))
    missing: dict[str, float] = {"dsc": best, "nsd": best, "hd95": nearest}
    found = _by_metric([row for row in large if row.outcome == "found"])
    for name, scores in _by_metric([*large, *alarms]).items():
        mean, spread = _mean_and_spread(scores)
        values[f"lesionwise_{name}_mean"] = mean if large else missing[name]
        values[f"lesionwise_{name}_std"] = spread if large else float("nan")
        mean, spread = _mean_and_spread(found[name])
        values[f"lesionwise_{name}_mean_found"] = mean
        values[f"lesionwise_{name}_std_found"] = spread
    for size, rows in (("large", large), ("small", small)):
        values |= _detection(size, rows, len(alarms), split.found_from_dice)
    return values


def _detection(
    size: str, rows: list[LesionScore], fp: int, found_from_dice: float
) -> dict[str, float]:
    """Count detections of one size class; the false positives of any size count in both."""
    names = ("tp", "fp", "fn", "prec", "rec", "f1")
    if not rows:
        return {f"{size}_instance_{name}": float("nan") for name in names}
    tp = sum(row.dice >= found_from_dice for row in rows)
    fn = len(rows) - tp
    figures = (tp, fp, fn, tp / max(tp + fp, 1), tp / (tp + fn), 2 * tp / (2 * tp + fp + fn))
    return {
        f"{size}_instance_{name}": float(figure)
        for name, figure in zip(names, figures, strict=True)
    }


def _by_metric(rows: list[LesionScore]) -> dict[str, list[float]]:
    return {
        "dsc": [row.dice for row in rows],
        "nsd": [row.nsd for row in rows],
        "hd95": [row.hd95_mm for row in rows],
    }


def _mean_and_spread(values: list[float]) -> tuple[float, float]:
    """Return mean and population standard deviation; NaN of nothing."""
    if not values:
        return float("nan"), float("nan")
    return float(np.mean(values)), float(np.std(values))


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
