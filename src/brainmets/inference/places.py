"""Where a lesion is, in the words of a report: side and structure, lobes approximately.

In a skull-stripped head, from its place in the brain's box: approximately.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from brainmets.domain.structures import Structure

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from brainmets.domain import Geometry, Lesion, Mask
    from brainmets.domain.structure_map import StructureMap

__all__ = [
    "BOX_SETTING",
    "HEAD_SETTING",
    "BoxPlaces",
    "Places",
    "fill_places",
    "head_box",
    "name_lesions",
    "region_of",
]

REACH_MM = 6.0
"""A lesion is where most of the brain within this distance of its border is."""

OUTSIDE_MM = 3.0
"""A centre further than this outside the brain is at its surface, not in it."""

MOST_VOXELS = 2000
"""Of a lesion's voxels, spread evenly, from which its place is derived."""

APPROXIMATE = "(approximate)"

CEREBRUM_LOW = np.array((-69.0, -105.0, -46.0))
CEREBRUM_HIGH = np.array((69.0, 71.0, 79.0))
"""Box around the cerebrum in the MNI152 template, in RAS mm (Evans et al., NeuroImage 2012)."""

_CEREBRAL = {
    Structure.LEFT_WHITE_MATTER,
    Structure.RIGHT_WHITE_MATTER,
    Structure.LEFT_CORTEX,
    Structure.RIGHT_CORTEX,
}
_NAMES = {
    Structure.LEFT_DEEP_GREY: "left deep grey matter",
    Structure.RIGHT_DEEP_GREY: "right deep grey matter",
    Structure.LEFT_VENTRICLE: "left lateral ventricle",
    Structure.RIGHT_VENTRICLE: "right lateral ventricle",
    Structure.MIDDLE_VENTRICLES: "third or fourth ventricle",
    Structure.LEFT_CEREBELLUM: "left cerebellar hemisphere",
    Structure.RIGHT_CEREBELLUM: "right cerebellar hemisphere",
    Structure.BRAIN_STEM: "brain stem",
}
_VENTRICLES = {
    Structure.LEFT_VENTRICLE,
    Structure.RIGHT_VENTRICLE,
    Structure.MIDDLE_VENTRICLES,
}


class Places:
    """Names places in one head whose structures are known."""

    def __init__(self, anatomy: StructureMap) -> None:
        """Measure the box around the cerebrum, from which lobes are derived."""
        self._anatomy = anatomy
        cerebral = np.isin(anatomy.structures, [int(s) for s in _CEREBRAL]) & anatomy.brain
        self._low, self._high = _box(cerebral)

    def name(self, voxels_ras_mm: NDArray[np.float64]) -> str:
        """Name where a lesion is, from its voxels' centres (n, 3) in RAS mm.

        Example: "right cerebellar hemisphere", "left frontal lobe (approximate)", "brain stem".
        Empty where the anatomy does not tell.
        """
        anatomy = self._anatomy
        if not anatomy.has_brain:
            return ""
        structure = self._structure(voxels_ras_mm)
        if structure is None:
            return ""
        centre = voxels_ras_mm.mean(axis=0)
        if structure in _CEREBRAL:
            side = "left" if "LEFT" in structure.name else "right"
            place = f"{side} {self._lobe(centre)} lobe {APPROXIMATE}"
        else:
            place = _NAMES[structure]
        outside = float(anatomy.distance_mm(centre)[0])
        return f"surface next to {place}" if outside > OUTSIDE_MM else place

    def _structure(self, voxels_ras_mm: NDArray[np.float64]) -> Structure | None:
        """Return the structure that most voxels in and around a lesion belong to.

        A lesion looks unlike the tissue it grew in: its surroundings count as well. Ventricles
        count only where they hold the lesion's middle.
        """
        anatomy = self._anatomy
        spacing = np.array(anatomy.geometry.spacing_mm)
        at = anatomy.geometry.to_voxel(voxels_ras_mm)
        reach = np.ceil(REACH_MM / spacing)
        limits = np.array(anatomy.structures.shape)
        low = np.clip(np.floor(at.min(axis=0) - reach), 0, limits - 1).astype(int)
        high = np.clip(np.ceil(at.max(axis=0) + reach) + 1, low + 1, limits).astype(int)
        box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        structures = anatomy.structures[box]
        centre = at.mean(axis=0)
        radius = np.linalg.norm((at - centre) * spacing, axis=1).max() + REACH_MM
        grid = np.stack(np.meshgrid(*(np.arange(a, b) for a, b in zip(low, high, strict=True)),
                                    indexing="ij"), axis=-1)  # fmt: skip
        away = np.linalg.norm((grid - centre) * spacing, axis=-1)
        for most in (radius, radius + 10.0, radius + 25.0):
            counted = Counter[Structure]()
            for value in np.unique(structures):
                structure = Structure(int(value))
                if structure in _CEREBRAL or structure in _NAMES:
                    near = away[(structures == value) & (away <= most)]
                    counted[structure] = int(1000 * np.sum(1 / (1 + near)))
            middle = Structure(int(anatomy.structure_at(voxels_ras_mm.mean(axis=0))[0]))
            if middle not in _VENTRICLES:
                for structure in _VENTRICLES:
                    counted.pop(structure, None)
            together = _sided(counted)
            if together:
                return together
        return None

    def _lobe(self, centre_ras_mm: NDArray[np.float64]) -> str:
        """Tell the lobe from the place in the cerebrum's box, registered to the MNI template's."""
        at = self._anatomy.geometry.to_voxel(centre_ras_mm)
        share = (at - self._low) / np.maximum(self._high - self._low, 1)
        x, y, z = CEREBRUM_LOW + share * (CEREBRUM_HIGH - CEREBRUM_LOW)
        return lobe_of(abs(float(x)), float(y), float(z))


