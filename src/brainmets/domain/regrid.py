"""The same voxels under another order of axes: what NIfTI and DICOM do to one scan."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from brainmets.domain.errors import GridMismatch
from brainmets.domain.volume import Mask, Volume

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from brainmets.domain.geometry import Geometry

__all__ = ["difference_of", "turned_onto", "volume_turned_onto"]

WITHIN_VOXELS = 0.1
"""How far a voxel's centre may lie from its place on the other grid, in its smallest width.

Converters keep positions to 32-bit floats and average the slice step; nobody's voxel moves more.
"""


def turned_onto(
    mask: Mask,
    grid: Geometry,
    *,
    expected: str = "the same voxels, in any order of axes",
    remedy: str = "give the images that were segmented, or segment these",
) -> Mask:
    """Return the mask with its axes reordered and flipped to be on `grid`, voxel on voxel.

    Nothing is interpolated: every voxel of the one grid is a voxel of the other.

    Args:
        mask: labels on their own grid.
        grid: where they are wanted.
        expected: what the error says was expected.
        remedy: what the error says to do.

    Raises:
        GridMismatch: the grids hold different voxels.
    """
    data = _turned(mask.data, mask.geometry, grid)
    if data is None:
        raise GridMismatch(
            f"a mask of {difference_of(mask.geometry, grid)}", expected=expected, remedy=remedy
        )
    return Mask(data=data, geometry=grid)


def volume_turned_onto(volume: Volume, grid: Geometry) -> Volume:
    """Return an image with its axes reordered and flipped to be on `grid`, voxel on voxel.

    Raises:
        GridMismatch: the grids hold different voxels.
    """
    data = _turned(volume.data, volume.geometry, grid)
    if data is None:
        raise GridMismatch(
            f"an image of {difference_of(volume.geometry, grid)}",
            expected="the same voxels, in any order of axes",
            remedy="give the image that belongs to these masks",
        )
    return Volume(data=data, geometry=grid)


def difference_of(own: Geometry, grid: Geometry) -> str:
    """Describe two grids and how far apart they lie, for an error text."""
    text = f"{_described(own)} for {_described(grid)}"
    if own.shape != grid.shape:
        return text
    return f"{text}, whose corners lie up to {own.farthest_corner_mm(grid):.3g} mm apart"


def _turned(data: NDArray[Any], own: Geometry, grid: Geometry) -> NDArray[Any] | None:
    step = np.linalg.inv(grid.affine[:3, :3]) @ own.affine[:3, :3]
    turn = np.rint(step)
    if not np.array_equal(np.abs(turn).sum(axis=0), (1, 1, 1)) or not turn.any(axis=1).all():
        return None
    order = np.abs(turn).argmax(axis=1)  # the mask's axis behind each of the grid's
    axes = (int(order[0]), int(order[1]), int(order[2]))
    flips = (turn[0, axes[0]] < 0, turn[1, axes[1]] < 0, turn[2, axes[2]] < 0)
    turned = own.permuted(axes, flips)
    if not turned.same_grid(grid, tolerance_mm=WITHIN_VOXELS * min(grid.spacing_mm)):
        return None
    flipped = tuple(axis for axis, flip in enumerate(flips) if flip)
    return np.flip(data.transpose(axes), flipped)


def _described(grid: Geometry) -> str:
    size = " × ".join(map(str, grid.shape))
    spacing = " × ".join(f"{mm:.3g}" for mm in grid.spacing_mm)
    return f"{size} voxels at {spacing} mm ({grid.axis_codes})"
