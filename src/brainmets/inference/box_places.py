"""Where a lesion is in a skull-stripped head, from its place in the brain's box: approximately."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from brainmets.inference.places import APPROXIMATE, lobe_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from brainmets.domain import Geometry, Lesion

__all__ = ["BOX_SETTING", "HEAD_SETTING", "BoxPlaces", "fill_places", "head_box", "region_of"]

BOX_SETTING = "brain_box"
"""Under which a result's settings hold the box, so that places can be named again."""

HEAD_SETTING = "head_box"
"""Under which they hold the box around a head whose anatomy is not known, in RAS mm."""

THIRDS = (("posterior", "anterior"), ("inferior", "superior"))
"""Outer thirds of the head from back to front and from below; the middle third has no word."""

BRAIN_LOW = np.array((-69.0, -105.0, -64.0))
BRAIN_HIGH = np.array((69.0, 71.0, 79.0))
"""Box around brain and cerebellum in the MNI152 template, in RAS mm."""

STRIPPED_ML = (700.0, 2000.0)
"""Volume of a skull-stripped head: a whole one is larger, a part of one smaller."""

SIZES_MM = np.array(((105.0, 170.0), (130.0, 205.0), (95.0, 175.0)))
"""Lengths of a brain's box from side to side, back to front and below to top."""

TEMPLATE_PITCH = np.deg2rad(11.0)
"""How far the long axis of the template's brain rises to the front."""

EDGE_SHARE = 0.001
"""Share of the brain's voxels left out at each face of the box: lone ones."""

MOST_VOXELS = 100_000

MIDDLE_MM = 3.0
"""A centre this near the middle of the box has no side."""


