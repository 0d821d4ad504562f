"""An image brought onto another grid, moved as a registration says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from brainmets.domain import Geometry, RigidMotion

__all__ = ["resampled"]


def resampled(
    data: NDArray[np.generic], own: Geometry, motion: RigidMotion, grid: Geometry, *, order: int
) -> NDArray[np.generic]:
    """Sample an array of the grid `own` at the voxels of `grid`.

    Args:
        data: (i, j, k) on `own`.
        own: where it is.
        motion: maps RAS+ mm of `grid` to RAS+ mm of `own`.
        grid: where it is wanted.
        order: 0 takes the nearest voxel, 1 interpolates linearly.

    Returns:
        (i, j, k) on `grid`; what is outside `own` has the lowest value, or 0 with `order` 0.
    """
    from scipy import ndimage

    matrix = np.linalg.inv(own.affine) @ motion.matrix @ grid.affine
    return ndimage.affine_transform(
        data,
        matrix[:3, :3],
        matrix[:3, 3],  # pyright: ignore[reportArgumentType] - the stub knows one number only
        output_shape=grid.shape,
        order=order,
        cval=float(data.min()) if order else 0,
    )
