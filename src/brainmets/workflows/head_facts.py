"""What a head's anatomy and grey values say of the picture: its brain, its contrast, its edges.

Brightness is compared with white matter nearby, which bias fields do not change, and by
percentiles, which lesions and oedema hardly change.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from brainmets.domain.structures import Structure

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from brainmets.domain import Volume
    from brainmets.inference.anatomy import Anatomy

__all__ = ["HeadFacts", "head_facts"]

POINT_MM = 2.0
"""Distance between the points at which the image is read, about."""

NEARBY_MM = 14.0
"""Standard deviation of the weights of white matter around a point."""

FEWEST = 150
"""Fewer points of a structure than this say nothing of its brightness."""

ENDS_MM = 4.0
"""Thickness of the outermost part of the brain that is compared with its largest section."""

FLAT = 0.04
"""Structures whose medians differ by less, in units of white matter, are not told apart."""

_WHITE = (Structure.LEFT_WHITE_MATTER, Structure.RIGHT_WHITE_MATTER)
_CORTEX = (Structure.LEFT_CORTEX, Structure.RIGHT_CORTEX)
_DEEP = (Structure.LEFT_DEEP_GREY, Structure.RIGHT_DEEP_GREY)
_VENTRICLES = (Structure.LEFT_VENTRICLE, Structure.RIGHT_VENTRICLE, Structure.MIDDLE_VENTRICLES)
_CEREBELLUM = (Structure.LEFT_CEREBELLUM, Structure.RIGHT_CEREBELLUM)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadFacts:
    """Measured facts of one head; lengths in mm, brightness in units of white matter nearby.

    `ends` are the sections at which the brain ends, as shares of its largest section: left,
    right, back, front, bottom, top. Brightness is None where too little of a structure is there.
    """

    brain_ml: float
    shares: dict[str, float]
    extent_mm: tuple[float, float, float]
    ends: tuple[float, float, float, float, float, float]
    cortex: tuple[float, float, float] | None
    """25th, 50th and 75th percentile; of the other structures too."""
    deep_grey: tuple[float, float, float] | None
    cerebellum: tuple[float, float, float] | None
    ventricles: tuple[float, float, float] | None
    fluid: tuple[float, float, float] | None
    sinuses: tuple[float, float, float] | None
    brightest: float
    """99.5th percentile in and around the brain: vessels, after contrast medium."""

    @property
    def is_flat(self) -> bool:
        """Whether all structures are equally bright, as in a bottle of water."""
        known = (self.cortex, self.deep_grey, self.cerebellum, self.ventricles, self.fluid)
        medians = [1.0, *(one[1] for one in known if one is not None)]
        return max(medians) - min(medians) < FLAT


def head_facts(anatomy: Anatomy, volume: Volume) -> HeadFacts:
    """Measure a head in which some brain was found."""
    structures = anatomy.structures
    counts = np.bincount(structures.ravel(), minlength=len(Structure)).astype(float)
    brain_voxels = max(1.0, float(np.count_nonzero(anatomy.brain)))

    def share(of: Iterable[Structure]) -> float:
        return float(sum(counts[s] for s in of)) / brain_voxels

    brightness = _Brightness(anatomy, volume)
    around = anatomy.from_brain_mm <= 6.0
    return HeadFacts(
        brain_ml=anatomy.brain_ml,
        shares={
            "cerebellum": share(_CEREBELLUM),
            "stem": share((Structure.BRAIN_STEM,)),
        },
        extent_mm=_extent(anatomy),
        ends=_ends(anatomy),
        cortex=brightness.quartiles(np.isin(structures, _CORTEX)),
        deep_grey=brightness.quartiles(np.isin(structures, _DEEP)),
        cerebellum=brightness.quartiles(np.isin(structures, _CEREBELLUM)),
        ventricles=brightness.quartiles(np.isin(structures, _VENTRICLES), fewest=FEWEST // 3),
        fluid=brightness.quartiles((structures == Structure.FLUID) & around),
        sinuses=brightness.quartiles(structures == Structure.VENOUS_SINUS),
        brightest=brightness.percentile(anatomy.brain | around, 99.5),
    )


def _extent(anatomy: Anatomy) -> tuple[float, float, float]:
    lengths = [
        np.count_nonzero(anatomy.brain.any(axis=tuple(a for a in range(3) if a != axis)))
        * anatomy.geometry.spacing_mm[axis]
        for axis in range(3)
    ]
    return lengths[0], lengths[1], lengths[2]


def _ends(anatomy: Anatomy) -> tuple[float, float, float, float, float, float]:
    found: list[float] = []
    for axis in range(3):
        others = tuple(a for a in range(3) if a != axis)
        sections = anatomy.brain.sum(axis=others).astype(float)
        there = np.flatnonzero(sections)
        if not there.size:
            found += [0.0, 0.0]
            continue
        step = max(1, round(ENDS_MM / anatomy.geometry.spacing_mm[axis]))
        inside = sections[there[0] : there[-1] + 1] / sections.max()
        found += [float(inside[:step].mean()), float(inside[-step:].mean())]
    return found[0], found[1], found[2], found[3], found[4], found[5]


class _Brightness:
    """The image at points in and around the brain, over white matter nearby."""

    def __init__(self, anatomy: Anatomy, volume: Volume) -> None:
        spacing = anatomy.geometry.spacing_mm
        self._split = max(1, round(float(np.mean(spacing)) / POINT_MM))
        self._values = _read(anatomy, volume, self._split)
        white = np.isin(anatomy.structures, _WHITE)
        core = np.asarray(ndimage.binary_erosion(white), dtype=np.bool_)
        self._white = core if np.count_nonzero(core) >= FEWEST else white
        inside = self._values[self._spread_out(anatomy.brain)]
        inside = inside[np.isfinite(inside)]
        data = volume.data
        corners = data[np.ix_(*[[0, -1]] * 3)]
        lowest = float(np.percentile(inside, 0.5)) if inside.size else 0.0
        self._zero = min(lowest, float(np.median(corners)))
        self._values -= self._zero
        known = self._spread_out(self._white) & np.isfinite(self._values)
        sums = self._gather(np.where(known, self._values, 0))
        numbers = self._gather(known.astype(np.float32))
        sigma = [NEARBY_MM / s for s in spacing]
        weights = ndimage.gaussian_filter(numbers, sigma)
        nearby = ndimage.gaussian_filter(sums, sigma) / np.maximum(weights, 1e-9)
        usable = (weights > 1e-3 * max(1e-9, float(weights.max()))) & (nearby > 0)
        reference = np.where(usable, nearby, np.nan)
        with np.errstate(invalid="ignore", divide="ignore"):
            self._values /= self._spread_out(reference)

    def _spread_out(self, coarse: NDArray[Any]) -> NDArray[Any]:
        for axis in range(3):
            coarse = np.repeat(coarse, self._split, axis=axis)
        return coarse

    def _gather(self, fine: NDArray[np.floating]) -> NDArray[np.float32]:
        n = self._split
        x, y, z = (size // n for size in fine.shape)
        return fine.reshape(x, n, y, n, z, n).sum(axis=(1, 3, 5)).astype(np.float32)

    def _of(self, where: NDArray[np.bool_]) -> NDArray[np.float32]:
        values = self._values[self._spread_out(where)]
        return values[np.isfinite(values)]

    def quartiles(
        self, where: NDArray[np.bool_], fewest: int = FEWEST
    ) -> tuple[float, float, float] | None:
        """Return the three quartiles of the ratio to white matter nearby."""
        values = self._of(where)
        if values.size < fewest:
            return None
        low, middle, high = (float(v) for v in np.percentile(values, (25, 50, 75)))
        return low, middle, high

    def percentile(self, where: NDArray[np.bool_], which: float) -> float:
        values = self._of(where)
        return float(np.percentile(values, which)) if values.size else float("nan")


def _read(anatomy: Anatomy, volume: Volume, split: int) -> NDArray[np.float32]:
    """Read the image at the voxels nearest to points that divide the anatomy's voxels."""
    to_image = np.linalg.inv(volume.geometry.affine) @ anatomy.geometry.affine
    shape = tuple(n * split for n in anatomy.structures.shape)
    places = [(np.arange(n) + 0.5) / split - 0.5 for n in shape]
    flat = np.zeros(shape, dtype=np.int64)
    inside = np.ones(shape, dtype=np.bool_)
    for row, size in enumerate(volume.data.shape):
        x, y, z = (to_image[row, a] * places[a] for a in range(3))
        at = np.rint(x[:, None, None] + y[:, None] + z + to_image[row, 3]).astype(np.int64)
        inside &= (at >= 0) & (at < size)
        flat = flat * size + at.clip(0, size - 1)
    values = volume.data.ravel()[flat].astype(np.float32)
    values[~inside] = np.nan
    return values
