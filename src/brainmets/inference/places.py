"""Where a lesion is, in the words of a report: side and structure, lobes approximately."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from brainmets.domain.structures import Structure

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from brainmets.domain import Lesion, Mask
    from brainmets.domain.structure_map import StructureMap

__all__ = ["Places", "name_lesions"]

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
