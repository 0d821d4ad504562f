"""A made-up anatomy: a brain of boxes and ellipsoids in a head, all sides known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from brainmets.domain import Geometry
from brainmets.domain.structures import BRAIN_STRUCTURES, Structure
from brainmets.inference.anatomy import Anatomy, close_brain

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHAPE = (96, 112, 96)
CENTRE = np.array((0.0, -17.0, 17.0))
"""Middle of the cerebrum in RAS mm; its box is that of the MNI template."""


def made_anatomy(*, stripped: bool = False, empty: bool = False) -> Anatomy:
    """Return an anatomy at 2 mm, left at negative x."""
    affine = np.diag((2.0, 2.0, 2.0, 1.0))
    affine[:3, 3] = CENTRE - (np.array(SHAPE) - 1)
    geometry = Geometry(shape=SHAPE, affine=affine)
    x, y, z = np.moveaxis(_places(geometry), -1, 0)
    structures = np.zeros(SHAPE, dtype=np.uint8)
    if not stripped:
        head = _ellipsoid((x, y, z), (0, -10, 5), (82, 100, 92))
        structures[head] = Structure.OUTSIDE_BRAIN
        fluid = _ellipsoid((x, y, z), tuple(CENTRE), (72, 92, 66))
        structures[fluid] = Structure.FLUID
    if not empty:
        cerebrum = _ellipsoid((x, y, z), tuple(CENTRE), (69, 88, 62.5))
        structures[cerebrum & (x < 0)] = Structure.LEFT_WHITE_MATTER
        structures[cerebrum & (x >= 0)] = Structure.RIGHT_WHITE_MATTER
        cerebellum = _ellipsoid((x, y, z), (0, -62, -42), (50, 28, 18)) & ~cerebrum
        structures[cerebellum & (x < 0)] = Structure.LEFT_CEREBELLUM
        structures[cerebellum & (x >= 0)] = Structure.RIGHT_CEREBELLUM
        structures[(abs(x) < 12) & (abs(y + 28) < 12) & (z < -12) & (z > -58)] = (
            Structure.BRAIN_STEM
        )
        structures[_ellipsoid((x, y, z), (-18, -5, 8), (8, 18, 10))] = Structure.LEFT_DEEP_GREY
        structures[_ellipsoid((x, y, z), (18, -5, 8), (8, 18, 10))] = Structure.RIGHT_DEEP_GREY
        structures[_ellipsoid((x, y, z), (-12, -25, 25), (6, 25, 8))] = Structure.LEFT_VENTRICLE
        structures[_ellipsoid((x, y, z), (12, -25, 25), (6, 25, 8))] = Structure.RIGHT_VENTRICLE
    brain = close_brain(np.isin(structures, BRAIN_STRUCTURES), geometry.spacing_mm)
    return Anatomy(
        structures=structures,
        brain=brain,
        shares=shares_of(structures),
        certainty=np.ones(SHAPE, dtype=np.float32),
        image=(structures > 0).astype(np.float32),
        foreground=structures > 0,
        geometry=geometry,
        model_sha256="0" * 64,
    )


def shares_of(structures: NDArray[np.uint8]) -> NDArray[np.float16]:
    """Return the likelihood of each structure where the network is sure of all."""
    return (structures == np.arange(len(Structure))[:, None, None, None]).astype(np.float16)


def ball(centre_ras_mm: tuple[float, float, float], radius_mm: float) -> NDArray[np.float64]:
    """Return places (n, 3) in RAS mm that fill a ball, 1 mm apart."""
    steps = np.arange(-radius_mm, radius_mm + 0.5)
    grid = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3)
    return grid[np.linalg.norm(grid, axis=1) <= radius_mm] + np.array(centre_ras_mm)


def _places(geometry: Geometry) -> NDArray[np.float64]:
    grid = np.stack(np.meshgrid(*map(np.arange, geometry.shape), indexing="ij"), axis=-1)
    return geometry.to_ras_mm(grid)


def _ellipsoid(
    at: tuple[NDArray[np.float64], ...],
    centre: tuple[float, ...],
    radii: tuple[float, ...],
) -> NDArray[np.bool_]:
    return sum(((a - c) / r) ** 2 for a, c, r in zip(at, centre, radii, strict=True)) <= 1
