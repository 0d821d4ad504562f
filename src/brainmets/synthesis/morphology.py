"""The few shape operations that synthesis needs, in one place and with exact types."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["closed", "components", "distance_mm", "filled", "grown", "sample_at"]


def distance_mm(
    mask: NDArray[np.bool_], spacing_mm: tuple[float, float, float] = (1.0, 1.0, 1.0)
) -> NDArray[np.float32]:
    """Distance from every voxel of `mask` to the nearest voxel outside it; 0 outside."""
    from scipy import ndimage

    found = ndimage.distance_transform_edt(mask, sampling=spacing_mm)
    return np.asarray(found, dtype=np.float32)


def components(mask: NDArray[np.bool_]) -> tuple[NDArray[np.int32], int]:
    """Number the 26-connected parts of `mask`; return the numbers and how many there are."""
    from scipy import ndimage

    numbers = np.empty(mask.shape, dtype=np.int32)
    count = ndimage.label(mask, np.ones((3, 3, 3)), output=numbers)
    return numbers, int(count)  # pyright: ignore[reportArgumentType]


def filled(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Fill what is enclosed."""
    from scipy import ndimage

    return np.asarray(ndimage.binary_fill_holes(mask), dtype=bool)


def grown(mask: NDArray[np.bool_], voxels: int) -> NDArray[np.bool_]:
    """Dilate by a cube."""
    from scipy import ndimage

    found = ndimage.binary_dilation(mask, np.ones((3, 3, 3)), iterations=voxels)
    return np.asarray(found, dtype=bool)


def closed(mask: NDArray[np.bool_], voxels: int) -> NDArray[np.bool_]:
    """Close gaps of up to twice `voxels`."""
    from scipy import ndimage

    return np.asarray(
        ndimage.binary_closing(mask, np.ones((3, 3, 3)), iterations=voxels), dtype=bool
    )


def sample_at(
    grid: NDArray[np.floating], at: NDArray[np.floating], *, order: int = 1
) -> NDArray[np.float32]:
    """Interpolate `grid` at voxel positions (3, …), edges repeated; splines are not prefiltered."""
    from scipy import ndimage

    found = ndimage.map_coordinates(grid, at, order=order, mode="nearest", prefilter=False)
    return np.asarray(found, dtype=np.float32)
