"""The coarse structures of one head on a grid of their own, as the anatomy network found them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from brainmets.domain.geometry import Geometry

__all__ = ["LEAST_BRAIN_ML", "StructureMap"]

LEAST_BRAIN_ML = 300.0
"""A brain of fewer millilitres is not one, or hardly any of it is in the picture."""


@dataclass(frozen=True, eq=False)
class StructureMap:
    """Structures and brain mask of a head.

    `structures` (X, Y, Z) holds the number of a `Structure` a voxel, `brain` the brain with its
    ventricles and narrow sulci; `geometry` says where the voxels lie, in RAS mm.
    """

    structures: NDArray[np.uint8]
    brain: NDArray[np.bool_]
    geometry: Geometry

    @property
    def brain_ml(self) -> float:
        """Volume of the brain mask."""
        return float(np.count_nonzero(self.brain)) * self.geometry.voxel_volume_mm3 / 1000

    @property
    def has_brain(self) -> bool:
        """Whether there is enough brain for the mask to be of use."""
        return self.brain_ml >= LEAST_BRAIN_ML

    @cached_property
    def from_brain_mm(self) -> NDArray[np.float32]:
        """Distance of every voxel to the brain."""
        from scipy import ndimage

        if not self.brain.any():
            return np.full(self.brain.shape, np.inf, dtype=np.float32)
        away = ndimage.distance_transform_edt(~self.brain, sampling=self.geometry.spacing_mm)
        return np.asarray(away, dtype=np.float32)

    def distance_mm(self, ras_mm: ArrayLike) -> NDArray[np.float32]:
        """Return how far places (n, 3) in RAS mm lie outside the brain; 0 in it."""
        return self.from_brain_mm[self._voxels(ras_mm)]

    def structure_at(self, ras_mm: ArrayLike) -> NDArray[np.uint8]:
        """Return the `Structure` at places (n, 3) in RAS mm."""
        return self.structures[self._voxels(ras_mm)]

    def _voxels(self, ras_mm: ArrayLike) -> tuple[NDArray[np.int64], ...]:
        at = np.rint(self.geometry.to_voxel(np.reshape(ras_mm, (-1, 3)))).astype(np.int64)
        return tuple(at.clip(0, np.array(self.geometry.shape) - 1).T)
