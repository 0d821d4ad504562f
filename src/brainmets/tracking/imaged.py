"""Where a grid holds no image: padding at its border, and areas of one value inside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from brainmets.preprocessing.background import sample_places

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["field_of", "unseen_voxels"]

Box = tuple[tuple[int, int, int], tuple[int, int, int]]

LEAST_MM3 = 60.0
"""An area of one value below the volume of a 5 mm ball may be tissue: noise is rounded too."""

SAMPLED = 1_000_000
"""Voxels that the median is taken from."""

RIPPLE = 1e-4
"""Of the range of values: what differs less is of one value."""

BRIGHTEST = 0.5
"""Areas of one value above this share of the image's other voxels are saturated, not empty."""


def field_of(data: NDArray[np.float32]) -> Box:
    """Return the box outside which every plane is of one value: padding, not patient."""
    low: list[int] = []
    high: list[int] = []
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        filled = np.flatnonzero(data.min(axis=others) != data.max(axis=others))
        low.append(int(filled[0]) if filled.size else 0)
        high.append(int(filled[-1]) + 1 if filled.size else data.shape[axis])
    return (low[0], low[1], low[2]), (high[0], high[1], high[2])


def unseen_voxels(data: NDArray[np.float32], voxel_mm3: float) -> NDArray[np.bool_]:
    """Mark the voxels of areas of one value: wedges, cropped fields, a removed background.

    A voxel begins an area where its face neighbours all have its value; the area is what touches
    such voxels and has that value. Areas of a value that the border of the grid does not have, and
    that is brighter than half of the other voxels, are saturated tissue and are left out.
    """
    import cc3d
    from scipy import ndimage

    data = _without_ripple(data)
    core = _constant_around(data)
    if not core.any():
        return core
    others = data[~core]
    others = others[sample_places(others.size, SAMPLED)]
    bright = float(np.quantile(others, BRIGHTEST)) if others.size else float("inf")
    on_border = np.concatenate(
        [face[flag] for face, flag in zip(_faces(data), _faces(core), strict=True)]
    )
    border = np.unique(np.append(on_border, data.min()))
    core &= (data <= bright) | np.isin(data, border)
    groups = np.asarray(cc3d.connected_components(core, connectivity=6))
    sizes = np.bincount(groups.ravel())
    enough = sizes * voxel_mm3 >= LEAST_MM3
    enough[0] = False
    core = enough[groups]
    around = np.asarray(ndimage.binary_dilation(core), dtype=np.bool_)
    values = np.unique(data[core])
    return around & np.isin(data, values)


def _without_ripple(data: NDArray[np.float32]) -> NDArray[np.float32]:
    """Round to a small part of the range: interpolation leaves ripples on what was of one value."""
    sample = data.ravel()[sample_places(data.size, SAMPLED)]
    low, high = (float(v) for v in np.percentile(sample, (1.0, 99.0)))
    step = np.float32(RIPPLE * (high - low))
    return np.rint((data - np.float32(low)) / step) if step > 0 else data


def _constant_around(data: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Mark voxels that equal all their face neighbours inside the grid."""
    same = np.ones(data.shape, dtype=np.bool_)
    for axis in range(3):
        moved, values = np.moveaxis(same, axis, 0), np.moveaxis(data, axis, 0)
        equal = values[1:] == values[:-1]
        moved[1:] &= equal
        moved[:-1] &= equal
    return same


def _faces(data: NDArray[Any]) -> list[NDArray[Any]]:
    return [np.take(data, index, axis).ravel() for axis in range(3) for index in (0, -1)]
