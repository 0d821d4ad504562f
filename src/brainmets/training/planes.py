"""Slices cut from real volumes along all three planes, for training 2-D networks."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np

from brainmets.domain.case import Case
from brainmets.domain.geometry import Geometry
from brainmets.domain.volume import Volume
from brainmets.preprocessing.plan import SAME_SPACING
from brainmets.preprocessing.resampling import resample_axis, resample_centres

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = ["plane_slices"]

Scalar = TypeVar("Scalar", bound=np.generic)

FEWEST_PIXELS = 40
"""Lesion pixels from which a slice is worth cutting: less is the rim of a lesion seen elsewhere."""

MOST_OF_A_PIXEL = 0.5
"""Share of a resampled pixel from which it is lesion."""

CANVAS = 256
"""Slices are centred on a square of at least this edge, as scanners export them."""


def plane_slices(
    case: Case, lesion: NDArray[np.uint8], *, each: int
) -> Iterator[tuple[Case, NDArray[np.uint8]]]:
    """Cut up to `each` slices along each axis of a volume, evenly over those with a lesion.

    Args:
        case: one volume; slices of unequal pixel edges are resampled to square pixels.
        lesion: 0, 1 and IGNORE on its grid.
        each: slices per axis.

    Yields:
        One slice as a case of its own, pixels without a spacing, and its target (i, j, 1).
    """
    for axis in range(3):
        others = tuple(a for a in range(3) if a != axis)
        shown = np.flatnonzero((lesion == 1).sum(axis=others) >= FEWEST_PIXELS)
        if not shown.size:
            continue
        places = np.unique(np.linspace(0, shown.size - 1, min(each, shown.size)).round())
        for number in shown[places.astype(int)]:
            yield _slice(case, lesion, axis, int(number))


def _slice(
    case: Case, lesion: NDArray[np.uint8], axis: int, number: int
) -> tuple[Case, NDArray[np.uint8]]:
    (image,) = case.images.values()
    edges = np.delete(case.geometry.spacing_mm, axis)
    data = _framed(_square(np.take(image.data, number, axis=axis), edges))
    flat = np.take(lesion, number, axis=axis)
    target = np.zeros(_square(flat.astype(np.float32), edges).shape, dtype=lesion.dtype)
    for value in np.unique(flat[flat > 0]):
        target[_square((flat == value).astype(np.float32), edges) >= MOST_OF_A_PIXEL] = value
    target = _framed(target)
    affine = np.diag([-1.0, -1.0, 1.0, 1.0])
    geometry = Geometry(shape=data.shape, affine=affine, units="px")
    flat = Case(
        images=dict.fromkeys(case.images, Volume(data=data, geometry=geometry)),
        geometry=geometry,
        source=case.source,
        case_id=f"{case.case_id}-{'ijk'[axis]}{number}",
        kind="slices",
    )
    return flat, target


def _square(plane: NDArray[np.float32], edges: NDArray[np.float64]) -> NDArray[np.float32]:
    """Resample a plane linearly to square pixels of the shorter edge."""
    if edges.max() / edges.min() <= 1 + SAME_SPACING:
        return plane
    for axis in range(2):
        centres = resample_centres(plane.shape[axis], float(edges[axis]), float(edges.min()))
        plane = resample_axis(plane, axis, centres)
    return plane


def _framed(plane: NDArray[Scalar]) -> NDArray[Scalar]:
    """Centre a plane on a canvas of its darkest value; give it a third axis of one slice."""
    missing = [max(CANVAS - edge, 0) for edge in plane.shape]
    margins = [(m // 2, m - m // 2) for m in missing]
    return np.pad(plane, margins, constant_values=plane.min())[:, :, None]
