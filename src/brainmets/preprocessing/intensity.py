"""Intensities made comparable between scanners: background, robust scale, CLAHE."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Intensities", "clahe", "find_foreground", "measure_intensities", "normalise"]

STRIPPED_SHARE = 0.15
"""A single value held by this share of all voxels is a mask, not tissue: the head is stripped."""

MIN_FOREGROUND_SHARE = 0.005
"""Less than this is no head: take the whole image instead."""

SMALLEST_SPREAD = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Intensities:
    """The robust statistics that an image's scaling was taken from, in its own units."""

    low: float
    """0.5th percentile of the foreground."""
    middle: float
    """Median of the foreground."""
    high: float
    """99.8th percentile of the foreground."""
    spread: float
    """Half the distance from the 16th to the 84th percentile: one sigma of a normal curve."""


def find_foreground(image: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Mark head against background, for whole heads and for skull-stripped ones.

    Stripped images have one exact background value (not always 0: z-scored images keep 0 inside
    the brain's range); whole heads are split by Otsu's threshold on the square root, which
    lifts dim tissue.
    """
    sample = image.ravel()[:: max(1, image.size // 200_000)]
    values, counts = np.unique(sample, return_counts=True)
    commonest = values[int(np.argmax(counts))]
    if counts.max() >= STRIPPED_SHARE * sample.size:
        foreground = image != commonest
        # noise-free air of a *whole* head is also one value; dim noise around it is not tissue
        if commonest <= sample.min():
            above = sample[sample > commonest]
            if above.size:
                foreground &= image > commonest + 0.02 * (np.percentile(above, 95) - commonest)
    else:
        lifted = np.sqrt(np.maximum(sample - sample.min(), 0))
        threshold = _otsu(lifted) * 0.8  # the dark side of the valley: keep fluid and bone edge
        foreground = image > threshold**2 + float(sample.min())
    if np.count_nonzero(foreground) < MIN_FOREGROUND_SHARE * image.size:
        return np.ones(image.shape, dtype=np.bool_)
    return foreground


def measure_intensities(image: NDArray[np.float32], foreground: NDArray[np.bool_]) -> Intensities:
    """Take the robust statistics of the foreground, from at most 500,000 voxels."""
    tissue = image[foreground]
    tissue = tissue[:: max(1, tissue.size // 500_000)]
    low, dark, middle, bright, high = np.percentile(tissue, (0.5, 16.0, 50.0, 84.0, 99.8))
    return Intensities(
        low=float(low),
        middle=float(middle),
        high=float(high),
        spread=max(float(bright - dark) / 2, SMALLEST_SPREAD * max(1.0, abs(float(high)))),
    )


def normalise(
    image: NDArray[np.float32],
    foreground: NDArray[np.bool_],
    intensities: Intensities,
    *,
    limits: tuple[float, float],
) -> NDArray[np.float32]:
    """Return robust z-scores, clipped to `limits`; background takes the lower limit."""
    scaled = (image - np.float32(intensities.middle)) / np.float32(intensities.spread)
    np.clip(scaled, limits[0], limits[1], out=scaled)
    scaled[~foreground & (image <= intensities.middle)] = limits[0]
    return scaled


def clahe(
    image: NDArray[np.float32],
    intensities: Intensities,
    *,
    tile: tuple[int, ...],
    clip_limit: float,
) -> NDArray[np.float32]:
    """Contrast-limited adaptive histogram equalisation, truly n-D, onto 0…1.

    Args:
        image: intensities in their own units, 2-D or 3-D.
        intensities: `low` maps to 0 and `high` to 1 before equalisation.
        tile: contextual region in voxels along each axis.
        clip_limit: share of a tile's voxels one grey value may hold; larger is stronger.

    Source: Zuiderveld, Graphics Gems IV, 1994; scikit-image `equalize_adapthist`.
    """
    from skimage.exposure import equalize_adapthist

    reach = max(intensities.high - intensities.low, SMALLEST_SPREAD)
    unit = np.clip((image - intensities.low) / reach, 0.0, 1.0)
    if float(unit.max()) <= float(unit.min()):  # scikit-image rescales, which a constant cannot be
        return np.zeros(image.shape, dtype=np.float32)
    size = tuple(min(t, n) for t, n in zip(tile, image.shape, strict=True))
    return equalize_adapthist(unit, kernel_size=size, clip_limit=clip_limit).astype(np.float32)


def _otsu(values: NDArray[np.float32]) -> float:
    """Return the threshold of greatest between-class variance over 256 bins (Otsu 1979)."""
    counts, edges = np.histogram(values, bins=256)
    centres = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)
    above = below[-1] - below
    sums = np.cumsum(counts * centres)
    with np.errstate(divide="ignore", invalid="ignore"):
        gap = sums / below - (sums[-1] - sums) / above
        variance = np.where((below > 0) & (above > 0), below * above * gap**2, 0.0)
    return float(centres[int(np.argmax(variance))])
