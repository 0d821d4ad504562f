"""Longest diameters of a set of voxels, in space and in the acquired slices.

A diameter runs between voxel centres plus one voxel's width in its own direction, the length
of the chord of the ellipsoid inscribed in a voxel; so a single voxel has its own width. That is
from outer border to outer border, as on a screen, and the longest of many such chords: a ball cut
into voxels of 1 mm measures .6 mm more than it is on average in plane (.2 to .9 in 300 balls of
3 to 20 mm at random places) and .8 mm more in space (.5 to 1); the perpendicular .3 mm more (.9
less to .9 more). Two diameters of one lesion share most of this. Slices thicker than the pixels may
miss the widest section: with 3 mm slices a ball of 4 to 16 mm measured up to 1.1 mm less in plane,
smaller ones 2 mm less, and up to 2.8 mm more in space. `benchmarks/diameters.py`.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from brainmets.domain.geometry import Geometry

__all__ = ["Diameters", "Ruler"]

LATTICE = tuple(
    direction
    for direction in itertools.product((-1, 0, 1), (-1, 0, 1), (-1, 0, 1))
    if direction > (0, 0, 0)
)
"""The 13 directions to a voxel's 26 neighbours, each once."""

PAIRS_AT_ONCE = 2**20

TIE_MM = 1e-6
TIE_DECIMALS = 6
"""Lengths this near are equal: which comes first must not depend on the head's orientation."""


class Diameters(NamedTuple):
    """Diameters in millimetres, and the slice of the in-plane ones."""

    in_space: float
    in_plane: float
    perpendicular: float
    slice_index: int


