"""The brainmets scorer: what a reader of a paper wants to know, on the grid's own spacing.

- Dice; NSD at 1 mm and HD95 by surface area (Nikolov et al. 2018).
- Lesions: 26-connected components, paired one to one for the largest summed Dice among those that
  share a voxel. Sensitivity, precision, F1, false positives.
- Volume bias: predicted minus reference volume.
- RANO-BM: how many lesions are measurable, and the sum of the longest diameters of up to five
  targets, in the reference and in the prediction.

A scan without lesions in reference and prediction scores by the empty policy. With lesions on one
side only, Dice and NSD are 0 and HD95 is the image's diagonal in mm; sensitivity is NaN without a
reference lesion, precision NaN without a predicted one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

import numpy as np

from brainmets.evaluation.boxes import component_boxes, joint_box, labelled_box
from brainmets.evaluation.label_schemes import region_mask
from brainmets.evaluation.matching import Matching, match_lesions
from brainmets.evaluation.measure import (
    Extent,
    equivalent_diameter_mm,
    measure_extent,
    solidity,
    sphericity,
)
from brainmets.evaluation.overlap import dice
from brainmets.evaluation.scores import EmptyPolicy, LesionScore, RegionScore, empty_scores
from brainmets.evaluation.surfaces import SurfaceDistances, surface_distances

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

__all__ = ["NSD_TOLERANCE_MM", "RANO_TARGETS", "score_brainmets"]

NSD_TOLERANCE_MM = 1.0

RANO_TARGETS = 5
"""RANO-BM follows up to five target lesions."""


class _Shape(TypedDict):
    equivalent_mm: float
    sphericity: float
    solidity: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ruler:
    """How things are measured on one case's grid; a single slice is measured in 2-D."""

    spacing_mm: tuple[float, float, float]
    slice_axis: int
    single_slice: bool
    diagonal_mm: float

    @property
    def voxel_mm3(self) -> float:
        return float(np.prod(self.spacing_mm))

    def distances(
        self, reference: NDArray[np.bool_], prediction: NDArray[np.bool_]
    ) -> SurfaceDistances:
        if self.single_slice:
            flat = self.spacing_mm[:2]
            return surface_distances(reference[..., 0], prediction[..., 0], flat)
        return surface_distances(reference, prediction, self.spacing_mm)

    def shape(self, lesion: NDArray[np.bool_]) -> _Shape:
        spacing: tuple[float, ...] = self.spacing_mm
        if self.single_slice:
            lesion, spacing = lesion[..., 0], spacing[:2]
        return _Shape(
            equivalent_mm=equivalent_diameter_mm(lesion, spacing),
            sphericity=sphericity(lesion, spacing),
            solidity=solidity(lesion),
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Side:
    """The lesions of one mask: numbered voxels, boxes, sizes, extents."""

    labels: NDArray[np.integer]
    boxes: Mapping[int, tuple[slice, ...]]
    voxels: Mapping[int, int]
    extents: Mapping[int, Extent]

    @classmethod
    def of(cls, labels: NDArray[np.integer], ruler: _Ruler) -> _Side:
        boxes = component_boxes(labels)
        shapes = {number: labels[box] == number for number, box in boxes.items()}
        return cls(
            labels=labels,
            boxes=boxes,
            voxels={number: int(np.count_nonzero(shape)) for number, shape in shapes.items()},
            extents={
                number: measure_extent(shape, ruler.spacing_mm, slice_axis=ruler.slice_axis)
                for number, shape in shapes.items()
            },
        )

    def lesion(self, number: int) -> NDArray[np.bool_]:
        return self.labels[self.boxes[number]] == number


def score_brainmets(
    reference: NDArray[np.unsignedinteger],
    prediction: NDArray[np.unsignedinteger],
    spacing_mm: tuple[float, float, float],
    regions: Mapping[str, tuple[int, ...]],
    *,
    empty: EmptyPolicy = "official",
    probability: NDArray[np.float32] | None = None,
    slice_axis: int = 2,
    surfaces: bool = True,
) -> tuple[RegionScore, ...]:
    """Score one case; arrays (i, j, k) on one grid, spacing in mm.

    With a `probability` map each predicted lesion gets its peak as confidence, which the FROC
    curve needs. `slice_axis` is the axis across slices, for RANO-BM. Without `surfaces` the
    figures that need them are NaN and the rest comes several times faster.
    """
    ruler = _Ruler(
        spacing_mm=spacing_mm,
        slice_axis=slice_axis,
        single_slice=reference.shape[2] == 1,
        diagonal_mm=float(np.linalg.norm(np.multiply(reference.shape, spacing_mm))),
    )
    near = labelled_box(reference, prediction)
    reference = np.ascontiguousarray(reference[near])
    prediction = np.ascontiguousarray(prediction[near])
    confidence = None if probability is None else probability[near]
    return tuple(
        _score_region(
            name,
            region_mask(reference, labels),
            region_mask(prediction, labels),
            ruler,
            empty=empty,
            confidence=confidence,
            surfaces=surfaces,
        )
        for name, labels in regions.items()
    )


def _score_region(
    name: str,
    reference: NDArray[np.bool_],
    prediction: NDArray[np.bool_],
    ruler: _Ruler,
    *,
    empty: EmptyPolicy,
    confidence: NDArray[np.float32] | None,
    surfaces: bool,
) -> RegionScore:
    matching = match_lesions(reference, prediction)
    side_r = _Side.of(matching.reference_labels, ruler)
    side_p = _Side.of(matching.prediction_labels, ruler)
    best, nearest = empty_scores(empty, official="perfect", penalty_mm=ruler.diagonal_mm)
    tp, fn, fp = len(matching.found), len(matching.missed), len(matching.false_alarms)
    volume_r = sum(side_r.voxels.values()) * ruler.voxel_mm3
    volume_p = sum(side_p.voxels.values()) * ruler.voxel_mm3
    error = volume_p - volume_r
    values = {
        "dice": dice(reference, prediction, both_empty=best),
        **_surface_values(reference, prediction, ruler, (best, nearest), wanted=surfaces),
        "n_reference": float(matching.n_reference),
        "n_prediction": float(matching.n_prediction),
        "tp": float(tp),
        "fn": float(fn),
        "fp": float(fp),
        "sensitivity": matching.sensitivity,
        "precision": matching.precision,
        "f1": 2 * tp / (2 * tp + fn + fp) if tp + fn + fp else best,
        "reference_volume_mm3": volume_r,
        "prediction_volume_mm3": volume_p,
        "volume_error_mm3": error,
        "volume_error_percent": 100.0 * error / volume_r if volume_r else float("nan"),
        **_rano_values(tuple(side_r.extents.values()), tuple(side_p.extents.values())),
    }
    lesions = _score_lesions(matching, side_r, side_p, ruler, confidence, surfaces=surfaces)
    return RegionScore(region=name, values=values, lesions=lesions)


def _surface_values(
    reference: NDArray[np.bool_],
    prediction: NDArray[np.bool_],
    ruler: _Ruler,
    if_empty: tuple[float, float],
    *,
    wanted: bool,
) -> dict[str, float]:
    if not wanted:
        return {"nsd_1mm": float("nan"), "hd95_mm": float("nan")}
    some, other = bool(reference.any()), bool(prediction.any())
    nsd, hd95 = if_empty
    if some != other:
        nsd, hd95 = 0.0, ruler.diagonal_mm
    elif some:
        distances = ruler.distances(reference, prediction)
        nsd, hd95 = distances.nsd(NSD_TOLERANCE_MM), distances.hd95_mm
    return {"nsd_1mm": nsd, "hd95_mm": hd95}


def _score_lesions(
    matching: Matching,
    side_r: _Side,
    side_p: _Side,
    ruler: _Ruler,
    confidence: NDArray[np.float32] | None,
    *,
    surfaces: bool,
) -> tuple[LesionScore, ...]:
    """Return one row a reference lesion, then one a false positive."""
    partner_of = dict(matching.pairs)
    dice_of = dict(zip(matching.pairs, matching.dice, strict=True))
    rows: list[LesionScore] = []
    for number in (*side_r.boxes, *(-alarm for alarm in matching.false_alarms)):
        own, side = (number, side_r) if number > 0 else (-number, side_p)
        partner = partner_of.get(number, 0)
        seen_as = partner if number > 0 else own
        nsd, hd95 = 0.0, ruler.diagonal_mm
        if not surfaces:
            nsd, hd95 = float("nan"), float("nan")
        elif partner:
            nsd, hd95 = _pair_surfaces(side_r, number, side_p, partner, ruler)
        rows.append(
            LesionScore(
                outcome="false positive" if number < 0 else "found" if partner else "missed",
                reference_id=max(number, 0),
                prediction_ids=(seen_as,) if seen_as else (),
                voxels=side.voxels[own],
                volume_mm3=side.voxels[own] * ruler.voxel_mm3,
                predicted_volume_mm3=side_p.voxels.get(seen_as, 0) * ruler.voxel_mm3,
                dice=dice_of.get((number, partner), 0.0),
                nsd=nsd,
                hd95_mm=hd95,
                diameter_mm=side.extents[own].diameter_mm,
                **ruler.shape(side.lesion(own)),
                confidence=_peak(confidence, side_p, seen_as),
            )
        )
    return tuple(rows)


def _pair_surfaces(
    side_r: _Side, one: int, side_p: _Side, other: int, ruler: _Ruler
) -> tuple[float, float]:
    box = joint_box(side_r.boxes[one], side_p.boxes[other])
    distances = ruler.distances(side_r.labels[box] == one, side_p.labels[box] == other)
    return distances.nsd(NSD_TOLERANCE_MM), distances.hd95_mm


def _peak(confidence: NDArray[np.float32] | None, side: _Side, number: int) -> float:
    if confidence is None or not number:
        return float("nan")
    return float(confidence[side.boxes[number]][side.lesion(number)].max())


def _rano_values(reference: tuple[Extent, ...], prediction: tuple[Extent, ...]) -> dict[str, float]:
    values: dict[str, float] = {}
    for name, extents in (("reference", reference), ("prediction", prediction)):
        targets = sorted((e.in_plane_mm for e in extents if e.measurable), reverse=True)
        values[f"measurable_{name}"] = float(len(targets))
        values[f"target_sum_{name}_mm"] = float(sum(targets[:RANO_TARGETS]))
    both = bool(values["measurable_reference"]), bool(values["measurable_prediction"])
    values["measurability_agrees"] = float(both[0] == both[1])
    return values
