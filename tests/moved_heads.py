"""A scan as it might look months later: moved, on another grid, noisier, with a new lesion."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from brainmets.domain import Volume
from brainmets.preprocessing.intensity import find_foreground

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from brainmets.domain import Geometry, RigidMotion

NEW_LESION_MM = 11.0


def follow_up_of(
    image: Volume,
    motion: RigidMotion,
    geometry: Geometry,
    *,
    seed: int,
    noise: float = 0.03,
    bias: float = 0.25,
) -> Volume:
    """The anatomy of `image` moved by `motion`, on `geometry`, its slices averaged over depth."""
    rng = np.random.default_rng(seed)
    data = _with_lesion(image, rng)
    spacing = np.array(geometry.spacing_mm)
    thick = int(np.argmax(spacing))
    parts = max(1, round(float(spacing[thick])))
    total = np.zeros(geometry.shape)
    for offset in (np.arange(parts) - (parts - 1) / 2) / parts:
        affine = np.array(geometry.affine)
        affine[:3, 3] += affine[:3, thick] * offset
        matrix = np.linalg.inv(image.geometry.affine) @ motion.inverse.matrix @ affine
        total += ndimage.affine_transform(
            data, matrix[:3, :3], matrix[:3, 3], output_shape=geometry.shape, order=3,
            cval=float(data.min()),
        )  # fmt: skip
    total /= parts
    inside = find_foreground(total.astype(np.float32))
    low = float(total.min())
    total = np.where(inside, (total - low) * _coil(geometry.shape, rng, bias) + low, total)
    deviation = noise * float(np.mean(np.abs(total[inside])))
    total += deviation * rng.normal(size=total.shape) * inside
    return Volume(data=total.astype(np.float32), geometry=geometry)


def errors_mm(image: Volume, truth: RigidMotion, found: RigidMotion) -> NDArray[np.float64]:
    """How far points all over the head land from where they should."""
    voxels = np.argwhere(find_foreground(image.data))[::997]
    return truth.distance_mm(found, image.geometry.to_ras_mm(voxels))


def _with_lesion(image: Volume, rng: np.random.Generator) -> NDArray[np.float32]:
    """A bright ball well inside the head, that was not there before."""
    deep = np.argwhere(ndimage.binary_erosion(find_foreground(image.data), iterations=8))
    centre = deep[rng.integers(len(deep))]
    away = (np.indices(image.data.shape).T - centre) * np.array(image.geometry.spacing_mm)
    ball = (np.square(away).sum(axis=-1) < NEW_LESION_MM**2).T
    return np.where(ball, np.percentile(image.data, 99.5), image.data).astype(np.float32)


def _coil(shape: tuple[int, ...], rng: np.random.Generator, strength: float) -> NDArray[np.float64]:
    """A smooth field around 1."""
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij", sparse=True)
    a = rng.normal(size=6) * strength / 2
    field = 1 + a[0] * x + a[1] * y + a[2] * z + a[3] * x**2 + a[4] * y * z + a[5] * z**2
    return np.clip(field, 0.3, 3.0)