class Ruler:
    """Measures lesions, sets of voxels, on one grid."""

    def __init__(self, geometry: Geometry, *, slice_axis: int) -> None:
        """Prepare for a grid whose acquired slices lie across `slice_axis`."""
        self.voxel_mm3 = geometry.voxel_volume_mm3
        self._axis = slice_axis
        self._in_plane = [d for d in LATTICE if d[slice_axis] == 0]
        self._across = [d for d in LATTICE if d[slice_axis] != 0]
        self._plane_axes = [axis for axis in range(3) if axis != slice_axis]
        self._steps = geometry.affine[:3, :3]
        self._plane = _in_plane_matrix(self._steps[:, self._plane_axes])
        one = np.zeros((1, 2))
        across = [_perpendicular(one, d, self._plane) for d in _longest(one, self._plane)[1]]
        self._single = Diameters(
            in_space=float(np.linalg.norm(self._steps, axis=0).max()),
            in_plane=float(np.linalg.norm(self._plane, axis=0).max()),
            perpendicular=max(across),
            slice_index=-1,
        )

    def measure(self, voxels: NDArray[np.int64]) -> Diameters:
        """Return the diameters of the voxels (n, 3) of one lesion.

        The perpendicular is the longest at right angles to the longest in-plane diameter, in
        the same slice, of that slice's convex outline (RANO-BM). Of slices with equal
        diameters the one with the longer perpendicular is taken, then the one nearest the
        lesion's middle.
        """
        if len(voxels) == 1:
            return self._single._replace(slice_index=int(voxels[0, self._axis]))
        rims = _line_ends(voxels, self._in_plane)
        in_space, _ = _longest(_line_ends(rims, self._across) @ self._steps.T, self._steps)
        slices = self._slices(rims)
        middle = float(voxels[:, self._axis].mean())
        bounds = np.array([np.linalg.norm(np.ptp(points, axis=0)) for _, points in slices])
        best = Diameters(in_space, -1.0, -1.0, -1)
        best_key: tuple[float, float, float, int] = (-1.0, -1.0, 0.0, 0)
        for index in np.argsort(-bounds, kind="stable"):
            if bounds[index] + self._single.in_plane < best_key[0]:
                break  # this slice's box is smaller than the best diameter: so are all others'
            number, points = slices[index]
            longest, directions = _longest(points, self._plane)
            across = max(_perpendicular(points, d, self._plane) for d in directions)
            key = (
                round(longest, TIE_DECIMALS),
                round(across, TIE_DECIMALS),
                -round(abs(number - middle), TIE_DECIMALS),
                number,
            )
            if key > best_key:
                best, best_key = Diameters(in_space, longest, across, number), key
        return best

    def lines(self, voxels: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the in-plane diameters of voxels (n, 3) of one slice as lines to draw.

        Returns:
            The longest and its perpendicular: (2, 3) voxel coordinates, from end to end with the
            voxel's own width, as `measure` has their lengths.
        """
        to_voxels = np.asarray(np.linalg.inv(self._plane), dtype=np.float64)
        points = voxels[:, self._plane_axes] @ self._plane.T
        _, directions = _longest(points, self._plane)
        reach = [_perpendicular(points, one, self._plane) for one in directions]
        along = directions[int(np.argmax(reach))]
        across = np.array([-along[1], along[0]])
        position, height = points @ along, points @ across
        upper, lower = _hull_chain(position, height), _hull_chain(position, -height)
        corners = np.concatenate((upper[0], lower[0]))
        high, low = np.interp(corners, *upper), -np.interp(corners, *lower)
        widest = int(np.argmax(high - low))
        first = int(np.argmin(position))
        ends = (
            [points[first], points[first] + along * np.ptp(position)],
            [corners[widest] * along + rise * across for rise in (low[widest], high[widest])],
        )
        return self._line(ends[0], along, voxels, to_voxels), self._line(
            ends[1], across, voxels, to_voxels
        )

    def _line(
        self,
        ends: list[NDArray[np.float64]],
        direction: NDArray[np.float64],
        voxels: NDArray[np.int64],
        to_voxels: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Lengthen a line by half a voxel at each end, and bring it to voxel coordinates."""
        half = float(np.linalg.norm(direction @ self._plane)) / 2 * direction
        line = np.full((2, 3), float(voxels[0, self._axis]))
        line[:, self._plane_axes] = np.stack([ends[0] - half, ends[1] + half]) @ to_voxels.T
        return line

    def _slices(self, rims: NDArray[np.int64]) -> list[tuple[int, NDArray[np.float64]]]:
        """Split voxels by slice: its number, and their places in its plane in mm."""
        ordered = rims[np.argsort(rims[:, self._axis], kind="stable")]
        starts = np.flatnonzero(np.diff(ordered[:, self._axis], prepend=-1))
        return [
            (int(rows[0, self._axis]), rows[:, self._plane_axes] @ self._plane.T)
            for rows in np.split(ordered, starts[1:])
        ]


def _in_plane_matrix(columns: NDArray[np.float64]) -> NDArray[np.float64]:
    """Two in-plane voxel steps (3, 2) in an orthonormal basis of their plane (2, 2)."""
    _, triangle = np.linalg.qr(columns)
    return triangle


def _line_ends(
    voxels: NDArray[np.int64], directions: Iterable[tuple[int, int, int]]
) -> NDArray[np.int64]:
    """Keep the voxels that end a line of voxels along every direction.

    A corner of the convex hull ends every line it is on, so all corners are kept, and of the
    other voxels few: no general hull is needed.
    """
    low = voxels.min(axis=0)
    size = int(np.ptp(voxels, axis=0).max()) + 1
    spread = 3 * size  # room for coordinates that a slanted direction shifts by up to `size`
    for direction in directions:
        axis = next(a for a in range(3) if direction[a])
        first, second = (a for a in range(3) if a != axis)
        offset = voxels - low
        along = offset[:, axis] * direction[axis]
        one = offset[:, first] - along * direction[first] + size
        two = offset[:, second] - along * direction[second] + size
        line = one * spread + two
        order = np.argsort(line * spread + along + size, kind="stable")
        starts = np.diff(line[order], prepend=-1) != 0
        ends = np.append(starts[1:], True)
        voxels = voxels[order[starts | ends]]
    return voxels


def _longest(
    points_mm: NDArray[np.float64], steps: NDArray[np.float64]
) -> tuple[float, NDArray[np.float64]]:
    """Return the longest diameter and the unit directions (n, d) of all pairs that have it.

    Args:
        points_mm: (n, d).
        steps: voxel steps as columns (d, d), for the voxel's own width.
    """
    widths = np.linalg.norm(steps, axis=0)
    single, axis = float(widths.max()), int(np.argmax(widths))
    pairs = _farthest_pairs(points_mm)
    distances = np.linalg.norm(pairs, axis=1)
    if not distances.any():
        return single, (steps[:, axis] / single)[None]
    directions = pairs / distances[:, None]
    total = distances + np.linalg.norm(directions @ steps, axis=1)
    longest = float(total.max())
    if longest < single:  # two thin voxels side by side are shorter than one is thick
        return single, (steps[:, axis] / single)[None]
    return longest, directions[total >= longest - TIE_MM]


def _farthest_pairs(points_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the differences (m, d) of all pairs of points whose distance is the largest."""
    largest = 0.0
    found = np.zeros((1, points_mm.shape[1]))
    rows = max(1, PAIRS_AT_ONCE // len(points_mm))
    for start in range(0, len(points_mm) - 1, rows):
        delta = points_mm[None, start + 1 :] - points_mm[start : start + rows, None]
        squared = np.einsum("abi,abi->ab", delta, delta)
        longest = float(np.sqrt(squared.max()))
        if longest < largest - TIE_MM:
            continue
        ties = delta[squared >= max(longest - TIE_MM, 0.0) ** 2]
        found = ties if longest > largest + TIE_MM else np.concatenate((found, ties))
        largest = max(largest, longest)
    return found


def _perpendicular(
    points_mm: NDArray[np.float64], direction: NDArray[np.float64], steps: NDArray[np.float64]
) -> float:
    """Longest chord of the convex outline at right angles to `direction`, plus one voxel."""
    across = np.array([-direction[1], direction[0]])
    own = float(np.linalg.norm(across @ steps))
    along_mm, across_mm = points_mm @ direction, points_mm @ across
    upper = _hull_chain(along_mm, across_mm)
    lower = _hull_chain(along_mm, -across_mm)
    at = np.concatenate((upper[0], lower[0]))
    chord = np.interp(at, *upper) + np.interp(at, *lower)  # concave: longest at a corner
    return float(chord.max()) + own


def _hull_chain(
    x: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Upper convex chain of points, left to right (Andrew 1979)."""
    x = np.round(x, TIE_DECIMALS + 3)  # equal abscissas must be exactly so to be sorted by y
    order = np.lexsort((y, x))
    chain: list[tuple[float, float]] = []
    for point in zip(x[order].tolist(), y[order].tolist(), strict=True):
        if chain and point[0] == chain[-1][0]:
            chain.pop()  # same abscissa: the later, higher point replaces it
        while len(chain) >= 2 and _turns_left(chain[-2], chain[-1], point):
            chain.pop()
        chain.append(point)
    xs, ys = zip(*chain, strict=True)
    return np.array(xs), np.array(ys)


def _turns_left(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> bool:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]) >= 0
