"""One scan of a follow-up: its lesions, when it was, and where it lies in the first scan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from brainmets.domain.errors import GridMismatch

if TYPE_CHECKING:
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

    Raises:
        GridMismatch: a lesion is not in the mask, or the mask has another.
    """

    mask: Mask
    lesions: tuple[Lesion, ...]
    motion: RigidMotion
    days: int | None = None
    field: Box | None = None

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
        return float(np.mean(inside)) if len(inside) else 0.0

    def slices_of(self, lesion_id: int) -> int:
        """Return on how many acquired slices a lesion is."""
        axis = self.mask.geometry.slice_axis
        others = tuple(other for other in range(3) if other != axis)
        return int(np.count_nonzero((self.mask.data == lesion_id).any(axis=others)))

    def _voxels(
        self, points_mm: NDArray[np.float64]
    ) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        """Return which places lie in the grid, and the voxel nearest to each."""
        geometry = self.mask.geometry
        at = np.rint(geometry.to_voxel(self.motion.apply(points_mm))).astype(np.int64)
        return np.logical_and.reduce((at >= 0) & (at < geometry.shape), axis=1), at
