"""Bending a labelled head: affine, elastic and pushed aside by large lesions, in one gather."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from brainmets.domain.geometry import Geometry
from brainmets.synthesis.anatomy import CHANNELS, OUTSIDE
from brainmets.synthesis.fields import generator, spline_matrix
from brainmets.synthesis.morphology import sample_at

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from brainmets.synthesis.anatomy import Anatomy
    from brainmets.synthesis.parameters import SynthesisParameters

__all__ = ["Deformation"]

SLAB = 8
"""Planes bent at a time: the working set then stays in the cache."""
BRAIN_MARGIN_MM = 8
INVERSE_STEPS = 6


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Deformation:
    """Maps output voxels to label-map voxels: `source = matrix · output + offset + elastic`.

    `control` (3, a, b, c) are the spline's control displacements over the output box of `shape`
    at 1 mm.
    """

    matrix: NDArray[np.float64]
    offset: NDArray[np.float64]
    control: NDArray[np.float32]
    shape: tuple[int, int, int]
    geometry: Geometry

    @classmethod
    def of(cls, anatomy: Anatomy, parameters: SynthesisParameters) -> Self:
        """Lay the output box around the bent head, or around the bent brain if it is stripped."""
        wish = parameters.deforming
        start, stop = (np.array(corner, dtype=float) for corner in anatomy.brain_box)
        centre = (start + stop - 1) / 2
        forward = _affine(wish.rotation_deg, wish.scale, wish.shear)
        if wish.flip:
            forward = forward @ np.diag([-1.0, 1.0, 1.0])
        if parameters.stripped:
            low, high = start - BRAIN_MARGIN_MM, stop - 1 + BRAIN_MARGIN_MM
        else:
            low, high = np.zeros(3), np.array(anatomy.geometry.shape) - 1.0
            low[2] = max(0.0, start[2] - wish.below_mm)
        corners = np.array(np.meshgrid(*zip(low, high, strict=True))).reshape(3, -1).T - centre
        moved = corners @ forward.T
        # The head is rounder than its box: its corners may leave the picture.
        reach = np.maximum(
            np.abs(moved).min(axis=0), 1.0 * np.abs(corners @ np.diag(wish.scale)).max(axis=0)
        )
        size = np.ceil(2 * np.minimum(reach, np.abs(moved).max(axis=0))).astype(int) + 1
        middle = moved.min(axis=0) + moved.max(axis=0)
        shape = (int(size[0]), int(size[1]), int(size[2]))
        matrix = np.asarray(np.linalg.inv(forward), dtype=np.float64)
        output_centre = (size - 1) / 2 - middle / 2
        offset = centre - matrix @ output_centre
        rng = generator(parameters.seed, 3)
        points = [max(4, round(n / wish.elastic_length_mm) + 3) for n in shape]
        control = rng.standard_normal((3, *points), dtype=np.float32)
        control *= np.float32(wish.elastic_mm * (151.0 / 315.0) ** -1.5)
        # In millimetres the output box keeps the label map's place about the head's centre.
        affine = np.array(anatomy.geometry.affine)
        affine[:3, 3] = anatomy.geometry.to_ras_mm(centre) - affine[:3, :3] @ output_centre
        return cls(
            matrix=matrix,
            offset=offset,
            control=control,
            shape=shape,
            geometry=Geometry(shape=shape, affine=affine),
        )

    def apply(self, packed: NDArray[np.uint64]) -> dict[str, NDArray[np.uint8]]:
        """Gather all channels at the nearest label voxel; outside the label map is air."""
        bounds = packed.shape
        far = np.array([OUTSIDE.get(name, 0) for name in CHANNELS], dtype=np.uint8)
        air = far.view(np.uint64)[0]
        flat = packed.reshape(-1)
        out = {name: np.empty(self.shape, dtype=np.uint8) for name in CHANNELS}
        x, y, z = (
            spline_matrix(n, m) for n, m in zip(self.control.shape[1:], self.shape, strict=True)
        )
        i, j, k = (np.arange(n, dtype=np.float64) for n in self.shape)
        rows = np.tensordot(x, self.control, axes=(1, 1))  # (X, 3, b, c)
        for first in range(0, self.shape[0], SLAB):
            slab = slice(first, min(first + SLAB, self.shape[0]))
            planes = np.matmul(np.matmul(y, rows[slab]), z.T)  # (slab, 3, Y, Z)
            index = np.zeros((planes.shape[0], *self.shape[1:]), dtype=np.int32)
            outside = np.zeros(index.shape, dtype=bool)
            for axis in range(3):
                place = planes[:, axis]
                m = self.matrix[axis]
                in_slab = (m[0] * i[slab] + (self.offset[axis] + 0.5)).astype(np.float32)
                place += in_slab[:, None, None]
                place += (m[1] * j[:, None] + m[2] * k).astype(np.float32)
                outside |= place < 0
                voxel = place.astype(np.int32)
                outside |= voxel >= bounds[axis]
                index *= bounds[axis]
                index += voxel
            index[outside] = 0
            values = flat.take(index)
            values[outside] = air
            as_bytes = values.view(np.uint8).reshape(*index.shape, 8)
            for channel, name in enumerate(CHANNELS):
                out[name][slab] = as_bytes[..., channel]
        return out

    def forward(self, points: NDArray[np.floating]) -> NDArray[np.float32]:
        """Return where label-map positions (n, 3) go in the output, by fixed-point iteration."""
        inverse = np.linalg.inv(self.matrix)
        goal = np.asarray(points, dtype=np.float64) - self.offset
        place = goal @ inverse.T
        for _ in range(INVERSE_STEPS):
            place = (goal - self._displacement(place)) @ inverse.T
        return place.astype(np.float32)

    def _displacement(self, place: NDArray[np.float64]) -> NDArray[np.float64]:
        """Evaluate the spline at scattered output positions (n, 3)."""
        size = np.array(self.control.shape[1:])
        at = 1.0 + np.clip(place / (np.array(self.shape) - 1), 0, 1) * (size - 3)
        found = [sample_at(axis, at.T, order=3) for axis in self.control]
        return np.stack(found, axis=1).astype(np.float64)


def _affine(
    rotation_deg: tuple[float, float, float],
    scale: tuple[float, float, float],
    shear: tuple[float, float, float],
) -> NDArray[np.float64]:
    matrix = np.diag(scale).astype(np.float64)
    for axis, angle in enumerate(np.radians(rotation_deg)):
        a, b = [n for n in range(3) if n != axis]
        turn = np.eye(3)
        turn[a, a] = turn[b, b] = np.cos(angle)
        turn[a, b], turn[b, a] = -np.sin(angle), np.sin(angle)
        matrix = turn @ matrix
    skew = np.eye(3)
    skew[0, 1], skew[1, 2], skew[0, 2] = shear
    return skew @ matrix
