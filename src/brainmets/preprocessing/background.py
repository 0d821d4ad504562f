"""Constant backgrounds, whatever their value, brought to just below the image's lowest tissue."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["level_background", "sample_places"]

SAMPLED = 500_000
"""Voxels that a histogram is taken from: exact for slices, to about 0.1 % for volumes."""

COMMON_SHARE = 0.15
"""A value held by this share of all voxels is a background wherever it lies."""

CORNER_SHARE = 0.002
"""A value that fills a corner of the grid is a background from this share of all voxels."""

SOLID_SHARE = 0.75
"""So many neighbours of a background voxel are background too; in noise far fewer are equal."""

SMALLEST_REST_SHARE = 0.005
"""Less than this next to a constant is no head."""

SMALLEST_BRAIN_SHARE = 0.03
"""Less than this next to a second constant is not a head but what was drawn in it."""

MOST_BACKGROUNDS = 5
"""Outside a brain mask, outside a scan resliced once or twice, outside the field of view."""

RIPPLE = 0.02
"""Of the range of values: how far a nearly constant background may lie from its median."""

BELOW_SHARE = 0.01
"""Of the voxels must be darker than a rippled background for it to lie amid tissue."""

NEAR = 0.02
"""Of the range of tissue: a background this close below tissue is usual."""

BELOW = 0.0001
"""Of the range of tissue: where a background is brought to, below the lowest tissue."""

FLAT_SHARE = 0.01
"""Of tissue at its lowest value: it is a flat part of a drawn head, not the end of a tail."""

BELOW_FLAT = 0.025

LARGE_SHARE = 0.0005
"""Regions of the background's value inside the head are background from this share."""

FAR_FROM_NEIGHBOURS = 0.15
"""Of the range of tissue: smaller regions are background where their value stands out by this."""

DARK = 0.25
"""Of the range of tissue: what surrounds a hole that is as bright as the brightest tissue."""


def sample_places(size: int, wanted: int) -> NDArray[np.int64] | slice:
    """Return positions in a flat array, one drawn from each of `wanted` equal stretches.

    A fixed step would take a single plane wherever it divides the grid. The draw is the same for
    the same size, so equal images give equal samples.
    """
    if size <= wanted:
        return slice(None)
    step = size / wanted
    within = np.random.default_rng(0).random(wanted)
    return ((np.arange(wanted) + within) * step).astype(np.int64)


