"""Intensities made comparable between scanners: background and robust scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Intensities", "find_foreground", "measure_intensities", "normalise"]

STRIPPED_SHARE = 0.15
"""A single value held by this share of all voxels is a mask, not tissue: the head is stripped."""

MIN_FOREGROUND_SHARE = 0.005
"""Less than this is no head: take the whole image instead."""

BRIGHT_SHARE = 0.35
"""Share of the way from `low` to the 90th percentile above which tissue is brain, fat or muscle."""

BACKGROUND_BELOW = 1.2
"""Background brighter than this, relative to brain, is tissue that the threshold missed."""

SMALLEST_REACH = 1e-6
"""Of the highest intensity: what keeps a flat image's scale from being divided by zero."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Intensities:
    """The robust statistics that an image's scaling was taken from, in its own units."""

    low: float
    """0.5th percentile of the head: fluid, bone, air in it."""
    tissue: float
    """Median of the head's bright voxels: brain, in whole heads and in stripped ones."""
    high: float
    """99.8th percentile of the head."""

    @property
    def brightest(self) -> float:
        """`high`, or just above `low` where the image is flat."""
        return self.low + max(self.high - self.low, SMALLEST_REACH)


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
    head = image[foreground]
    head = head[:: max(1, head.size // 500_000)]
    low, bright, high = np.percentile(head, (0.5, 90.0, 99.8))
    tissue = np.median(head[head >= low + BRIGHT_SHARE * (bright - low)])
    smallest = SMALLEST_REACH * max(1.0, abs(float(high)))
    return Intensities(
        low=float(low), tissue=max(float(tissue), float(low) + smallest), high=float(high)
    )


def normalise(
    image: NDArray[np.float32],
    foreground: NDArray[np.bool_],
    intensities: Intensities,
    *,
    highest: float,
) -> NDArray[np.float32]:
    """Return intensities relative to brain: 0 fluid or air, 1 brain, clipped at `highest`.

    Enhancement so reads as a ratio to brain in any scanner's units, z-scored images included;
    background never lies above 0.
    """
    reach = np.float32(intensities.tissue - intensities.low)
    scaled = (image - np.float32(intensities.low)) / reach
    np.clip(scaled, 0.0, highest, out=scaled)
    # a background value of its own (0 in z-scored images) is not tissue
    scaled[~foreground & (scaled < BACKGROUND_BELOW)] = 0.0
    return scaled


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
