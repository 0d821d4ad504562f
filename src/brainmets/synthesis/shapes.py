"""Lesion shapes: noise-deformed ellipsoids with lobes, and shapes of real expert masks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from brainmets.synthesis.fields import blur, smooth_noise
from brainmets.synthesis.morphology import components, distance_mm, sample_at

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from brainmets.domain.volume import Mask
    from brainmets.synthesis.parameters import LesionParameters

__all__ = ["ShapeLibrary", "level_set", "random_rotation"]

SMALLEST_LIBRARY_MM3 = 60.0
"""Smaller real lesions hold too few voxels to have a shape of their own."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ShapeLibrary:
    """Level sets of real lesions, each scaled to a sphere-equivalent radius of 1.

    `levels` are float32 (n, n, n) grids over (−half_width … half_width)³, negative inside.
    Built at run time from masks the user has; never part of the package.
    """

    levels: tuple[NDArray[np.float32], ...]
    half_width: float = 2.6

    @classmethod
    def of(cls, masks: Iterable[Mask], *, core: tuple[int, ...] = (1, 3), points: int = 40) -> Self:
        """Collect the connected components of the `core` labels of expert masks."""
        from scipy import ndimage

        levels: list[NDArray[np.float32]] = []
        for mask in masks:
            numbers, _ = components(np.isin(mask.data, core))
            spacing = np.array(mask.geometry.spacing_mm)
            for number, where in enumerate(ndimage.find_objects(numbers), start=1):
                inside = np.pad(numbers[where] == number, 1)
                volume = inside.sum() * spacing.prod()
                if volume < SMALLEST_LIBRARY_MM3:
                    continue
                levels.append(_level_of(inside, spacing, volume, cls.half_width_default(), points))
        return cls(levels=tuple(levels))

    @staticmethod
    def half_width_default() -> float:
        """Return how far, in radii, a kept shape reaches."""
        return 2.6

    def level(self, index: int, position: NDArray[np.float32]) -> NDArray[np.float32]:
        """Evaluate shape `index` at positions (3, …) in radii; negative inside."""
        grid = self.levels[index % len(self.levels)]
        within = np.clip(position, -self.half_width, self.half_width)
        at = (within / self.half_width + 1) * ((len(grid) - 1) / 2)
        return sample_at(grid, at) + _length(position - within)


def _level_of(
    inside: NDArray[np.bool_],
    spacing: NDArray[np.floating],
    volume_mm3: float,
    half_width: float,
    points: int,
) -> NDArray[np.float32]:
    from scipy import ndimage

    radius = (volume_mm3 * 3 / (4 * np.pi)) ** (1 / 3)
    step = (float(spacing[0]), float(spacing[1]), float(spacing[2]))
    signed = distance_mm(~inside, step) - distance_mm(inside, step)
    signed = blur(signed, (0.6, 0.6, 0.6)) / np.float32(radius)
    centre = np.array(ndimage.center_of_mass(inside))
    line = np.linspace(-half_width, half_width, points)
    grid = np.stack(np.meshgrid(line, line, line, indexing="ij"))
    at = grid * radius / spacing[:, None, None, None] + centre[:, None, None, None]
    edge = np.array(inside.shape)[:, None, None, None] - 1
    beyond = np.linalg.norm((at - np.clip(at, 0, edge)) * spacing[:, None, None, None], axis=0)
    values = sample_at(signed, at)
    return (values + beyond / radius).astype(np.float32)


def random_rotation(rng: np.random.Generator) -> NDArray[np.float32]:
    """Return a rotation, uniformly distributed."""
    matrix, upper = np.linalg.qr(rng.standard_normal((3, 3)))
    matrix = matrix * np.sign(np.diag(upper))
    if np.linalg.det(matrix) < 0:
        matrix[:, 0] *= -1
    return matrix.astype(np.float32)


def level_set(
    lesion: LesionParameters,
    lines_mm: tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]],
    rng: np.random.Generator,
    library: ShapeLibrary | None,
) -> NDArray[np.float32]:
    """Return about the distance in mm to the lesion's surface (X, Y, Z), negative inside.

    `lines_mm` are the positions of voxel centres along each axis, relative to the lesion's
    centre. The volume enclosed is only roughly that of the diameter: the caller shifts the
    level to match it.
    """
    radius = lesion.diameter_mm / 2
    turned = _turned(lines_mm, random_rotation(rng) / np.float32(radius))
    shape = (len(lines_mm[0]), len(lines_mm[1]), len(lines_mm[2]))
    step = max(float(np.ptp(lines_mm[0])) / max(shape[0] - 1, 1), 1e-3)
    noise = smooth_noise(rng, shape, max(2.0, lesion.grain * radius / step))
    if lesion.from_library and library is not None and library.levels:
        level = library.level(int(rng.integers(len(library.levels))), turned)
        level += np.float32(0.3 * lesion.roughness) * noise
        return level * np.float32(radius)
    axes = np.array(lesion.axes, dtype=np.float32)[:, None, None, None]
    level = _length(turned / axes) - np.float32(1)
    for _ in range(lesion.lobes - 1):
        size = rng.uniform(0.4, 0.85)
        towards = rng.standard_normal(3)
        towards *= rng.uniform(0.6, 1.1) / np.linalg.norm(towards)
        other = _length(turned - towards.astype(np.float32)[:, None, None, None])
        level = _soft_minimum(level, other - np.float32(size), 0.18)
    level += np.float32(lesion.roughness) * noise
    level *= np.float32(radius)
    return level


def _turned(
    lines: tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]],
    matrix: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Return positions (3, X, Y, Z) on the grid of `lines`, multiplied by `matrix`."""
    x, y, z = lines
    rows = [
        (a * x)[:, None, None] + (b * y)[None, :, None] + (c * z)[None, None, :]
        for a, b, c in matrix.T
    ]
    return np.stack(rows).astype(np.float32, copy=False)


def _length(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Euclidean length over the first axis."""
    total = np.square(vectors[0])
    total += np.square(vectors[1])
    total += np.square(vectors[2])
    return np.sqrt(total, out=total)


def _soft_minimum(
    a: NDArray[np.float32], b: NDArray[np.float32], width: float
) -> NDArray[np.float32]:
    blend = np.maximum(width - np.abs(a - b), 0) / width
    return np.minimum(a, b) - (blend * blend * (width / 4)).astype(np.float32)
