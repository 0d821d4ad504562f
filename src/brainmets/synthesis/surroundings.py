"""What lies where no lesion is: the tissues a network must tell lesions from."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np

from brainmets.synthesis.labels import BRAIN, Tissue
from brainmets.synthesis.lesions import OEDEMA

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from brainmets.synthesis.acquisition import SlicePlan
    from brainmets.synthesis.enhancement import Scene

__all__ = ["Surroundings", "surroundings_of"]


class Surroundings(IntEnum):
    """Classes of what surrounds lesions; 0 in a mask is where nothing is known."""

    OUTSIDE = 1
    """Air, and everything beyond the brain and its coverings: skull, scalp, eyes, face."""
    BRAIN = 2
    FLUID = 3
    ENHANCING = 4
    """Normal enhancement of place: dural sinuses, dura, plexus, pituitary, cavernous sinus."""
    VESSEL = 5
    OEDEMA = 6


FLUID = (Tissue.FLUID, Tissue.VENTRICLE, Tissue.CHIASM)
HALF = 128
THIN = 77
"""Of 255: vessels finer than a voxel still show."""


def surroundings_of(
    scene: Scene,
    classes: NDArray[np.uint8],
    *,
    keep: NDArray[np.bool_] | None,
    plan: SlicePlan | None,
) -> NDArray[np.uint8]:
    """Return the class of every voxel, lesions' included, of a head that has been painted.

    Args:
        scene: the head.
        classes: of its lesions, as `SyntheticCase.classes`, on the scene's grid.
        keep: what is left of it after skull-stripping, if it was stripped.
        plan: slices whose grid the answer is wanted on; each takes its middle plane.
    """
    table = np.full(256, Surroundings.OUTSIDE, dtype=np.uint8)
    table[list(BRAIN)] = Surroundings.BRAIN
    table[list(FLUID)] = Surroundings.FLUID
    found = table[scene.channels["tissue"]]
    found[scene.vessels >= THIN] = Surroundings.VESSEL
    found[scene.normal >= HALF] = Surroundings.ENHANCING
    found[classes == OEDEMA] = Surroundings.OEDEMA
    if keep is not None:
        found[~keep] = Surroundings.OUTSIDE
    if plan is not None:
        found = np.take(found, plan.average.argmax(axis=1), axis=plan.axis)
    return found
