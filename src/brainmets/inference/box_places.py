"""Where a lesion is in a skull-stripped head, from its place in the brain's box: approximately."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from brainmets.inference.places import APPROXIMATE, lobe_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from brainmets.domain import Geometry, Lesion

__all__ = ["BOX_SETTING", "BoxPlaces", "name_by_box", "region_of"]

BOX_SETTING = "brain_box"
"""Under which a result's settings hold the box, so that places can be named again."""

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


def name_by_box(lesions: tuple[Lesion, ...], box: BoxPlaces | None) -> tuple[Lesion, ...]:
    """Return the lesions with the place of each; as they are where there is no box."""
    if box is None:
        return lesions
    return tuple(replace(one, place=box.name(one.centroid_ras_mm)) for one in lesions)


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
