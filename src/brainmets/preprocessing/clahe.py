"""Contrast-limited adaptive histogram equalisation of slices and volumes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["clahe"]

GREYS = 2**14
"""Levels of the equalised image."""

BINS = 256
BIN_GREYS = 1 + GREYS // BINS
"""Grey levels that share a bin of a histogram."""

FINE = 2**16 - 1
"""Levels that the image is first rounded to."""


def clahe(
    image: NDArray[np.float32],
    *,
    low: float,
    high: float,
    tile: tuple[int, ...],
    clip_limit: float,
) -> NDArray[np.float32]:
    """Even out contrast from place to place, truly 2-D or 3-D, onto 0…1.

    The numbers are those of scikit-image's `equalize_adapthist`, to one grey level in 16,384
    where the two round differently; a test compares them. Each plane's histogram mappings are
    interpolated once for a whole row of voxels, not for every voxel, which makes it many times
    faster, and no copy of the image is padded.

    Args:
        image: intensities in their own units, 2-D or 3-D.
        low: intensity that maps to 0 before equalisation.
        high: intensity that maps to 1; above `low`.
        tile: contextual region in voxels along each axis.
        clip_limit: share of a tile's voxels one grey value may hold; larger is stronger.

    Source: Zuiderveld, Graphics Gems IV, 1994; scikit-image `equalize_adapthist`.
    """
    bins = _bins(image, low, high)
    if bins is None:
        return np.zeros(image.shape, dtype=np.float32)
    size = tuple(min(t, n) for t, n in zip(tile, image.shape, strict=True))
    maps = _mappings(bins, size, clip_limit)
    equalised = np.empty(image.shape, dtype=np.float32)
    if image.ndim == 2:
        _equalise_plane(bins, maps, size, equalised)
    else:
        below, above, share = _neighbours(image.shape[0], size[0])
        for x in range(image.shape[0]):
            mixed = maps[below[x]] + share[x] * (maps[above[x]] - maps[below[x]])
            _equalise_plane(bins[x], mixed, size[1:], equalised[x])
    darkest, brightest = float(equalised.min()), float(equalised.max())
    equalised -= np.float32(darkest)
    equalised /= np.float32(max(brightest - darkest, 1.0))
    return equalised


def _bins(image: NDArray[np.float32], low: float, high: float) -> NDArray[np.uint8] | None:
    """Return each voxel's histogram bin; None for an image of one value."""
    unit = np.subtract(image, low, dtype=np.float32)
    unit /= np.float32(high - low)
    np.clip(unit, 0.0, 1.0, out=unit)
    unit *= np.float32(FINE)
    fine = np.rint(unit, out=unit).astype(np.uint16)
    darkest, brightest = int(fine.min()), int(fine.max())
    if darkest == brightest:
        return None
    stretched = (np.arange(FINE + 1) - darkest) / (brightest - darkest)
    greys = np.rint(np.clip(stretched, 0.0, 1.0) * (GREYS - 1)).astype(np.uint16)
    return (greys // BIN_GREYS).astype(np.uint8)[fine]


def _mappings(
    bins: NDArray[np.uint8], tile: tuple[int, ...], clip_limit: float
) -> NDArray[np.float32]:
    """Return the equalised grey of every bin in every tile, (*tiles, BINS)."""
    counts = tuple(-(-n // t) for n, t in zip(bins.shape, tile, strict=True))
    reach = [_reflected(c * t, n) for c, t, n in zip(counts, tile, bins.shape, strict=True)]
    voxels = math.prod(tile)
    histograms = np.empty((counts[0], math.prod(counts[1:]), BINS), dtype=np.int64)
    # where a tile's histogram starts, for the voxels of one row of tiles
    starts = np.zeros([1] * bins.ndim, dtype=np.int64)
    for axis in range(1, bins.ndim):
        along = np.arange(counts[axis] * tile[axis]) // tile[axis]
        shape = [1] * bins.ndim
        shape[axis] = -1
        starts = starts * counts[axis] + along.reshape(shape)
    for row in range(counts[0]):
        part = bins[reach[0][row * tile[0] : (row + 1) * tile[0]]]
        for axis in range(1, bins.ndim):
            if len(reach[axis]) != bins.shape[axis]:
                part = part.take(reach[axis], axis=axis)
        found = np.bincount((starts * BINS + part).ravel(), minlength=histograms[row].size)
        histograms[row] = found.reshape(-1, BINS)
    histograms = histograms.reshape(-1, BINS)
    _clip(histograms, max(1, int(clip_limit * voxels)))
    greys = np.minimum(np.cumsum(histograms, axis=1) * ((GREYS - 1) / voxels), GREYS - 1)
    return np.floor(greys).astype(np.float32).reshape(*counts, BINS)


def _clip(histograms: NDArray[np.int64], limit: int) -> None:
    """Cap every bin at `limit` and spread what was above over the others, in place."""
    voxels = histograms.sum(axis=1)
    np.minimum(histograms, limit, out=histograms)
    share = ((voxels - histograms.sum(axis=1)) // BINS)[:, None]
    nearly = limit - share
    histograms += np.where(histograms < nearly, share, 0)
    histograms[(histograms >= nearly) & (histograms < limit)] = limit  # as scikit-image does
    excess = voxels - histograms.sum(axis=1)
    for number in np.flatnonzero(excess > 0):
        _spread(histograms[number], int(excess[number]), limit)


def _spread(histogram: NDArray[np.int64], excess: int, limit: int) -> None:
    """Hand out what is left one by one, evenly over the bins that have room."""
    before = -1
    while excess > 0 and excess != before:
        before = excess
        for first in range(BINS):
            room = histogram < limit
            step = max(1, int(np.count_nonzero(room)) // excess)
            chosen = room[first::step]
            histogram[first::step] += chosen
            excess -= int(np.count_nonzero(chosen))
            if excess <= 0:
                return


def _equalise_plane(
    bins: NDArray[np.uint8],
    maps: NDArray[np.float32],
    tile: tuple[int, ...],
    out: NDArray[np.float32],
) -> None:
    """Map the bins (Y, Z) of a plane by the mappings (tiles y, tiles z, BINS) around them."""
    below, above, share = _neighbours(bins.shape[0], tile[0])
    rows = maps[below]
    rows += share[:, None, None] * (maps[above] - rows)
    left, right, weight = _neighbours(bins.shape[1], tile[1])
    start = np.arange(len(rows))[:, None] * (rows.shape[1] * BINS)
    near = rows.ravel().take(start + (left * BINS) + bins)
    far = rows.ravel().take(start + (right * BINS) + bins)
    far -= near
    far *= weight
    near += far
    np.floor(near, out=out)


def _neighbours(
    size: int, tile: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """Return the tiles whose centres lie before and after each voxel, and how near the second."""
    place = np.arange(size) + tile // 2
    last = -(-size // tile) - 1
    after = np.minimum(place // tile, last)
    before = np.clip(place // tile - 1, 0, last)
    return before, after, (place % tile / tile).astype(np.float32)


def _reflected(length: int, size: int) -> NDArray[np.int64]:
    """Indices 0, 1, … that turn back at the borders of an axis of `size`."""
    period = max(2 * (size - 1), 1)
    folded = np.arange(length) % period
    return np.minimum(folded, period - folded) if size > 1 else np.zeros(length, dtype=np.int64)
