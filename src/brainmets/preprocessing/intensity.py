"""Intensities made comparable between scanners: background and robust scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from brainmets.preprocessing.background import (
    COMMON_SHARE,
    SAMPLED,
    level_background,
    sample_places,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Intensities", "find_foreground", "measure_intensities", "normalise", "separate"]

DIM_SHARE = 0.02
"""Share of the way from a constant background to the 95th percentile that noise stays below."""

MOST_VOXELS = 2_000_000

MIN_FOREGROUND_SHARE = 0.005
"""Less than this is no head: take the whole image instead."""

BRIGHT_SHARE = 0.35
"""Share of the way from `low` to the 90th percentile above which tissue is brain, fat or muscle."""

BACKGROUND_BELOW = 1.2
"""Background brighter than this, relative to brain, is tissue that the threshold missed."""

SAME_VARIANCE = 1e-9
"""Thresholds whose variances differ by this share divide the voxels alike."""

SMALLEST_REACH = 1e-6
"""Of the head's range: what keeps a scale from being divided by zero where most of it is flat."""


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
        return self.high if self.high > self.low else self.low + 1.0


def find_foreground(image: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Mark head against background, for whole heads and for skull-stripped ones.

    The answer is the same for any unit of the image and any value of a constant background.
    """
    return separate(image)[1]


def separate(
    image: NDArray[np.float32],
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return the image with its constant backgrounds levelled, and its head.

    Stripped images, and whole heads in noise-free air, have one exact background value; other
    heads are split by Otsu's threshold on the square root, which lifts dim tissue.
    """
    image = level_background(image)
    sample = image.ravel()[sample_places(image.size, SAMPLED)]
    values, counts = np.unique(sample, return_counts=True)
    lowest = values[0]
    if counts[0] >= COMMON_SHARE * sample.size:
        # dim noise around a whole head is not tissue
        above = sample[sample > lowest]
        reach = np.percentile(above, 95) - lowest if above.size else 0.0
        foreground = image > lowest + DIM_SHARE * reach
    else:
        lifted = np.sqrt(np.maximum(sample - lowest, 0))
        threshold = _otsu(lifted) * 0.8  # the dark side of the valley: keep fluid and bone edge
        foreground = image > threshold**2 + float(lowest)
    if np.count_nonzero(foreground) < MIN_FOREGROUND_SHARE * image.size:
        return image, np.ones(image.shape, dtype=np.bool_)
    return image, foreground


def measure_intensities(image: NDArray[np.float32], foreground: NDArray[np.bool_]) -> Intensities:
    """Take the robust statistics of the foreground, from at most 2 million voxels."""
    head = image[foreground]
    head = head[sample_places(head.size, MOST_VOXELS)]
    low, bright, high = np.percentile(head, (0.5, 90.0, 99.8))
    tissue = np.median(head[head >= low + BRIGHT_SHARE * (bright - low)])
    smallest = SMALLEST_REACH * float(high - low) or 1.0
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
    """Return the threshold of greatest between-class variance over 256 bins (Otsu 1979).

    Where no value lies between two classes, every threshold there is as good: their middle.
    """
    counts, edges = np.histogram(values, bins=256)
    centres = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)
    above = below[-1] - below
    sums = np.cumsum(counts * centres)
    with np.errstate(divide="ignore", invalid="ignore"):
        gap = sums / below - (sums[-1] - sums) / above
        variance = np.where((below > 0) & (above > 0), below * above * gap**2, 0.0)
    best = np.flatnonzero(variance >= variance.max() * (1 - SAME_VARIANCE))
    return float(centres[best].mean())
