"""Distances between two surfaces weighed by area (Nikolov et al. 2018, arXiv 1809.04430).

The surface passes between voxels. Where eight voxels meet and are neither all in nor all out of
the mask, a surface element lies; its area is that of the marching-cubes triangles (Lorensen &
Cline 1987) for that pattern of eight, stretched by the spacing. In 2-D, four pixels meet and the
element is a piece of contour.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from brainmets.evaluation.borders import ROBUST_SHARE, nearest_distances, true_voxels
from brainmets.evaluation.boxes import bounding_box
from brainmets.evaluation.overlap import check_same_shape

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["SurfaceDistances", "surface_area_mm2", "surface_distances"]

MOST_TRIANGLES = 4
"""No pattern of eight voxels is cut by more."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SurfaceDistances:
    """From each surface element of one mask to the nearest of the other, with its area.

    Areas are mm² (mm of contour in 2-D). Distances to an empty mask are infinite.
    """

    from_reference_mm: NDArray[np.float64]
    from_prediction_mm: NDArray[np.float64]
    area_reference: NDArray[np.float64]
    area_prediction: NDArray[np.float64]

    @property
    def hd95_mm(self) -> float:
        """The larger of both directions' 95th percentiles by area; infinite if one is empty."""
        return max(
            _percentile_by_area(self.from_reference_mm, self.area_reference),
            _percentile_by_area(self.from_prediction_mm, self.area_prediction),
        )

    def nsd(self, tolerance_mm: float) -> float:
        """The share of both surfaces' area that lies within the tolerance of the other."""
        near = float(self.area_reference[self.from_reference_mm <= tolerance_mm].sum()) + float(
            self.area_prediction[self.from_prediction_mm <= tolerance_mm].sum()
        )
        return near / float(self.area_reference.sum() + self.area_prediction.sum())


def surface_distances(
    reference: NDArray[np.bool_], prediction: NDArray[np.bool_], spacing_mm: tuple[float, ...]
) -> SurfaceDistances:
    """Measure both directions between the surfaces of two 2-D or 3-D masks on one grid.

    Raises:
        GridMismatch: the shapes differ.
    """
    check_same_shape(reference, prediction)
    box = bounding_box(reference | prediction)
    areas = _element_areas(spacing_mm)
    code_r, code_p = _patterns(reference[box]), _patterns(prediction[box])
    at_r, at_p = _is_surface(code_r), _is_surface(code_p)
    points_r, points_p = true_voxels(at_r), true_voxels(at_p)
    return SurfaceDistances(
        from_reference_mm=_one_way(at_r, at_p, points_r, points_p, spacing_mm),
        from_prediction_mm=_one_way(at_p, at_r, points_p, points_r, spacing_mm),
        area_reference=areas[code_r[at_r]],
        area_prediction=areas[code_p[at_p]],
    )


def surface_area_mm2(mask: NDArray[np.bool_], spacing_mm: tuple[float, ...]) -> float:
    """Return the area of a mask's surface; in 2-D the length of its contour in mm."""
    code = _patterns(mask[bounding_box(mask)])
    return float(_element_areas(spacing_mm)[code[_is_surface(code)]].sum())


def _one_way(
    at_start: NDArray[np.bool_],
    at_goal: NDArray[np.bool_],
    start: NDArray[np.int64],
    goal: NDArray[np.int64],
    spacing_mm: tuple[float, ...],
) -> NDArray[np.float64]:
    apart = ~at_goal[at_start]  # elements at one place are at distance 0
    distances = np.zeros(len(start))
    distances[apart] = nearest_distances(start[apart], goal, spacing_mm)
    return distances


def _percentile_by_area(distances: NDArray[np.float64], areas: NDArray[np.float64]) -> float:
    """Return the distance below which 95 % of the area lies; infinite without a surface."""
    if not len(distances):
        return float("inf")
    order = np.lexsort((areas, distances))
    share = np.cumsum(areas[order]) / areas.sum()
    position = min(int(np.searchsorted(share, ROBUST_SHARE)), len(order) - 1)
    return float(distances[order][position])


def _is_surface(code: NDArray[np.uint8]) -> NDArray[np.bool_]:
    full = (1 << (1 << code.ndim)) - 1
    return (code != 0) & (code != full)


def _patterns(mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return, for each voxel corner, which of the voxels that meet there are in the mask.

    One bit a voxel, the voxel with the largest indices the lowest bit; shape + 1.
    """
    padded = np.pad(mask, 1).astype(np.uint8)
    corners = tuple(n + 1 for n in mask.shape)
    code = np.zeros(corners, dtype=np.uint8)
    for bit, offset in enumerate(np.ndindex(*(2,) * mask.ndim)):
        window = tuple(slice(o, o + n) for o, n in zip(offset, corners, strict=True))
        code |= padded[window] << ((1 << mask.ndim) - 1 - bit)
    return code


@lru_cache(maxsize=32)
def _element_areas(spacing_mm: tuple[float, ...]) -> NDArray[np.float64]:
    """Return the area of the surface element of every pattern for a spacing."""
    if len(spacing_mm) == 2:
        return _contour_lengths(spacing_mm[0], spacing_mm[1])
    i, j, k = spacing_mm
    return np.linalg.norm(_unit_normals() * np.array((j * k, i * k, i * j)), axis=2).sum(axis=1)


@lru_cache(maxsize=1)
def _unit_normals() -> NDArray[np.float64]:
    """Return (256, 4, 3): the area vectors of each pattern's triangles at unit spacing.

    A pattern and its opposite have one surface, so patterns with more than four voxels are
    triangulated as their opposites; ambiguous faces then keep apart the voxels of the minority.
    """
    from skimage.measure import marching_cubes

    normals = np.zeros((256, MOST_TRIANGLES, 3))
    for code in range(1, 255):
        minority = code if code.bit_count() <= 4 else 255 - code
        bits = [(minority >> (7 - bit)) & 1 for bit in range(8)]
        block = np.array(bits, dtype=np.float32).reshape(2, 2, 2)
        vertices, faces, _, _ = marching_cubes(block, 0.5, method="lorensen")
        a, b, c = (vertices[faces[:, n]].astype(np.float64) for n in range(3))
        normals[code, : len(faces)] = np.cross(b - a, c - a) / 2.0
    return normals


def _contour_lengths(spacing_i: float, spacing_j: float) -> NDArray[np.float64]:
    """Return the contour length of the 16 patterns of four pixels (marching squares)."""
    corner = float(np.hypot(spacing_i, spacing_j)) / 2.0
    lengths = np.zeros(16)
    for code in range(1, 15):
        if code.bit_count() != 2:
            lengths[code] = corner
        elif code in {0b1100, 0b0011}:  # both pixels at the same i: the contour runs along j
            lengths[code] = spacing_j
        elif code in {0b1010, 0b0101}:
            lengths[code] = spacing_i
        else:
            lengths[code] = 2.0 * corner
    return lengths
