"""Whether a scan is stored as its mirror image: left and right exchanged.

A head fits its own mirror image fairly well, but fits itself far better: the folds of the two
halves differ. So both are tried.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from brainmets.domain import RigidMotion
from brainmets.registration.refine import Refiner

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from brainmets.domain import Geometry
    from brainmets.registration.pyramid import Level

__all__ = ["flipped", "mirrored_similarity"]

COARSE_STEPS, MIDDLE_STEPS = 12, 15
MIDDLE_POINTS = 8_000


def mirrored_similarity(
    fixed: tuple[Level, ...], moving: tuple[Level, ...], motion: RigidMotion
) -> tuple[float, float]:
    """Return how well a head fits another under a motion, and its mirror image near that motion.

    Both at the middle level, so that they compare; -1…1.
    """
    other = tuple(flipped(level) for level in moving)
    coarse = Refiner(fixed[0], other[0])
    middle = Refiner(fixed[1], other[1], most_points=MIDDLE_POINTS)
    as_is = Refiner(fixed[1], moving[1], most_points=MIDDLE_POINTS).compare(motion).similarity
    best = -1.0
    for start in _starts(fixed[1], moving[1].geometry, motion):
        found = middle.refine(
            coarse.refine(start, most_steps=COARSE_STEPS), most_steps=MIDDLE_STEPS
        )
        best = max(best, middle.compare(found).similarity)
    return as_is, best


def _side_axis(geometry: Geometry) -> int:
    return next(axis for axis, (ras, _) in enumerate(geometry.closest_axes) if ras == 0)


def flipped(level: Level) -> Level:
    """Return the level with left and right exchanged in its grid."""
    axis = _side_axis(level.geometry)
    return replace(
        level,
        values=np.ascontiguousarray(np.flip(level.values, axis)),
        weight=np.ascontiguousarray(np.flip(level.weight, axis)),
    )


def _starts(fixed: Level, moving: Geometry, motion: RigidMotion) -> tuple[RigidMotion, ...]:
    """Return the motion as it is, and turned as if the fixed head lay straight in its grid."""
    axis = _side_axis(moving)
    normal = moving.affine[:3, axis] / moving.spacing_mm[axis]
    centre = moving.to_ras_mm((np.array(moving.shape) - 1) / 2)
    places = np.argwhere(fixed.weight > 0)
    head = fixed.geometry.to_ras_mm(places.mean(axis=0)) if len(places) else np.zeros(3)
    turned = (
        _reflection(normal, centre) @ motion.matrix @ _reflection(np.array([1.0, 0.0, 0.0]), head)
    )
    return motion, RigidMotion(matrix=turned)


def _reflection(
    normal: NDArray[np.float64], through_mm: NDArray[np.float64]
) -> NDArray[np.float64]:
    matrix = np.eye(4)
    matrix[:3, :3] -= 2.0 * np.outer(normal, normal)
    matrix[:3, 3] = 2.0 * normal * float(normal @ through_mm)
    return matrix
