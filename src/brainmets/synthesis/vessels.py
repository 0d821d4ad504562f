"""Vessel trees drawn along planned routes, thicker towards the trunk by Murray's law."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from brainmets.synthesis.routes import Routes

__all__ = ["draw_tubes", "grow_tree"]

MURRAY = 0.36
"""Radius ~ terminals downstream^0.36; Murray's cube law gives 1/3, brain vessels a little more."""
DRAWN_EVERY_MM = 0.7
LONGEST_PATH = 400


def grow_tree(
    routes: Routes,
    rng: np.random.Generator,
    *,
    terminals: int,
    radius_mm: float,
    largest_mm: float,
    move: Callable[[NDArray[np.floating]], NDArray[np.float32]],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return points (n, 3) in output voxels and radii (n,) of a random sub-tree of `routes`."""
    parents = routes.parents[int(rng.integers(len(routes.parents)))]
    reachable = np.nonzero(parents >= 0)[0]
    empty = np.zeros((0, 3), dtype=np.float32), np.zeros(0, dtype=np.float32)
    if not len(reachable) or terminals < 1:
        return empty
    node = rng.choice(reachable, size=min(terminals, len(reachable)), replace=False)
    flow = np.zeros(len(parents), dtype=np.float32)
    for _ in range(LONGEST_PATH):
        np.add.at(flow, node, 1.0)
        node = parents[node]
        node = node[node >= 0]
        if not len(node):
            break
    used = np.nonzero(flow)[0]
    place = np.zeros((len(parents), 3), dtype=np.float32)
    place[used] = move(routes.points[used])
    # A vessel is smoother than the lattice of its route: average along the tree, twice.
    up = np.where(parents[used] >= 0, parents[used], used)
    for _ in range(2):
        place[used] = 0.5 * place[used] + 0.5 * place[up]
    start, end = place[used], place[up]
    radius = np.minimum(radius_mm * flow[used] ** MURRAY, largest_mm)
    radius *= np.exp(rng.normal(0.0, 0.12, len(radius))).astype(np.float32)
    steps = np.maximum(1, np.ceil(np.linalg.norm(end - start, axis=1) / DRAWN_EVERY_MM)).astype(int)
    edge = np.repeat(np.arange(len(used)), steps)
    first = np.repeat(np.cumsum(steps) - steps, steps)
    share = ((np.arange(len(edge)) - first) / steps[edge]).astype(np.float32)[:, None]
    return start[edge] * (1 - share) + end[edge] * share, radius[edge].astype(np.float32)


def draw_tubes(
    shape: tuple[int, int, int], points: NDArray[np.float32], radii_mm: NDArray[np.float32]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return flat voxel indices and the share of each voxel (0…1) that the tubes fill.

    Tubes thinner than a voxel fill it by their cross-section's area.
    """
    inside = np.all((points > -1) & (points < np.array(shape)), axis=1)
    points, radii = points[inside], radii_mm[inside]
    indices: list[NDArray[np.int64]] = []
    shares: list[NDArray[np.float32]] = []
    for reach, low, high in ((1, 0.0, 0.6), (2, 0.6, 1.5), (4, 1.5, 99.0)):
        chosen = (radii >= low) & (radii < high)
        if not chosen.any():
            continue
        span = np.arange(-reach, reach + 1)
        offsets = np.stack(np.meshgrid(span, span, span, indexing="ij"), axis=-1).reshape(-1, 3)
        near = np.rint(points[chosen]).astype(np.int32)[:, None] + offsets.astype(np.int32)
        distance = np.linalg.norm(near - points[chosen][:, None], axis=2)
        wide = np.maximum(radii[chosen], 0.5)[:, None]
        fill = np.clip(wide + 0.5 - distance, 0.0, 1.0)
        fill *= np.minimum(1.0, (radii[chosen, None] / 0.5) ** 2)
        keep = (fill > 0.02) & np.all((near >= 0) & (near < np.array(shape)), axis=2)
        flat = np.ravel_multi_index(tuple(near[keep].T), shape)
        indices.append(np.asarray(flat, dtype=np.int64))
        shares.append(fill[keep].astype(np.float32))
    if not indices:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.float32)
    flat, share = np.concatenate(indices), np.concatenate(shares)
    found, inverse = np.unique(flat, return_inverse=True)
    best = np.zeros(len(found), dtype=np.float32)
    np.maximum.at(best, inverse, share)
    return found, best
