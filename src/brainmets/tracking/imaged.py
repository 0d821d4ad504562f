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

USUAL, RIPPLE = 0.75, 0.002
"""Quantile of the steps between neighbours, and the part of it that interpolation may leave."""

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

    A voxel begins an area where its face neighbours all have its value, but for ripples; the area
    is what touches such voxels and has that value. Areas of a value that the border of the grid
    does not have, and that is brighter than half of the other voxels, are saturated tissue and are
    left out.
    """
    import cc3d

    equal = _equal_neighbours(data)
    core = _constant_around(data, equal)
    if not core.any():
        return core
    others = data[~core]
    others = others[sample_places(others.size, SAMPLED)]
    bright = float(np.quantile(others, BRIGHTEST)) if others.size else float("inf")
    groups = np.asarray(cc3d.connected_components(core, connectivity=6))
    sizes = np.bincount(groups.ravel())
    values = np.bincount(groups.ravel(), weights=data.ravel()) / np.maximum(sizes, 1)
    on_border = np.unique(np.concatenate(_faces(groups)))
    border = np.append(values[on_border[on_border > 0]], float(data.min()))
    enough = sizes * voxel_mm3 >= LEAST_MM3
    ripple = _ripple(data)
    enough &= (values <= bright) | (np.abs(values[:, None] - border).min(axis=1) <= ripple)
    enough[0] = False
    unseen = enough[groups]
    grown = unseen.copy()
    for axis in range(3):
        grown_along, along = np.moveaxis(grown, axis, 0), np.moveaxis(unseen, axis, 0)
        grown_along[1:] |= along[:-1] & equal[axis]
        grown_along[:-1] |= along[1:] & equal[axis]
    return grown


def _ripple(data: NDArray[np.float32]) -> float:
    """Return what may lie between voxels of one value: a small part of what usually does."""
    steps = np.concatenate(
        [
            np.abs(step[sample_places(step.size, SAMPLED)])
            for step in (np.diff(data[at]).ravel() for at in range(0, len(data), 4))
        ]
    )
    return RIPPLE * float(np.quantile(steps, USUAL)) if steps.size else 0.0


def _equal_neighbours(data: NDArray[np.float32]) -> list[NDArray[np.bool_]]:
    """Say for each axis, moved to the front, which neighbours along it are of one value."""
    ripple = _ripple(data)
    return [np.abs(np.diff(np.moveaxis(data, axis, 0), axis=0)) <= ripple for axis in range(3)]


def _constant_around(
    data: NDArray[np.float32], equal: list[NDArray[np.bool_]]
) -> NDArray[np.bool_]:
    """Mark voxels that equal all their face neighbours inside the grid."""
    same = np.ones(data.shape, dtype=np.bool_)
    for axis in range(3):
        moved = np.moveaxis(same, axis, 0)
        moved[1:] &= equal[axis]
        moved[:-1] &= equal[axis]
    return same


def _faces(data: NDArray[Any]) -> list[NDArray[Any]]:
    return [np.take(data, index, axis).ravel() for axis in range(3) for index in (0, -1)]