class BoxPlaces:
    """Names places in one skull-stripped head by laying its box over the MNI template's.

    The head's pitch is taken out first: the long axis of the brain tells it (on 16 label maps to
    within 2.3 degrees, one standard deviation). Places are right where a region is large;
    doubtful within about 10 mm of its borders and where a large tumour shifts the brain.
    """

    def __init__(
        self,
        middle: NDArray[np.float64],
        pitch: float,
        low: NDArray[np.float64],
        high: NDArray[np.float64],
    ) -> None:
        """Take the brain's middle in RAS mm, its turn to the template in radians, and its box."""
        self._middle, self._pitch = middle, pitch
        self._turn = _turn(pitch)
        self._low, self._high = low, high

    def __str__(self) -> str:
        """Write the box down, for `parse`: middle, turn in degrees, low and high corner in mm."""
        degrees = float(np.rad2deg(self._pitch))
        numbers = (*self._middle, degrees, *self._low, *self._high)
        return " ".join(f"{n:.2f}" for n in numbers)

    @classmethod
    def parse(cls, text: str) -> BoxPlaces:
        """Read a box that was written down.

        Raises:
            ValueError: the text is not one.
        """
        numbers = np.array([float(word) for word in text.split()])
        if numbers.shape != (10,):
            message = f"{len(numbers)} numbers for a brain's box of 10"
            raise ValueError(message)
        return cls(numbers[:3], float(np.deg2rad(numbers[3])), numbers[4:7], numbers[7:])

    @classmethod
    def of(cls, foreground: NDArray[np.bool_], geometry: Geometry) -> BoxPlaces | None:
        """Measure a head; None where it is not a whole, skull-stripped brain."""
        volume_ml = float(np.count_nonzero(foreground)) * geometry.voxel_volume_mm3 / 1000
        if geometry.units != "mm" or not STRIPPED_ML[0] <= volume_ml <= STRIPPED_ML[1]:
            return None
        voxels = np.argwhere(foreground)
        places = geometry.to_ras_mm(voxels[:: max(1, len(voxels) // MOST_VOXELS)])
        middle = places.mean(axis=0)
        pitch = _turn_to_template(places - middle)
        turned = (places - middle) @ _turn(pitch).T
        low, high = np.quantile(turned, (EDGE_SHARE, 1 - EDGE_SHARE), axis=0)
        lengths = high - low
        fits = (lengths >= SIZES_MM[:, 0]) & (lengths <= SIZES_MM[:, 1])
        return cls(middle, pitch, low, high) if fits.all() else None

    def template_mm(self, centre_ras_mm: tuple[float, float, float]) -> NDArray[np.float64]:
        """Return the place in the MNI152 template that corresponds to a place in RAS mm."""
        turned = self._turn @ (np.array(centre_ras_mm) - self._middle)
        share = (turned - self._low) / (self._high - self._low)
        return BRAIN_LOW + share * (BRAIN_HIGH - BRAIN_LOW)

    def name(self, centre_ras_mm: tuple[float, float, float]) -> str:
        """Name a place, as "left frontal lobe (approximate)"."""
        x, y, z = self.template_mm(centre_ras_mm).tolist()
        region = region_of(abs(x), y, z)
        if region == "brain stem":
            return f"{region} {APPROXIMATE}"
        if abs(x) <= MIDDLE_MM:
            return f"{region} near the midline {APPROXIMATE}"
        return f"{'right' if x > 0 else 'left'} {region} {APPROXIMATE}"


def head_box(foreground: NDArray[np.bool_], geometry: Geometry) -> str:
    """Write down the box around a head in RAS mm, low corner first; empty where there is none."""
    planes = [
        np.flatnonzero(foreground.any(axis=tuple(a for a in range(3) if a != axis)))
        for axis in range(3)
    ]
    if not planes[0].size:
        return ""
    corners = np.array([*product(*((inside[0], inside[-1]) for inside in planes))])
    places = geometry.to_ras_mm(corners)
    return " ".join(f"{n:.1f}" for n in (*places.min(axis=0), *places.max(axis=0)))


def fill_places(lesions: tuple[Lesion, ...], settings: Mapping[str, object]) -> tuple[Lesion, ...]:
    """Return the lesions with the place of each, from what a result's settings hold of the head.

    Structure and side by the brain's box; else side and outer thirds of the head, as "left
    anterior superior" or "right central". Lesions that have a place, or no box, stay as they are.
    """
    brain, head = settings.get(BOX_SETTING), settings.get(HEAD_SETTING)
    if isinstance(brain, str):
        box = BoxPlaces.parse(brain)
        return tuple(
            one if one.place else replace(one, place=box.name(one.centroid_ras_mm))
            for one in lesions
        )
    if not isinstance(head, str) or not head:
        return lesions
    corners = np.array([float(word) for word in head.split()]).reshape(2, 3)
    return tuple(
        one if one.place else replace(one, place=_thirds(one, *corners)) for one in lesions
    )


def _thirds(lesion: Lesion, low: NDArray[np.float64], high: NDArray[np.float64]) -> str:
    share = (np.array(lesion.centroid_ras_mm) - low) / np.maximum(high - low, 1e-6)
    words = [
        before if part < 1 / 3 else after
        for part, (before, after) in zip(share[1:].tolist(), THIRDS, strict=True)
        if not 1 / 3 <= part <= 2 / 3
    ]
    side = [] if lesion.side == "unknown" else [lesion.side]
    return " ".join([*side, *(words or ["central"])])


def _turn_to_template(places: NDArray[np.float64]) -> float:
    """Return the turn about the x axis that gives the brain's long axis the template's rise."""
    (yy, yz), (_, zz) = np.cov(places[:, 1:].T)
    return float(TEMPLATE_PITCH - 0.5 * np.arctan2(2 * yz, yy - zz))


def _turn(angle: float) -> NDArray[np.float64]:
    """Return the rotation about the x axis by an angle in radians."""
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array(((1.0, 0.0, 0.0), (0.0, cosine, -sine), (0.0, sine, cosine)))


def region_of(x: float, y: float, z: float) -> str:
    """Return the region at a place of the MNI152 template in RAS mm, x from the middle outward."""
    if x < 13 and -46 < y < -14 and z < -5:
        return "brain stem"
    tentorium = -8.0 if x < 12 else -17.0
    if z < tentorium and y < -38:
        return "cerebellar hemisphere"
    basal_ganglia = 8 < x < 36 and -15 < y < 20 and -9 < z < 17
    caudate = 8 < x < 22 and -15 < y < 26 and 10 < z < 24
    thalamus = 2 < x < 24 and -32 < y < -2 and -2 < z < 17
    if basal_ganglia or caudate or thalamus:
        return "basal ganglia or thalamus"
    return f"{lobe_of(x, y, z)} lobe"
