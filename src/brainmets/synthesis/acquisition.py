"""How a scanner turns a head into an image: blur, slices, bias, ringing, ghosts, noise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from brainmets.domain.geometry import Geometry
from brainmets.synthesis.fields import blur, generator, unit_noise, upsample

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from brainmets.synthesis.parameters import SynthesisParameters

__all__ = ["SlicePlan", "acquire"]


class SlicePlan:
    """Thick slices along one axis: how 1 mm planes are averaged into them, and back."""

    def __init__(self, geometry: Geometry, *, axis: int, slice_mm: float, gap: float) -> None:
        self.axis = axis
        length = geometry.shape[axis]
        self.count = max(3, int(np.floor(length / slice_mm)))
        centres = (np.arange(self.count) + 0.5) * slice_mm - 0.5
        planes = np.arange(length)
        distance = np.abs(planes - centres[:, None])
        half = slice_mm * (1 - gap) / 2
        weights = np.clip(half + 0.5 - distance, 0, 1)
        self.average = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
        at = np.clip((planes + 0.5) / slice_mm - 0.5, 0, self.count - 1)
        low = np.minimum(at.astype(int), self.count - 2)
        back = np.zeros((length, self.count), dtype=np.float32)
        back[planes, low] = 1 - (at - low)
        back[planes, low + 1] = at - low
        self.back = back
        affine = np.array(geometry.affine)
        affine[:3, 3] += affine[:3, axis] * centres[0]
        affine[:3, axis] *= slice_mm
        shape = list(geometry.shape)
        shape[axis] = self.count
        self.geometry = Geometry(shape=(shape[0], shape[1], shape[2]), affine=affine)

    def thicken(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """Average 1 mm planes into slices."""
        return _along(self.average, image, self.axis)

    def thin(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """Interpolate slices linearly to 1 mm planes."""
        return _along(self.back, image, self.axis)


def _along(
    matrix: NDArray[np.float32], image: NDArray[np.float32], axis: int
) -> NDArray[np.float32]:
    if axis == 0:
        return (matrix @ image.reshape(image.shape[0], -1)).reshape(-1, *image.shape[1:])
    if axis == 1:
        return np.matmul(matrix, image)
    return np.matmul(image, matrix.T)


def acquire(
    image: NDArray[np.float32], parameters: SynthesisParameters, plan: SlicePlan | None
) -> NDArray[np.float32]:
    """Return the image as scanned, white matter about 1, on the slices' grid if there is a plan."""
    scan = parameters.acquisition
    rng = generator(parameters.seed, 6)
    width = scan.blur_mm
    image = blur(image, (width, width, width))
    if plan is not None:
        image = plan.thicken(image)
    if scan.ringing > 0:
        image = _ring(image, scan.ringing, axis=scan.ghost_axis)
    if scan.ghost > 0:
        shift = round(scan.ghost_shift * image.shape[scan.ghost_axis])
        ghost = np.roll(image, shift, axis=scan.ghost_axis)
        ghost *= np.float32(scan.ghost)
        image = image + ghost
    if scan.gamma != 1.0:
        image = _power(image, scan.gamma)
    if scan.bias > 0:
        image *= _bias(rng, image.shape, scan.bias, scan.bias_length_mm)
    if scan.noise > 0:
        first = unit_noise(rng, image.size).reshape(image.shape)
        first *= np.float32(scan.noise)
        image += first
        second = unit_noise(rng, image.size).reshape(image.shape)
        second *= np.float32(scan.noise)
        np.square(image, out=image)
        np.square(second, out=second)
        image += second
        np.sqrt(image, out=image)
    return image


def _power(image: NDArray[np.float32], gamma: float) -> NDArray[np.float32]:
    """Raise to a power by logarithm and exponential: each is vectorised, `**` is not."""
    out = np.maximum(image, np.float32(1e-6))
    np.log(out, out=out)
    out *= np.float32(gamma)
    return np.exp(out, out=out)


def _bias(
    rng: np.random.Generator, shape: tuple[int, ...], strength: float, length: float
) -> NDArray[np.float32]:
    points = tuple(max(4, round(n / length) + 3) for n in shape)
    field = rng.standard_normal(points, dtype=np.float32)
    fine = upsample(field, (shape[0], shape[1], shape[2]))
    fine *= np.float32(strength * (151.0 / 315.0) ** -1.5)
    return np.exp(fine, out=fine)


def _ring(image: NDArray[np.float32], strength: float, *, axis: int) -> NDArray[np.float32]:
    """Add the first lobes of truncation along `axis`: a sinc's side lobes on every edge."""
    from scipy import ndimage

    kernel = np.array([0.035, -0.07, 0.12, 0.0, 0.12, -0.07, 0.035], dtype=np.float32) * -strength
    kernel[3] = 1.0 - kernel.sum()
    rung = ndimage.correlate1d(image, kernel, axis=axis, mode="nearest")
    return np.maximum(np.asarray(rung, dtype=np.float32), 0)
