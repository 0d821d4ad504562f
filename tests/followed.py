"""Scans of a follow-up made by hand: boxes on a grid of 1 mm, with the diameters we say."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from brainmets.domain import Geometry, Lesion, Mask, RigidMotion
from brainmets.tracking import TimePoint

if TYPE_CHECKING:
    from brainmets.tracking.timepoint import Box

SHAPE = (80, 60, 40)


class Spot(NamedTuple):
    """A lesion: the first voxel of its box, the box's size, its longest diameter, across it."""

    corner: tuple[int, int, int]
    size: tuple[int, int, int]
    diameter_mm: float
    across_mm: float = 6.0


def spot(x: int, diameter_mm: float, *, y: int = 20, z: int = 20, side: int = 6) -> Spot:
    """A cube of `side` voxels at (x, y, z) whose diameter is what we say it is."""
    return Spot((x, y, z), (side, side, side), diameter_mm)


def scan(
    *spots: Spot,
    days: int | None = None,
    shape: tuple[int, int, int] = SHAPE,
    affine: np.ndarray | None = None,
    motion: RigidMotion | None = None,
    field: Box | None = None,
) -> TimePoint:
    geometry = Geometry(shape=shape, affine=np.eye(4) if affine is None else affine)
    data = np.zeros(shape, dtype=np.uint8)
    lesions: list[Lesion] = []
    for number, one in enumerate(spots, start=1):
        box = tuple(slice(a, a + n) for a, n in zip(one.corner, one.size, strict=True))
        data[box] = number
        middle = np.array(one.corner) + (np.array(one.size) - 1) / 2
        voxels = int(np.count_nonzero(data == number))
        lesions.append(
            Lesion(
                id=number,
                voxels=voxels,
                volume_mm3=voxels * geometry.voxel_volume_mm3,
                diameter_in_plane_mm=one.diameter_mm,
                perpendicular_mm=one.across_mm,
                diameter_3d_mm=one.diameter_mm,
                centroid_ras_mm=tuple(geometry.to_ras_mm(middle).tolist()),
                centroid_voxel=tuple(middle.tolist()),
                slice_index=round(float(middle[2])),
                side="unknown",
                peak_probability=0.9,
                mean_probability=0.8,
            )
        )
    return TimePoint(
        mask=Mask(data=data, geometry=geometry),
        lesions=tuple(lesions),
        motion=motion or RigidMotion.identity(),
        days=days,
        field=field,
    )
