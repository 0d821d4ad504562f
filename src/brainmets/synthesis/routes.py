"""Ways that vessels take: shortest paths over the pia and through white matter, as trees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from brainmets.synthesis.fields import generator
from brainmets.synthesis.labels import Tissue

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

__all__ = ["VARIANTS", "Routes", "plan_routes"]

STEP = 2
"""Voxels (mm) between nodes."""
VARIANTS = 3
"""Trees per system, each with other random resistances."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Routes:
    """Trees of voxel positions.

    `points` float32 (n, 3); `parents` int32 (variants, n), −1 at roots and where no root can
    be reached.
    """

    points: NDArray[np.float32]
    parents: NDArray[np.int32]


def plan_routes(
    tissue: NDArray[np.uint8],
    fields: Mapping[str, NDArray[np.float32]],
    landmarks: Mapping[str, NDArray[np.float32]],
    *,
    variants: int = VARIANTS,
) -> dict[str, Routes]:
    """Plan every system of vessels.

    Cortical veins run to the sinuses, arteries from the siphons, deep veins along ventricles
    and cisterns to the straight sinus, medullary veins to the ventricles.
    """
    depth, dura = fields["depth"], fields["dura"]
    # The pia: fluid in sulci and over gyri, and the touching banks of closed sulci.
    pial = ((tissue == Tissue.FLUID) & (dura > 0)) | ((tissue == Tissue.VEIN) & (depth > -6))
    pial |= (tissue == Tissue.GREY) & (depth > -1) & (depth < 1.2)
    points = _nodes(pial)
    at = tuple(np.rint(points).astype(int).T)
    ridge = np.minimum(fields["falx"], fields["tentorium"])[at] + np.maximum(dura[at], 0)
    straight = np.hypot(fields["falx"], fields["tentorium"])
    sinuses = (ridge < 4.0) | ((tissue[at] == Tissue.VEIN) & (depth[at] > -7))
    sinuses |= straight[at] < 2.5
    siphons = np.stack([landmarks["siphon.left"], landmarks["siphon.right"]])
    nearest = np.linalg.norm(points[:, None] - siphons, axis=2).min(axis=1)
    routes = {
        "veins": _trees(
            points,
            sinuses,
            resistance=1.0 + 0.12 * np.clip(dura[at], 0, 10),
            salt=1,
            variants=variants,
        ),
        # Arteries keep to the cisterns: fluid far from both bone and brain is easy to take.
        "arteries": _trees(
            points,
            nearest < max(8.0, float(nearest.min()) + 2.0),
            resistance=1.0 + 0.5 * np.clip(3.0 - np.abs(depth[at]), 0, 3),
            salt=2,
            variants=variants,
        ),
    }
    wall = (tissue == Tissue.VENTRICLE) & (depth < 99)
    inner = _nodes(wall)
    if len(inner) and (straight < 2.5).any():
        from scipy.spatial import KDTree

        ends = np.argwhere(straight < 2.5)
        front = ends[ends[:, 1] >= np.percentile(ends[:, 1], 80)].astype(np.float32)
        reach, _ = KDTree(front).query(points)
        both = np.concatenate([inner, points[reach < 45.0]])
        away, _ = KDTree(front).query(both)
        routes["deep"] = _trees(
            both, away < 3.0, resistance=np.ones(len(both)), salt=4, variants=variants
        )
    white = (tissue == Tissue.WHITE) & (fields["white"] > 0)
    inner = _nodes(white)
    core = np.argwhere(tissue == Tissue.VENTRICLE)[:: STEP * 3].astype(np.float32)
    if len(core) > 10 and len(inner) > 10:
        from scipy.spatial import KDTree

        reach, _ = KDTree(core).query(inner)
        routes["medullary"] = _trees(
            inner, reach < 4.0, resistance=np.ones(len(inner)), salt=3, variants=variants
        )
    return routes


def _nodes(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """One node per block of STEP voxels that the mask touches, at the centroid of its voxels."""
    voxels = np.argwhere(mask)
    if not len(voxels):
        return np.zeros((0, 3), dtype=np.float32)
    size = np.array(mask.shape) // STEP + 1
    block = np.ravel_multi_index(tuple((voxels // STEP).T), tuple(size))
    _, inverse, count = np.unique(block, return_inverse=True, return_counts=True)
    sums = np.stack([np.bincount(inverse, weights=voxels[:, a]) for a in range(3)], axis=1)
    return (sums / count[:, None]).astype(np.float32)


def _trees(
    points: NDArray[np.float32],
    roots: NDArray[np.bool_],
    *,
    resistance: NDArray[np.floating],
    salt: int,
    variants: int,
) -> Routes:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import dijkstra
    from scipy.spatial import KDTree

    count = len(points)
    parents = np.full((variants, count), -1, dtype=np.int32)
    starts = np.nonzero(roots)[0]
    if count and len(starts):
        pairs = KDTree(points).query_pairs(1.9 * STEP, output_type="ndarray")
        length = np.linalg.norm(points[pairs[:, 0]] - points[pairs[:, 1]], axis=1) + 0.3
        for variant in range(variants):
            rng = generator(salt, variant)
            hindrance = resistance * rng.lognormal(0.0, 0.7, count)
            cost = length * (hindrance[pairs[:, 0]] + hindrance[pairs[:, 1]])
            graph = coo_array((cost, (pairs[:, 0], pairs[:, 1])), shape=(count, count)).tocsr()
            _, found, _ = dijkstra(
                graph, directed=False, indices=starts, min_only=True, return_predecessors=True
            )
            parents[variant] = np.maximum(found, -1)
    return Routes(points=points, parents=parents)
