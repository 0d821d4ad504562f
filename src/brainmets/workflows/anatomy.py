"""The anatomy network at work: what lies outside the brain is left out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from brainmets.domain import Volume
from brainmets.inference.lesions import find_components

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from brainmets.domain import Case, Sequence
    from brainmets.inference import OperatingPoint
    from brainmets.inference.anatomy import Anatomy

__all__ = [
    "GROWN_MM",
    "Confined",
    "anatomy_settings",
    "confine_to_brain",
    "discarded_warnings",
    "main_sequence",
]

GROWN_MM = 8.0
"""A candidate whose centre lies further than this outside the brain is left out.

The brain mask ends at the cortex: fluid, dura and the inner table of the skull lie beyond it, and
metastases of the surface and of the dura with them.
"""

LEAST_PROBABILITY = 0.01
"""Voxels below this are no candidate's, whatever the threshold."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Confined:
    """A probability map without what lies outside the brain, and how many candidates that took.

    `discarded` counts components that would have been lesions at the operating point.
    """

    probability: Volume
    discarded: int


def confine_to_brain(probability: Volume, anatomy: Anatomy, point: OperatingPoint) -> Confined:
    """Set the probability to 0 where a candidate's centre is outside the brain, `GROWN_MM` on.

    A candidate inside keeps all of its voxels; loose voxels outside go at any probability, so
    that a lower threshold does not bring them back. Nothing changes in a head whose skull has
    been removed, or in which no brain was found.
    """
    unchanged = Confined(probability=probability, discarded=0)
    if not anatomy.has_brain or anatomy.is_stripped:
        return unchanged
    geometry = probability.geometry
    candidates = probability.data >= np.float32(point.threshold)
    data: NDArray[np.float32] | None = None
    discarded = 0
    kept = np.zeros(probability.data.shape, dtype=np.bool_)
    voxel_mm3 = geometry.voxel_volume_mm3
    for component in find_components(candidates, probability.data, "volume"):
        centre = geometry.to_ras_mm(component.voxels.mean(axis=0))
        at = tuple(component.voxels.T)
        if float(anatomy.distance_mm(centre)[0]) <= GROWN_MM:
            kept[at] = True
            continue
        data = np.array(probability.data) if data is None else data
        data[at] = 0.0
        large = len(component.voxels) * voxel_mm3 >= point.min_volume_mm3
        discarded += bool(large and component.probabilities.max() >= np.float32(point.peak))
    loose = np.argwhere((probability.data >= LEAST_PROBABILITY) & ~kept)
    if len(loose):
        far = loose[anatomy.distance_mm(geometry.to_ras_mm(loose)) > GROWN_MM]
        if len(far):
            data = np.array(probability.data) if data is None else data
            data[tuple(far.T)] = 0.0
    if data is None:
        return unchanged
    return Confined(probability=Volume(data=data, geometry=geometry), discarded=discarded)


def main_sequence(case: Case) -> Sequence:
    """Return the image from which the anatomy is derived: T1c where there is one."""
    return "t1c" if "t1c" in case.images else next(iter(case.images))


def anatomy_settings(
    anatomy: Anatomy | None, discarded: int
) -> dict[str, float | int | str | bool]:
    """Return what a result's provenance says of the anatomy network; nothing where it was off."""
    if anatomy is None:
        return {}
    return {
        "anatomy_sha256": anatomy.model_sha256,
        "brain_ml": round(anatomy.brain_ml, 1),
        "brain_grown_mm": GROWN_MM,
        "discarded_outside_brain": discarded,
    }


def discarded_warnings(discarded: int) -> tuple[str, ...]:
    """Say how many candidates were left out."""
    if not discarded:
        return ()
    words = "candidate was" if discarded == 1 else "candidates were"
    where = f"more than {GROWN_MM:.0f} mm outside the brain"
    return (f"{discarded} {words} left out: {where}.",)
