"""Resampling along voxel axes: averages where it shrinks, interpolates linearly where it grows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["resample_axis", "resample_centres"]


def resample_centres(size: int, spacing: float, target_spacing: float) -> NDArray[np.float64]:
    """Return target sample positions in source voxels, spread evenly about the source's centre.

    The field of view is kept: the first and last target voxel reach over the same distance as
    the source's, to within one target voxel.
    """
    target_size = max(1, round(size * spacing / target_spacing))
    step = target_spacing / spacing
    steps = np.arange(target_size, dtype=np.float64) - (target_size - 1) / 2
    return (size - 1) / 2 + steps * step


def resample_axis(
    data: NDArray[np.float32], axis: int, centres: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Sample `data` along one axis at evenly spaced `centres` (in source voxels).

    Each target voxel is the average of the linear interpolant over its own width when that is
    wider than a source voxel (no aliasing), else the interpolated value. Beyond the borders the
    last value holds. The weights of every target sum to one.
    """
    size = data.shape[axis]
    if len(centres) == size and np.allclose(centres, np.arange(size), atol=1e-6):
        return data
    step = float(centres[1] - centres[0]) if len(centres) > 1 else 1.0
    taps = max(1, round(step))  # points averaged across one target voxel
    offsets = (np.arange(taps) - (taps - 1) / 2) * (step / taps)
    moved = np.moveaxis(data, axis, 0)
    total = np.zeros((len(centres), *moved.shape[1:]), dtype=np.float32)
    for offset in offsets:
        position = np.clip(centres + offset, 0.0, size - 1.0)
        low = np.minimum(position.astype(np.int64), max(size - 2, 0))
        weight = (position - low).astype(np.float32)
        weight = weight.reshape(-1, *([1] * (moved.ndim - 1)))
        high = np.minimum(low + 1, size - 1)
        total += moved[low] * (1.0 - weight)
        total += moved[high] * weight
    total /= taps
    return np.ascontiguousarray(np.moveaxis(total, 0, axis))
