"""One scan of a follow-up: its lesions, when it was, and where it is in the first scan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from brainmets.domain.diameters import Ruler
from brainmets.domain.errors import GridMismatch

if TYPE_CHECKING:
    from collections.abc import Collection

    from numpy.typing import NDArray

    from brainmets.domain import Lesion, Mask, RigidMotion

__all__ = ["Footprint", "TimePoint"]

Box = tuple[tuple[int, int, int], tuple[int, int, int]]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Footprint:
    """Where lesions lie: their voxels' centres (n, 3) in the first scan's RAS+ mm."""

    points_mm: NDArray[np.float64]
    voxel_mm3: float
    half_mm: float
    """Half a voxel's mean width: from a centre to the border it stands for."""

    @property
    def volume_mm3(self) -> float:
        """Volume of the voxels."""
        return len(self.points_mm) * self.voxel_mm3

    def gap_mm(self, other: Footprint) -> float:
        """Return how far apart the borders of two footprints are, 0 where they touch."""
        from scipy.spatial import KDTree

        nearest, _ = KDTree(other.points_mm).query(self.points_mm)
        return max(0.0, float(np.min(nearest)) - self.half_mm - other.half_mm)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TimePoint:
    """A scan's lesions on its own grid.

    Attributes:
        mask: holds the ids of `lesions`.
        lesions: as measured on this scan's own grid.
        motion: maps RAS+ mm of the first scan to this one's.
        days: since the first scan; None where no dates are known.
        field: first voxel and the one after the last that hold image; None for the whole grid.
        unseen: voxels inside the field that hold no image either, such as a wedge of zeros.
        probability: of a lesion, on the mask's grid, where it was stored.
        suspicious: probability from which a place without a lesion was already in doubt.

    Raises:
        GridMismatch: a lesion is not in the mask, or the mask has another.
    """

    mask: Mask
    lesions: tuple[Lesion, ...]
    motion: RigidMotion
    days: int | None = None
    field: Box | None = None
    unseen: NDArray[np.bool_] | None = None
    probability: NDArray[np.float32] | None = None
    suspicious: float = 1.0

    def __post_init__(self) -> None:
        """Check that mask and lesions tell of the same."""
        drawn = set(np.unique(self.mask.data).tolist()) - {0}
        told = {lesion.id for lesion in self.lesions}
        if drawn != told or len(told) != len(self.lesions):
            raise GridMismatch(
                f"a mask of {len(drawn)} lesions for a table of {len(self.lesions)}",
                expected="the same lesions in both",
                remedy="segment the scan again",
            )

    def footprints(self) -> dict[int, Footprint]:
        """Return where each lesion lies, by id."""
        geometry = self.mask.geometry
        voxels = np.argwhere(self.mask.data)
        ids = self.mask.data[tuple(voxels.T)]
        points = self.motion.inverse.apply(geometry.to_ras_mm(voxels))
        half = float(np.mean(geometry.spacing_mm)) / 2
        return {
            lesion.id: Footprint(
                points_mm=points[ids == lesion.id],
                voxel_mm3=geometry.voxel_volume_mm3,
                half_mm=half,
            )
            for lesion in self.lesions
        }

    def labels_at(self, points_mm: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the lesion id at each of the first scan's places (n, 3), 0 outside."""
        inside, voxels = self._voxels(points_mm)
        labels = np.zeros(len(points_mm), dtype=np.int64)
        labels[inside] = self.mask.data[tuple(voxels[inside].T)]
        return labels

    def imaged_share(self, points_mm: NDArray[np.float64]) -> float:
        """Return how much of the first scan's places (n, 3) this scan shows, 0…1."""
        inside, voxels = self._voxels(points_mm)
        if self.field is not None:
            low, high = self.field
            inside &= (voxels >= low).all(axis=1) & (voxels < high).all(axis=1)
        if self.unseen is not None:
            inside[inside] = ~self.unseen[tuple(voxels[inside].T)]
        return float(np.mean(inside)) if len(inside) else 0.0

    def highest_probability(self, points_mm: NDArray[np.float64]) -> float | None:
        """Return the highest probability at the first scan's places; None where none is stored."""
        if self.probability is None:
            return None
        inside, voxels = self._voxels(points_mm)
        values = self.probability[tuple(voxels[inside].T)]
        return float(values.max(initial=0.0))

    def extent_mm(self, ids: Collection[int]) -> float:
        """Return the longest diameter of several lesions together, seen across the slices."""
        geometry = self.mask.geometry
        voxels = np.argwhere(np.isin(self.mask.data, list(ids)))
        if not len(voxels):
            return 0.0
        voxels[:, geometry.slice_axis] = 0
        ruler = Ruler(geometry, slice_axis=geometry.slice_axis)
        return ruler.measure(np.unique(voxels, axis=0)).in_plane

    def slices_of(self, lesion_id: int) -> int:
        """Return on how many acquired slices a lesion is."""
        axis = self.mask.geometry.slice_axis
        others = tuple(other for other in range(3) if other != axis)
        return int(np.count_nonzero((self.mask.data == lesion_id).any(axis=others)))

    def _voxels(
        self, points_mm: NDArray[np.float64]
    ) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        """Return which places are in the grid, and the voxel nearest to each."""
        geometry = self.mask.geometry
        at = np.rint(geometry.to_voxel(self.motion.apply(points_mm))).astype(np.int64)
        return np.logical_and.reduce((at >= 0) & (at < geometry.shape), axis=1), at
