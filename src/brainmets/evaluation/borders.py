"""Distances between the border voxels of two masks, as the BraTS 2026 scorer measures them.

A border voxel belongs to the mask and lacks at least one face neighbour in it; what lies outside
the array counts as background. Every border voxel weighs the same, so on grids that are not
isotropic these figures depend on the slicing; `brainmets.evaluation.surfaces` weighs by area.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from brainmets.evaluation.boxes import bounding_box
from brainmets.evaluation.overlap import check_same_shape

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "BorderDistances",
    "border_distances",
    "border_voxels",
    "nearest_distances",
    "true_voxels",
]

ROBUST_SHARE = 0.95
"""HD95 is the 95th percentile (Hausdorff 1914; robust form of Huttenlocher 1993)."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BorderDistances:
    """From each border voxel of one mask to the nearest of the other, in mm; unordered."""

    from_reference_mm: NDArray[np.float64]
    from_prediction_mm: NDArray[np.float64]

    @property
    def hd95_mm(self) -> float:
        """The 95th percentile of both directions pooled (panoptica's definition)."""
        pooled = np.concatenate((self.from_reference_mm, self.from_prediction_mm))
        return float(np.percentile(pooled, 100 * ROBUST_SHARE))

    def nsd(self, tolerance_mm: float) -> float:
        """The mean over both directions of the share of border within the tolerance."""
        reference = np.count_nonzero(self.from_reference_mm <= tolerance_mm)
        prediction = np.count_nonzero(self.from_prediction_mm <= tolerance_mm)
        shares = (
            reference / len(self.from_reference_mm),
            prediction / len(self.from_prediction_mm),
        )
        return float(sum(shares) / 2.0)


def border_voxels(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Mark the voxels of the mask that lack a face neighbour in it."""
    inside = mask.copy()
    for axis in range(mask.ndim):
        first, last = [slice(None)] * mask.ndim, [slice(None)] * mask.ndim
        first[axis], last[axis] = slice(None, -1), slice(1, None)
        inside[tuple(last)] &= mask[tuple(first)]
        inside[tuple(first)] &= mask[tuple(last)]
        edge = [slice(None)] * mask.ndim
        for index in (0, -1):
            edge[axis] = slice(index, index + 1 or None)
            inside[tuple(edge)] = False
    return mask & ~inside


def true_voxels(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the indices (n, d) of the true voxels; `argwhere`, several times as fast."""
    return np.stack(np.unravel_index(np.flatnonzero(mask), mask.shape), axis=1)


def nearest_distances(
    start: NDArray[np.int64], goal: NDArray[np.int64], spacing_mm: tuple[float, ...]
) -> NDArray[np.float64]:
    """Return the distance in mm from each grid point (n, d) to the nearest goal point (m, d).

    The nearest neighbour is found in a k-d tree and its distance then taken from the whole-number
    offset, so that a distance of one voxel equals the spacing exactly. n log m time, no
    distance maps.
    """
    from scipy.spatial import KDTree

    if not len(start):
        return np.zeros(0)
    if not len(goal):
        return np.full(len(start), np.inf)
    spacing = np.asarray(spacing_mm, dtype=np.float64)
    tree = KDTree(goal * spacing, leafsize=32, balanced_tree=False, compact_nodes=False)
    _, nearest = tree.query(start * spacing)
    offset = (start - goal[nearest]).astype(np.float64) * spacing
    return np.sqrt(np.square(offset).sum(axis=1))


def border_distances(
    reference: NDArray[np.bool_],
    prediction: NDArray[np.bool_],
    spacing_mm: tuple[float, ...],
) -> BorderDistances:
    """Measure both directions between two masks on one grid; infinite towards an empty mask.

    Raises:
        GridMismatch: the shapes differ.
    """
    check_same_shape(reference, prediction)
    box = bounding_box(reference | prediction)
    border_r, border_p = border_voxels(reference[box]), border_voxels(prediction[box])
    return BorderDistances(
        from_reference_mm=_one_way(border_r, border_p, spacing_mm),
        from_prediction_mm=_one_way(border_p, border_r, spacing_mm),
    )


def _one_way(
    start: NDArray[np.bool_], goal: NDArray[np.bool_], spacing_mm: tuple[float, ...]
) -> NDArray[np.float64]:
    apart = true_voxels(start & ~goal)  # shared border voxels are at distance 0
    distances = nearest_distances(apart, true_voxels(goal), spacing_mm)
    shared = int(np.count_nonzero(start)) - len(apart)
    return np.concatenate((distances, np.zeros(shared)))
