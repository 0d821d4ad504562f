"""A head at several resolutions, its local contrast evened out: what registration compares.

Coil bias, another scanner's scaling and the amount of contrast agent change grey values slowly
over the head; edges stay. Each level therefore holds `(image - local mean) / local deviation`,
both taken within the head only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from brainmets.domain import Geometry
from brainmets.preprocessing.background import sample_places
from brainmets.preprocessing.intensity import separate
from brainmets.preprocessing.resampling import resample_axis, resample_centres

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from brainmets.domain import Volume

__all__ = ["Level", "build_pyramid"]

FINEST_MM = 2.0
LEVELS = 3
"""2, 4 and 8 mm: gyri, the ventricles, the head."""

LOCAL_MM = (10.0, 12.0, 12.0)
"""Reach (standard deviation) of what counts as local, from the finest level to the coarsest."""

FLOOR_SHARE = 0.15
"""Local contrast below this share of the head's own is noise and is not lifted to full size."""

HIGHEST = 3.0
"""Where local contrast is cut: vessels and fat say no more about place than other edges."""

TRACE_SHARE = 0.12
"""Of a head's usual brightness above its background: less is no tissue."""

RIM_MM = 4.0
"""Depth below the head's border that is not compared: skin moves, stripping cuts differently."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Level:
    """One resolution: evened contrast and its weight (i, j, k), float32, isotropic voxels."""

    values: NDArray[np.float32]
    weight: NDArray[np.float32]
    geometry: Geometry

    @property
    def spacing_mm(self) -> float:
        """Edge of a voxel."""
        return self.geometry.spacing_mm[0]


def build_pyramid(image: Volume) -> tuple[Level, ...]:
    """Return the levels of a head, coarsest first; axes stay the image's own."""
    voxels, head = separate(image.data)
    tissue = voxels[head]
    low, high = np.percentile(tissue[sample_places(tissue.size, 2_000_000)], (0.5, 99.5))
    data, geometry = _resampled(np.clip(voxels, low, high), image.geometry)
    outside = voxels[~head]
    nothing = (
        float(np.median(outside[sample_places(outside.size, 100_000)])) if outside.size else low
    )
    rough = _resampled(head.astype(np.float32), image.geometry)[0] > 0.5
    inside = _solid(rough & _filled(data - nothing, rough))
    levels: list[Level] = []
    for number in range(LEVELS):
        if number:
            data, geometry = _halved(data), _halved_geometry(geometry)
            inside = _halved(inside.astype(np.float32)) > 0.5
        levels.append(_level(data, inside, geometry, LOCAL_MM[number]))
    return tuple(reversed(levels))


def _level(
    data: NDArray[np.float32], inside: NDArray[np.bool_], geometry: Geometry, local_mm: float
) -> Level:
    from scipy import ndimage

    spacing = geometry.spacing_mm[0]
    sigma = local_mm / spacing

    def smooth(values: NDArray[np.float32]) -> NDArray[np.float32]:
        blurred = ndimage.gaussian_filter(values, sigma, mode="constant", truncate=2.5)
        return np.asarray(blurred, dtype=np.float32)

    weight = inside.astype(np.float32)
    mass = np.maximum(smooth(weight), 1e-3)
    centred = np.where(inside, data - smooth(data * weight) / mass, 0.0).astype(np.float32)
    spread = np.sqrt(smooth(centred**2) / mass)
    floor = FLOOR_SHARE * float(np.sqrt(np.mean(centred[inside] ** 2))) if inside.any() else 1.0
    values = np.clip(centred / (spread + (floor or 1.0)), -HIGHEST, HIGHEST)
    rim = max(1, round(RIM_MM / spacing))
    # beyond the edge of the field of view nothing is known: the border there is no skin
    core = ndimage.binary_erosion(inside, iterations=rim, border_value=1)
    core[_frame(core.shape)] = False
    return Level(
        values=np.where(inside, values, 0.0).astype(np.float32),
        weight=core.astype(np.float32),
        geometry=geometry,
    )


def _filled(difference: NDArray[np.float32], head: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Say where there is more than a trace, such as what cubic resampling leaves around a brain."""
    from scipy import ndimage

    amount = ndimage.uniform_filter(np.abs(difference), 3)
    usual = float(np.percentile(amount[head], 75)) if head.any() else 0.0
    return amount > TRACE_SHARE * usual


def _frame(shape: tuple[int, ...]) -> NDArray[np.bool_]:
    frame = np.ones(shape, dtype=np.bool_)
    frame[1:-1, 1:-1, 1:-1] = False
    return frame


def _solid(head: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Close the dark parts of a head: bone, fluid, sinuses."""
    from scipy import ndimage

    wide = np.pad(head, 4)
    closed = ndimage.binary_closing(wide, iterations=3)
    filled = np.asarray(ndimage.binary_fill_holes(closed), dtype=np.bool_)
    return filled[4:-4, 4:-4, 4:-4]


def _resampled(
    data: NDArray[np.float32], geometry: Geometry
) -> tuple[NDArray[np.float32], Geometry]:
    """Average or interpolate to the finest level's voxels, along the image's own axes."""
    affine = np.array(geometry.affine)
    first: list[float] = []
    for axis, spacing in enumerate(geometry.spacing_mm):
        centres = resample_centres(data.shape[axis], spacing, FINEST_MM)
        data = resample_axis(np.asarray(data, dtype=np.float32), axis, centres)
        affine[:3, axis] *= FINEST_MM / spacing
        first.append(float(centres[0]))
    affine[:3, 3] = geometry.to_ras_mm(first)
    i, j, k = data.shape
    return data, Geometry(shape=(i, j, k), affine=affine)


def _halved(data: NDArray[np.float32]) -> NDArray[np.float32]:
    """Average 2 × 2 × 2 voxels; an odd last plane is repeated."""
    for axis in range(3):
        if data.shape[axis] % 2:
            data = np.concatenate((data, data.take([-1], axis)), axis=axis)
        moved = np.moveaxis(data, axis, 0)
        data = np.moveaxis((moved[::2] + moved[1::2]) * np.float32(0.5), 0, axis)
    return np.ascontiguousarray(data)


def _halved_geometry(geometry: Geometry) -> Geometry:
    affine = np.array(geometry.affine)
    affine[:3, :3] *= 2.0
    affine[:3, 3] = geometry.to_ras_mm((0.5, 0.5, 0.5))
    i, j, k = (-(-n // 2) for n in geometry.shape)
    return Geometry(shape=(i, j, k), affine=affine)