def level_background(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the image with its constant backgrounds just below the lowest tissue.

    Outside a brain mask, outside a resliced scan or a scanner's field of view voxels hold one
    exact value: 0 amid z-scored tissue, -1000, the image's maximum. After levelling all of them
    give the same image. An image whose background is the usual one is returned itself.
    """
    image = np.ascontiguousarray(image)
    places = sample_places(image.size, SAMPLED)
    sample = image.ravel()[places]
    constants = _find_constants(image, sample)
    calm = _without_ripple(image, sample[~np.isin(sample, np.array(constants, dtype=np.float32))])
    if calm is not image:
        image, sample = calm, calm.ravel()[places]
        constants = _find_constants(image, sample)
    if not constants:
        return image
    tissue = _describe(sample[~np.isin(sample, np.array(constants, dtype=np.float32))])
    usual = [value for value in constants if tissue.is_just_above(value)]
    level = np.float32(usual[0] if usual else tissue.level(constants[0]))
    for value in constants:
        if value not in usual and np.float32(value) != level:
            image = np.where(_find_voxels(image, value, tissue), level, image)
    return image


def _without_ripple(image: NDArray[np.float32], sample: NDArray[np.float32]) -> NDArray[np.float32]:
    """Give a background that is nearly constant amid or above tissue one value.

    Interpolation and bias correction leave ripples and noise on a background of 0 amid z-scored
    tissue. One below tissue needs nothing: a threshold divides them. `sample` is without constants.
    """
    import cc3d

    if not sample.size:
        return image
    lowest, highest = (float(v) for v in np.percentile(sample, (0.5, 99.5)))
    reach = highest - lowest
    ends = [np.r_[: min(3, n), max(n - 3, 0) : n] for n in image.shape]
    value = float(np.median(image[np.ix_(*ends)]))
    within = np.abs(sample - value) <= RIPPLE * reach
    below = np.mean(sample < value - RIPPLE * reach)
    if below < BELOW_SHARE or np.mean(within) < COMMON_SHARE:
        return image
    near = np.abs(image - np.float32(value)) <= RIPPLE * reach
    labels = np.asarray(cc3d.connected_components(near, connectivity=6))
    largest = labels == int(np.bincount(labels[near]).argmax())
    if np.count_nonzero(largest) < COMMON_SHARE * image.size or not _is_solid(largest):
        return image
    return np.where(largest, np.float32(value), image)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tissue:
    """The range of what is not background."""

    lowest: float
    highest: float
    first: float
    """1st percentile."""
    last: float
    """99th percentile."""
    reach: float
    """From the lowest to the 95th percentile."""
    flat: bool = field(default=False)

    def level(self, value: float) -> float:
        """Return where a background of this value belongs."""
        if self.reach == 0:
            return self.lowest - abs(self.lowest - value)
        return self.lowest - self.reach * (BELOW_FLAT if self.flat else BELOW)

    def is_just_above(self, value: float) -> bool:
        """Whether a background of this value already lies where it belongs."""
        return 0 < self.lowest - value <= NEAR * self.reach

    def can_hold(self, value: float) -> bool:
        """Whether tissue may have this value too: amid the others, or as a saturated one."""
        return self.lowest <= value <= self.highest + self.reach


def _find_constants(image: NDArray[np.float32], sample: NDArray[np.float32]) -> list[float]:
    """Return the values of backgrounds: those that fill corners of the grid, and the commonest."""
    corners = {float(image[place]) for place in product(*((0, -1) for _ in image.shape))}
    found: list[float] = []
    rest = sample
    drawn = False
    while len(found) < MOST_BACKGROUNDS and rest.size >= SMALLEST_REST_SHARE * sample.size:
        values, counts = np.unique(rest, return_counts=True)
        candidates = [
            (float(values[n]), int(counts[n]))
            for n in np.argsort(-counts, kind="stable")[: 4 * MOST_BACKGROUNDS]
        ]
        value = next(
            (
                value
                for value, count in candidates
                if value in corners and count >= CORNER_SHARE * sample.size
                if _is_solid(image == np.float32(value))
            ),
            None,
        )
        if value is None:
            value, count = candidates[0]
            if count < COMMON_SHARE * rest.size or not _is_solid(image == np.float32(value)):
                break
            if found and value >= float(rest.max()):
                break  # tissue that a display window cut off: lesions are among it
            # after a background in the corners: a second one, or a head drawn in flat parts
            drawn = bool(found)
        corners.discard(value)
        left = rest[rest != np.float32(value)]
        if left.size < (SMALLEST_BRAIN_SHARE if drawn else SMALLEST_REST_SHARE) * sample.size:
            break
        if drawn and _is_flat(image, left):
            break
        found.append(value)
        rest = left
    return found


def _is_flat(image: NDArray[np.float32], rest: NDArray[np.float32]) -> bool:
    """Whether one value fills a solid part of the rest: a drawn head, not a measured one."""
    values, counts = np.unique(rest, return_counts=True)
    commonest = int(np.argmax(counts))
    return bool(counts[commonest] >= COMMON_SHARE * rest.size) and _is_solid(
        image == values[commonest]
    )


def _describe(rest: NDArray[np.float32]) -> _Tissue:
    first, top, last = (float(v) for v in np.percentile(rest, (1.0, 95.0, 99.0)))
    lowest, highest = float(rest.min()), float(rest.max())
    reach = top - lowest or highest - lowest
    above = rest[rest > lowest]
    held = 1 - above.size / rest.size
    return _Tissue(
        lowest=lowest,
        highest=highest,
        first=first,
        last=last,
        reach=reach,
        flat=held >= FLAT_SHARE and above.size > 0 and float(above.min()) - lowest > NEAR * reach,
    )


def _is_solid(equal: NDArray[np.bool_]) -> bool:
    """Whether voxels of a value lie together, along every axis that is long enough to tell."""
    voxels = np.count_nonzero(equal)
    for axis, size in enumerate(equal.shape):
        if size < 4:
            continue
        ahead = equal[(slice(None),) * axis + (slice(1, None),)]
        behind = equal[(slice(None),) * axis + (slice(None, -1),)]
        pairs = np.count_nonzero(ahead & behind)
        if pairs < SOLID_SHARE * (voxels - np.count_nonzero(np.take(equal, -1, axis=axis))):
            return False
    return True


def _find_voxels(image: NDArray[np.float32], value: float, tissue: _Tissue) -> NDArray[np.bool_]:
    """Tell background from tissue that happens to hold the same value."""
    import cc3d

    equal = image == np.float32(value)
    if not tissue.can_hold(value):
        return equal
    labels = np.asarray(cc3d.connected_components(equal, connectivity=6))
    chosen = np.bincount(labels.ravel()) >= LARGE_SHARE * image.size
    for axis, size in enumerate(image.shape):
        if size > 1:
            for end in (0, -1):
                chosen[np.unique(np.take(labels, end, axis=axis))] = True
    chosen[0] = True
    around = _mean_around(image, labels, chosen)
    spread = tissue.last - tissue.first
    holes = np.abs(around - value) > FAR_FROM_NEIGHBOURS * spread
    if value >= tissue.last:  # saturated vessels hold it too
        holes &= around < tissue.first + DARK * spread
    chosen |= holes
    chosen[0] = False
    return chosen[labels]


def _mean_around(
    image: NDArray[np.float32], labels: NDArray[np.unsignedinteger], without: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return the mean of the voxels next to each region that is not `without`; NaN for those."""
    places = np.argwhere(~without[labels])
    owners = labels[tuple(places.T)].astype(np.int64)
    sums, counts = np.zeros(without.size), np.zeros(without.size)
    for axis, step in product(range(image.ndim), (-1, 1)):
        near = places.copy()
        near[:, axis] = np.clip(near[:, axis] + step, 0, image.shape[axis] - 1)
        index = tuple(near.T)
        beside = labels[index] == 0
        own = owners[beside]
        sums += np.bincount(own, weights=image[index][beside], minlength=without.size)
        counts += np.bincount(own, minlength=without.size)
    with np.errstate(invalid="ignore"):
        return sums / counts
