"""Arrays that never travel without their geometry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from brainmets.domain.errors import GridMismatch

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from brainmets.domain.geometry import Geometry

__all__ = ["Mask", "Volume"]


def _check_shape(shape: tuple[int, ...], geometry: Geometry) -> None:
    if shape != geometry.shape:
        raise GridMismatch(
            f"an array of shape {shape} for a grid of {geometry.shape}",
            expected="equal shapes",
            remedy="give the array together with the geometry it was read with",
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Volume:
    """A grey-valued image (i, j, k) in float32 on its grid; also a probability map.

    Raises:
        GridMismatch: array and geometry differ in shape.
    """

    data: NDArray[np.float32]
    geometry: Geometry

    def __post_init__(self) -> None:
        """Check the shape and hold float32."""
        _check_shape(self.data.shape, self.geometry)
        object.__setattr__(self, "data", np.asarray(self.data, dtype=np.float32))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Mask:
    """Labels (i, j, k) on their grid: 0 is background, each positive integer a region or lesion.

    Raises:
        GridMismatch: array and geometry differ in shape.
    """

    data: NDArray[np.unsignedinteger]
    geometry: Geometry

    def __post_init__(self) -> None:
        """Check the shape; booleans become uint8."""
        _check_shape(self.data.shape, self.geometry)
        if self.data.dtype.kind != "u":
            object.__setattr__(self, "data", np.asarray(self.data, dtype=np.uint8))

    @property
    def foreground(self) -> NDArray[np.bool_]:
        """Whether each voxel (i, j, k) is labelled."""
        return self.data > 0

    @property
    def volume_mm3(self) -> float:
        """Volume of all labelled voxels in mm³."""
        return float(np.count_nonzero(self.data)) * self.geometry.voxel_volume_mm3
