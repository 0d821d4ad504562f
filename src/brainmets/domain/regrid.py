"""The same voxels under another order of axes: what NIfTI and DICOM do to one scan."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from brainmets.domain.errors import GridMismatch
from brainmets.domain.volume import Mask

if TYPE_CHECKING:
    from brainmets.domain.geometry import Geometry

__all__ = ["turned_onto"]

WITHIN_VOXELS = 0.1
"""How far a voxel's centre may lie from its place on the other grid, in its smallest width.

Converters keep positions to 32-bit floats and average the slice step; nobody's voxel moves more.
"""


def turned_onto(mask: Mask, grid: Geometry) -> Mask:
    """Return the mask with its axes reordered and flipped to lie on `grid`, voxel on voxel.

    Nothing is interpolated: every voxel of the one grid is a voxel of the other.

    Raises:
        GridMismatch: the grids hold different voxels.
    """
    own = mask.geometry
    step = np.linalg.inv(grid.affine[:3, :3]) @ own.affine[:3, :3]
    turn = np.rint(step)
    fault = GridMismatch(
        f"a mask of {_told(own)} for images of {_told(grid)}, or in another place",
        expected="the same voxels, in whatever order of axes",
        remedy="give the images that were segmented, or segment these",
    )
    if not np.array_equal(np.abs(turn).sum(axis=0), (1, 1, 1)) or not turn.any(axis=1).all():
        raise fault
    order = np.abs(turn).argmax(axis=1)  # the mask's axis behind each of the grid's
    axes = (int(order[0]), int(order[1]), int(order[2]))
    flips = (turn[0, axes[0]] < 0, turn[1, axes[1]] < 0, turn[2, axes[2]] < 0)
    turned = own.permuted(axes, flips)
    tolerance_mm = WITHIN_VOXELS * min(grid.spacing_mm)
    if not turned.same_grid(grid, tolerance_mm=tolerance_mm):
        raise fault
    flipped = tuple(axis for axis, flip in enumerate(flips) if flip)
    return Mask(data=np.flip(mask.data.transpose(axes), flipped), geometry=grid)


def _told(grid: Geometry) -> str:
    size = " × ".join(map(str, grid.shape))
    spacing = " × ".join(f"{mm:.3g}" for mm in grid.spacing_mm)
    return f"{size} voxels at {spacing} mm"
