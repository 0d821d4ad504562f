"""An analytic head with lesions of known volume, for tests and first steps; not for training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from brainmets.domain.volume import Mask, Volume

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from brainmets.domain.geometry import Geometry

__all__ = ["HeadPhantom", "PhantomLesion"]

HEAD_RADII_MM = (78.0, 96.0, 90.0)
BRAIN_RADII_MM = (66.0, 83.0, 72.0)
VENTRICLE_RADII_MM = (9.0, 24.0, 11.0)
VENTRICLE_OFFSET_MM = 13.0

SCALP, SKULL, CORTEX, WHITE, FLUID, RIM, NECROSIS = 620.0, 90.0, 380.0, 480.0, 160.0, 980.0, 260.0
"""T1c-like intensities, arbitrary units."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhantomLesion:
    """An ellipsoid metastasis; `core_fraction` of each radius is necrosis inside a bright ring."""

    centre_ras_mm: tuple[float, float, float]
    radii_mm: tuple[float, float, float]
    core_fraction: float = 0.0

    @property
    def volume_mm3(self) -> float:
        """Exact volume, 4/3 π abc."""
        a, b, c = self.radii_mm
        return 4.0 / 3.0 * np.pi * a * b * c


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadPhantom:
    """A head of nested ellipsoids around the RAS+ origin, rendered on any grid.

    `stripped` leaves out scalp and skull. `noise` is the standard deviation in units of white
    matter. The same seed gives the same noise for the same shape.
    """

    lesions: tuple[PhantomLesion, ...] = (
        PhantomLesion(
            centre_ras_mm=(34.0, 22.0, 18.0), radii_mm=(9.0, 8.0, 8.0), core_fraction=0.6
        ),
        PhantomLesion(centre_ras_mm=(-38.0, -30.0, 10.0), radii_mm=(4.0, 4.0, 4.0)),
        PhantomLesion(centre_ras_mm=(18.0, -48.0, -22.0), radii_mm=(2.0, 2.0, 2.0)),
    )
    stripped: bool = False
    noise: float = 0.03
    seed: int = 0

    def render(self, geometry: Geometry) -> tuple[Volume, Mask]:
        """Sample at voxel centres; return the image and a mask numbering the lesions 1…n."""
        ras_mm = _voxel_centres_ras_mm(geometry)
        image = np.zeros(geometry.shape, dtype=np.float64)
        if not self.stripped:
            image[_inside(ras_mm, (0.0, 0.0, 0.0), HEAD_RADII_MM)] = SCALP
            skull = (BRAIN_RADII_MM[0] + 6.0, BRAIN_RADII_MM[1] + 6.0, BRAIN_RADII_MM[2] + 8.0)
            image[_inside(ras_mm, (0.0, 0.0, 0.0), skull)] = SKULL
        image[_inside(ras_mm, (0.0, 0.0, 0.0), BRAIN_RADII_MM)] = CORTEX
        white = (BRAIN_RADII_MM[0] - 6.0, BRAIN_RADII_MM[1] - 6.0, BRAIN_RADII_MM[2] - 6.0)
        image[_inside(ras_mm, (0.0, 0.0, 0.0), white)] = WHITE
        for side in (-1.0, 1.0):
            centre = (side * VENTRICLE_OFFSET_MM, 0.0, 8.0)
            image[_inside(ras_mm, centre, VENTRICLE_RADII_MM)] = FLUID

        labels = np.zeros(geometry.shape, dtype=np.uint8)
        for number, lesion in enumerate(self.lesions, start=1):
            inside = _inside(ras_mm, lesion.centre_ras_mm, lesion.radii_mm)
            image[inside] = RIM
            labels[inside] = number
            if lesion.core_fraction > 0:
                a, b, c = (r * lesion.core_fraction for r in lesion.radii_mm)
                image[_inside(ras_mm, lesion.centre_ras_mm, (a, b, c))] = NECROSIS

        noise = np.random.default_rng(self.seed).normal(0.0, self.noise * WHITE, geometry.shape)
        noisy = np.where(image > 0, np.maximum(image + noise, 0.0), 0.0)
        return (
            Volume(data=noisy.astype(np.float32), geometry=geometry),
            Mask(data=labels, geometry=geometry),
        )


def _voxel_centres_ras_mm(geometry: Geometry) -> NDArray[np.float64]:
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in geometry.shape), indexing="ij"), axis=-1)
    return geometry.to_ras_mm(grid)


def _inside(
    ras_mm: NDArray[np.float64],
    centre_mm: tuple[float, float, float],
    radii_mm: tuple[float, float, float],
) -> NDArray[np.bool_]:
    scaled = (ras_mm - np.array(centre_mm)) / np.array(radii_mm)
    return np.einsum("...i,...i->...", scaled, scaled) <= 1.0