def name_lesions(
    lesions: tuple[Lesion, ...], mask: Mask, structures: StructureMap
) -> tuple[Lesion, ...]:
    """Return the lesions with the place of each in the words of a report.

    `mask` holds their ids on its own grid.
    """
    if not lesions:
        return lesions
    places = Places(structures)
    at = np.argwhere(mask.data)
    ids = mask.data[tuple(at.T)]
    named: list[Lesion] = []
    for lesion in lesions:
        voxels = at[ids == lesion.id]
        some = voxels[:: max(1, len(voxels) // MOST_VOXELS)]
        named.append(replace(lesion, place=places.name(mask.geometry.to_ras_mm(some))))
    return tuple(named)


def lobe_of(x: float, y: float, z: float) -> str:
    """Return the lobe at a place of the MNI152 template in RAS mm, x from the middle outward.

    Straight lines stand for the lateral fissure, the central and the parieto-occipital sulcus;
    drawn by hand from the template: right in the middle of a lobe, doubtful within about 10 mm
    of its borders.
    """
    lateral_fissure = -4.0 - 0.55 * y  # from (20, -15) up to (-45, 21)
    beside_trigone = y < -40 and z > 5 and x < 36  # deep: parietal or occipital
    if z < min(lateral_fissure, 20.0) and -62 < y < 22 and x > 18 and not beside_trigone:
        return "temporal"
    if y < -62 - 0.2 * max(z, 0.0) and (z < 45 or y < -85):
        return "occipital"
    central_sulcus = -5.0 - 0.45 * max(z - 15.0, 0.0)
    if y > central_sulcus:
        return "frontal"
    if y < -55 and z < 10:
        return "occipital"
    return "parietal"


def _sided(counted: Counter[Structure]) -> Structure | None:
    """Return the commonest structure, white matter and cortex of a side taken together."""
    joined = Counter[Structure]()
    for structure, count in counted.items():
        if structure == Structure.LEFT_CORTEX:
            joined[Structure.LEFT_WHITE_MATTER] += count
        elif structure == Structure.RIGHT_CORTEX:
            joined[Structure.RIGHT_WHITE_MATTER] += count
        else:
            joined[structure] += count
    best = joined.most_common(1)
    return best[0][0] if best and best[0][1] > 0 else None


def _box(there: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """First and last voxel along each axis, a thousandth of the voxels left out at each end."""
    at = np.argwhere(there)
    if not len(at):
        return np.zeros(3), np.ones(3)
    return np.percentile(at, 0.1, axis=0), np.percentile(at, 99.9, axis=0)


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

MOST_BOX_VOXELS = 100_000

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
        places = geometry.to_ras_mm(voxels[:: max(1, len(voxels) // MOST_BOX_VOXELS)])
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
