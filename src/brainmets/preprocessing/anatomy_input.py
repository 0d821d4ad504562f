"""What the anatomy network reads: a head on RAS axes in large voxels, scaled to 0…1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from brainmets.domain.geometry import Geometry
from brainmets.preprocessing.background import level_background
from brainmets.preprocessing.intensity import find_foreground
from brainmets.preprocessing.plan import closest_ras, turn
from brainmets.preprocessing.resampling import resample_axis, resample_centres

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from brainmets.domain.volume import Volume

__all__ = ["AnatomyInput", "normalise_head", "prepare_anatomy"]

HIGHEST_MM = 200.0
"""Length below the top of the head that is looked at: the brain ends above it."""

HEAD_PLANE = 0.002
"""Share of a plane that must be foreground for the plane to belong to the head."""

MARGIN = 2
"""Voxels kept around the head."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AnatomyInput:
    """An image (X, Y, Z) of 0…1 for the network, edges multiples of its stride.

    `geometry` is its grid; `foreground` marks head against background on it.
    """

    image: NDArray[np.float32]
    foreground: NDArray[np.bool_]
    geometry: Geometry


def prepare_anatomy(volume: Volume, *, stride: int, spacing_mm: float) -> AnatomyInput:
    """Turn, resample, crop to the head and scale; the same head gives the same in any axis order.

    Args:
        volume: an image on its own grid.
        stride: what the network's edges must be multiples of.
        spacing_mm: edge length of the network's voxels.
    """
    axes, flips = closest_ras(volume.geometry)
    oriented = volume.geometry.permuted(axes, flips)
    image = level_background(turn(volume.data, axes, flips))
    affine = np.array(oriented.affine)
    for axis, spacing in enumerate(oriented.spacing_mm):
        centres = resample_centres(image.shape[axis], spacing, spacing_mm)
        image = resample_axis(image, axis, centres)
        affine[:3, 3] += affine[:3, axis] * centres[0]
        if len(centres) > 1:
            affine[:3, axis] *= centres[1] - centres[0]
        else:
            affine[:3, axis] *= spacing_mm / spacing
    foreground = find_foreground(image)
    lows, highs = _head_box(foreground)
    lows[2] = max(lows[2], highs[2] - round(HIGHEST_MM / spacing_mm))
    sizes = [-(-(high - low) // stride) * stride for low, high in zip(lows, highs, strict=True)]
    # what is added is next to the head on both sides
    starts = [
        low - (size - (high - low)) // 2 for low, high, size in zip(lows, highs, sizes, strict=True)
    ]
    background = _background(image, foreground)
    affine[:3, 3] += affine[:3, :3] @ np.array(starts)
    cut = _cut(image, starts, sizes, background)
    head = _cut(foreground.astype(np.float32), starts, sizes, 0.0) > 0.5
    x, y, z = cut.shape
    return AnatomyInput(
        image=normalise_head(cut),
        foreground=head,
        geometry=Geometry(shape=(x, y, z), affine=affine),
    )


def normalise_head(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scale to 0…1: from the background (or 0.5th percentile) to the 99.5th of what is not it.

    The background is taken to be the median of the image's corners.
    """
    background = np.float32(np.median(image[_corners(image.shape)]))
    inside = image[np.abs(image - background) > 1e-6 * (np.ptp(image) + 1e-12)]
    if inside.size < 64:
        return np.zeros_like(image)
    low, high = np.percentile(inside, (0.5, 99.5))
    low = min(low, background) if background <= np.median(inside) else low
    return np.clip((image - low) / max(high - low, 1e-12), 0, 1).astype(np.float32)


def _corners(shape: tuple[int, ...]) -> tuple[NDArray[np.intp], ...]:
    """Index small cubes at the eight corners."""
    edges = [np.r_[0:3, n - 3 : n].clip(0, n - 1) for n in shape]
    return np.ix_(*edges)


def _head_box(foreground: NDArray[np.bool_]) -> tuple[list[int], list[int]]:
    lows: list[int] = []
    highs: list[int] = []
    for axis, size in enumerate(foreground.shape):
        others = tuple(a for a in range(3) if a != axis)
        planes = np.flatnonzero(foreground.mean(axis=others) > HEAD_PLANE)
        lows.append(max(int(planes[0]) - MARGIN, 0) if planes.size else 0)
        highs.append(min(int(planes[-1]) + 1 + MARGIN, size) if planes.size else size)
    return lows, highs


def _background(image: NDArray[np.float32], foreground: NDArray[np.bool_]) -> float:
    outside = image[~foreground]
    return float(np.median(outside)) if outside.size else float(image.min())


def _cut(
    image: NDArray[np.float32], starts: list[int], sizes: list[int], beyond: float
) -> NDArray[np.float32]:
    """Return a box that may reach beyond the image, where the value `beyond` is."""
    cut = np.full(sizes, beyond, dtype=np.float32)
    source = tuple(
        slice(max(s, 0), min(s + n, have))
        for s, n, have in zip(starts, sizes, image.shape, strict=True)
    )
    target = tuple(
        slice(part.start - s, part.stop - s) for part, s in zip(source, starts, strict=True)
    )
    cut[target] = image[source]
    return cut
