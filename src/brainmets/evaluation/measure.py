"""Size and shape of one lesion in mm.

Diameters run between voxel centres plus one voxel along their direction, so that a single voxel
has its own width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from brainmets.evaluation.borders import border_voxels, true_voxels
from brainmets.evaluation.surfaces import surface_area_mm2

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "MEASURABLE_LONGEST_MM",
    "MEASURABLE_PERPENDICULAR_MM",
    "MEASURABLE_SLICES",
    "Extent",
    "equivalent_diameter_mm",
    "measure_extent",
    "solidity",
    "sphericity",
]

MEASURABLE_LONGEST_MM = 10.0
MEASURABLE_PERPENDICULAR_MM = 5.0
MEASURABLE_SLICES = 2
"""RANO-BM (Lin et al. 2015, Lancet Oncol 16:e270): measurable disease."""

HULL_FROM_POINTS = 60
"""Below this, all pairs are compared; above, the convex hull is found first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """How large a lesion is.

    Attributes:
        diameter_mm: Longest in space.
        in_plane_mm: Longest in any one slice.
        perpendicular_mm: Longest chord at right angles to it in that slice.
        slices: Number of slices the lesion is seen in.
    """

    diameter_mm: float
    in_plane_mm: float
    perpendicular_mm: float
    slices: int

    @property
    def measurable(self) -> bool:
        """Say whether RANO-BM would measure it: ≥ 10 mm, ≥ 5 mm across, on ≥ 2 slices."""
        return (
            self.in_plane_mm >= MEASURABLE_LONGEST_MM
            and self.perpendicular_mm >= MEASURABLE_PERPENDICULAR_MM
            and self.slices >= MEASURABLE_SLICES
        )


def measure_extent(
    lesion: NDArray[np.bool_], spacing_mm: tuple[float, float, float], *, slice_axis: int = 2
) -> Extent:
    """Measure a lesion (i, j, k) that holds at least one voxel; crop it to its box first."""
    spacing = np.asarray(spacing_mm, dtype=np.float64)
    diameter, _ = _longest(true_voxels(border_voxels(lesion)) * spacing, spacing)
    in_plane, perpendicular, slices = 0.0, 0.0, 0
    flat = np.delete(spacing, slice_axis)
    for picture in np.moveaxis(lesion, slice_axis, 0):
        if not picture.any():
            continue
        slices += 1
        points = true_voxels(border_voxels(picture)) * flat
        longest, direction = _longest(points, flat)
        if longest > in_plane:
            in_plane = longest
            perpendicular = _longest_across(true_voxels(picture) * flat, direction, flat)
    return Extent(
        diameter_mm=diameter,
        in_plane_mm=in_plane,
        perpendicular_mm=perpendicular,
        slices=slices,
    )


def sphericity(lesion: NDArray[np.bool_], spacing_mm: tuple[float, ...]) -> float:
    """Return the surface of a ball of the lesion's volume over the lesion's own surface.

    In 2-D the circumference of the disc of its area over its contour (Wadell 1935). The surface is
    the marching-cubes one, so lesions of a few voxels can exceed 1; they are cut to 1.
    """
    measure = float(np.count_nonzero(lesion)) * float(np.prod(spacing_mm))
    surface = surface_area_mm2(lesion, spacing_mm)
    if lesion.ndim == 2:
        ideal = 2.0 * np.sqrt(np.pi * measure)
    else:
        ideal = np.pi ** (1 / 3) * (6.0 * measure) ** (2 / 3)
    return min(float(ideal / surface), 1.0)


def equivalent_diameter_mm(lesion: NDArray[np.bool_], spacing_mm: tuple[float, ...]) -> float:
    """Return the diameter of the ball of the lesion's volume, in 2-D of the disc of its area."""
    measure = float(np.count_nonzero(lesion)) * float(np.prod(spacing_mm))
    if lesion.ndim == 2:
        return 2.0 * float(np.sqrt(measure / np.pi))
    return float(np.cbrt(6.0 * measure / np.pi))


def solidity(lesion: NDArray[np.bool_]) -> float:
    """Return the lesion's share of the convex hull of its voxels, corners included: 0…1.

    The same for every spacing, since stretching an axis stretches both alike.
    """
    from scipy.spatial import ConvexHull

    voxels = true_voxels(border_voxels(lesion))
    offsets = np.stack(np.meshgrid(*([[-0.5, 0.5]] * lesion.ndim), indexing="ij"), axis=-1)
    corners = (voxels[:, None, :] + offsets.reshape(1, -1, lesion.ndim)).reshape(-1, lesion.ndim)
    return min(float(np.count_nonzero(lesion)) / float(ConvexHull(corners).volume), 1.0)


def _longest(
    points_mm: NDArray[np.float64], spacing: NDArray[np.float64]
) -> tuple[float, NDArray[np.float64]]:
    """Return the longest diameter of a cloud of voxel centres and its direction."""
    corners = _corners(points_mm)
    difference = corners[:, None, :] - corners[None, :, :]
    distance = np.sqrt(np.square(difference).sum(axis=2))
    best = np.unravel_index(int(np.argmax(distance)), distance.shape)
    length = float(distance[best])
    if length == 0.0:  # a single voxel is as long as its longest side
        direction = np.zeros(len(spacing))
        direction[int(np.argmax(spacing))] = 1.0
    else:
        direction = difference[best] / length
    return length + _voxel_along(direction, spacing), direction


def _voxel_along(direction: NDArray[np.float64], spacing: NDArray[np.float64]) -> float:
    return float(np.linalg.norm(direction * spacing))


def _corners(points_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the points that can end a diameter, in order: those of the convex hull, if that pays.

    A lesion of one slice is flat: its hull is found in its plane.
    """
    if len(points_mm) < HULL_FROM_POINTS:
        return points_mm
    from scipy.spatial import ConvexHull, QhullError

    wide = np.ptp(points_mm, axis=0) > 0
    try:
        return points_mm[np.sort(ConvexHull(points_mm[:, wide]).vertices)]
    except (QhullError, ValueError):  # along one line, or in a slanting plane
        return _ends_of_lines(points_mm)


def _ends_of_lines(points_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the first and last point along the last axis for each position on the others."""
    order = np.lexsort(points_mm.T[::-1])
    points = points_mm[order]
    new = np.any(np.diff(points[:, :-1], axis=0) != 0, axis=1)
    first = np.concatenate(([True], new))
    last = np.concatenate((new, [True]))
    return points[first | last]


def _longest_across(
    points_mm: NDArray[np.float64], direction: NDArray[np.float64], spacing: NDArray[np.float64]
) -> float:
    """Return the longest chord at right angles to the direction, in bands one pixel wide."""
    across = np.array((-direction[1], direction[0]))
    along = points_mm @ direction
    place = points_mm @ across
    band = np.floor((along - along.min()) / float(spacing.min()) + 0.5).astype(np.int64)
    highest = np.full(int(band.max()) + 1, -np.inf)
    lowest = np.full(int(band.max()) + 1, np.inf)
    np.maximum.at(highest, band, place)
    np.minimum.at(lowest, band, place)
    seen = np.isfinite(highest)
    return float((highest[seen] - lowest[seen]).max()) + _voxel_along(across, spacing)
