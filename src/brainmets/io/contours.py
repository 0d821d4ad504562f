"""The outline of a mask in one slice, along the borders of its pixels.

Rasterised at pixel centres by any rule of filling, even-odd or winding, these outlines give back
exactly the pixels they were drawn around, and their area is the pixels' own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["filled", "outlines"]

Corner = tuple[int, int]


def outlines(inside: NDArray[np.bool_]) -> list[NDArray[np.float64]]:
    """Return closed polygons (n, 2) around the pixels (column, row) that are `inside`.

    One polygon for each group of pixels that share edges. A hole is joined to its outline by a
    cut of no width (a keyhole), as DICOM has no other way to draw one (PS3.3 C.8.8.6.3).
    Coordinates are pixel indices, pixel centres whole numbers. Groups in order of their pixels.
    """
    import cc3d

    groups = np.asarray(cc3d.connected_components(np.ascontiguousarray(inside), connectivity=4))
    found: list[NDArray[np.float64]] = []
    for group in range(1, int(groups.max(initial=0)) + 1):
        loops = _loops(groups == group)
        loops.sort(key=_area, reverse=True)  # foreground on the left: only the outline is > 0
        outline, holes = loops[0], sorted(loops[1:], key=max, reverse=True)
        for hole in holes:
            outline = _joined(outline, hole)
        found.append(np.array(_corners_only(outline), dtype=np.float64) - 0.5)
    return found


def filled(polygon: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Return which pixel centres of an image lie inside a polygon (n, 2) in pixels, even-odd."""
    toggles = np.zeros((shape[0] + 1, shape[1]), dtype=np.bool_)
    for (x, y), (x_next, y_next) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        low, high = np.clip(np.ceil(sorted((y, y_next))), 0, shape[1]).astype(int)
        if low < high:  # rows of centres that the edge crosses
            rows = np.arange(low, high)
            crossed = x + (rows - y) * (x_next - x) / (y_next - y)
            toggles[np.clip(np.ceil(crossed), 0, shape[0]).astype(int), rows] ^= True
    return np.logical_xor.accumulate(toggles[:-1], axis=0)


def _loops(inside: NDArray[np.bool_]) -> list[list[Corner]]:
    """Walk along every border, pixels on the left; a corner for each step of one pixel."""
    leaving = _edges(inside)
    loops: list[list[Corner]] = []
    while leaving:
        start = next(corner for corner, ways in leaving.items() if len(ways) == 1)
        at, heading = start, leaving[start][0]
        loop: list[Corner] = []
        while True:
            ways = leaving[at]
            heading = _leftmost(heading, ways) if len(ways) > 1 and loop else ways[0]
            ways.remove(heading)
            if not ways:
                del leaving[at]
            loop.append(at)
            at = (at[0] + heading[0], at[1] + heading[1])
            if at == start:
                break
        loops.append(loop)
    return loops


def _edges(inside: NDArray[np.bool_]) -> dict[Corner, list[Corner]]:
    """Directions of the border edges that leave each corner; pixel (u, v) spans u…u+1, v…v+1."""
    padded = np.pad(inside, 1)
    leaving: dict[Corner, list[Corner]] = {}
    for axis, step, start, heading in (
        (1, -1, (0, 0), (1, 0)),  # nothing below: along the bottom, rightwards
        (0, 1, (1, 0), (0, 1)),  # nothing on the right: up
        (1, 1, (1, 1), (-1, 0)),  # nothing above: along the top, leftwards
        (0, -1, (0, 1), (0, -1)),  # nothing on the left: down
    ):
        beyond = np.roll(padded, -step, axis=axis)[1:-1, 1:-1]
        for u, v in np.argwhere(inside & ~beyond).tolist():
            leaving.setdefault((u + start[0], v + start[1]), []).append(heading)
    return leaving


def _leftmost(heading: Corner, ways: list[Corner]) -> Corner:
    """Where two pixels touch at a corner, stay with the one walked along: turn left."""
    left = (-heading[1], heading[0])
    return left if left in ways else ways[0]


def _joined(outline: list[Corner], hole: list[Corner]) -> list[Corner]:
    """Cut from the hole's rightmost corner to the nearest border on its right, and back.

    Borders run along whole coordinates and have a corner at each: the first corner met on that
    line is the first border met, and holes are joined from the right, so it is joined already.
    """
    first = hole.index(max(hole))
    u, v = hole[first]
    target = min(corner for corner in outline if corner[1] == v and corner[0] > u)
    at = outline.index(target)
    return [*outline[: at + 1], *hole[first:], *hole[: first + 1], *outline[at:]]


def _corners_only(loop: list[Corner]) -> list[Corner]:
    """Leave out corners that a straight border runs through."""
    count = len(loop)
    return [
        loop[n]
        for n in range(count)
        if _direction(loop[n - 1], loop[n]) != _direction(loop[n], loop[(n + 1) % count])
    ]


def _direction(a: Corner, b: Corner) -> Corner:
    return (int(np.sign(b[0] - a[0])), int(np.sign(b[1] - a[1])))


def _area(loop: list[Corner]) -> int:
    """Twice the area, positive where walked with the inside on the left."""
    return sum(a[0] * b[1] - b[0] * a[1] for a, b in zip(loop, [*loop[1:], loop[0]], strict=True))
