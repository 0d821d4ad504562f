"""Smooth random fields and fast separable filters on whole heads."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["blur", "generator", "smooth_noise", "stretch", "unit_noise", "upsample"]

Shape = tuple[int, int, int]


def generator(*seed: int) -> np.random.Generator:
    """Return a stream that the same integers always start alike."""
    return np.random.Generator(np.random.SFC64(list(seed)))


@lru_cache(maxsize=256)
def spline_matrix(points: int, length: int) -> NDArray[np.float32]:
    """Return (length, points): cubic B-spline weights that stretch a control row to `length`.

    The first and last sample lie one control distance inside the row, so that every sample
    has its four neighbours.
    """
    if points < 4:
        raise ValueError("a cubic spline needs four control points")
    at = 1.0 + np.linspace(0.0, points - 3.0, length)
    first = np.minimum(np.floor(at).astype(int) - 1, points - 4)
    t = at - 1.0 - first
    weights = np.stack(
        [(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3], axis=1
    )
    matrix = np.zeros((length, points), dtype=np.float32)
    rows = np.arange(length)
    for tap in range(4):
        matrix[rows, first + tap] += weights[:, tap] / 6.0
    matrix.setflags(write=False)
    return matrix


def upsample(control: NDArray[np.float32], shape: Shape) -> NDArray[np.float32]:
    """Stretch a control lattice to `shape` by cubic B-splines (not interpolating: smoother)."""
    x, y, z = (spline_matrix(n, m) for n, m in zip(control.shape, shape, strict=True))
    rows = np.tensordot(x, control, axes=(1, 0))  # (X, b, c)
    planes = np.matmul(y, rows)  # (X, Y, c)
    return np.matmul(planes.reshape(-1, control.shape[2]), z.T).reshape(shape)


# The variance a cubic B-spline leaves of white control noise, per axis: ∫ Σ w² = 151/315.
SPLINE_VARIANCE = (151.0 / 315.0) ** 3


def smooth_noise(
    rng: np.random.Generator, shape: Shape, length: float | tuple[float, float, float]
) -> NDArray[np.float32]:
    """Return a field of mean 0 and standard deviation about 1 with features of `length` voxels."""
    lengths = (length, length, length) if isinstance(length, (int, float)) else length
    size = [max(4, round(n / step) + 3) for n, step in zip(shape, lengths, strict=True)]
    control = rng.standard_normal(size, dtype=np.float32)
    control *= np.float32(SPLINE_VARIANCE**-0.5)
    return upsample(control, shape)


NOISE_POOL = 1 << 22


@lru_cache(maxsize=1)
def _pool() -> NDArray[np.float32]:
    pool = generator(20260).standard_normal(NOISE_POOL, dtype=np.float32)
    pool.setflags(write=False)
    return pool


def unit_noise(rng: np.random.Generator, count: int) -> NDArray[np.float32]:
    """Return `count` standard normal values, four times faster than drawing each.

    Stretches of random start and length are cut from one fixed pool of 4 million values, each
    stretch with its own sign: for image noise, where no one asks for independence beyond that.
    """
    pool = _pool()
    out = np.empty(count, dtype=np.float32)
    at = 0
    while at < count:
        start, length = int(rng.integers(NOISE_POOL)), int(rng.integers(40_000, 120_000))
        length = min(length, count - at, NOISE_POOL - start)
        np.multiply(
            pool[start : start + length], 1.0 - 2.0 * (start % 2), out=out[at : at + length]
        )
        at += length
    return out


def _kernel(sigma: float) -> NDArray[np.float32]:
    radius = max(1, int(np.ceil(2.6 * sigma)))
    taps = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    return (taps / taps.sum()).astype(np.float32)


def blur(image: NDArray[np.float32], sigma: tuple[float, float, float]) -> NDArray[np.float32]:
    """Convolve with a Gaussian of `sigma` voxels per axis, edges repeated; below 0.2 is skipped."""
    from scipy import ndimage

    out = image
    for axis, width in enumerate(sigma):
        if width >= 0.2:
            found = ndimage.correlate1d(out, _kernel(width), axis=axis, mode="nearest")
            out = np.asarray(found, dtype=np.float32)
    return out


def stretch(coarse: NDArray[np.float32], shape: Shape, *, step: float) -> NDArray[np.float32]:
    """Interpolate linearly a grid whose voxel n is at `n * step` of the fine one."""
    x, y, z = (_linear_matrix(n, m, step) for n, m in zip(coarse.shape, shape, strict=True))
    rows = np.tensordot(x, coarse, axes=(1, 0))
    planes = np.matmul(y, rows)
    return np.matmul(planes.reshape(-1, coarse.shape[2]), z.T).reshape(shape)


@lru_cache(maxsize=64)
def _linear_matrix(points: int, length: int, step: float) -> NDArray[np.float32]:
    at = np.clip(np.arange(length) / step, 0, points - 1)
    low = np.minimum(at.astype(int), max(points - 2, 0))
    high = np.minimum(low + 1, points - 1)
    matrix = np.zeros((length, points), dtype=np.float32)
    rows = np.arange(length)
    np.add.at(matrix, (rows, low), (1 - (at - low)).astype(np.float32))
    np.add.at(matrix, (rows, high), (at - low).astype(np.float32))
    return matrix
