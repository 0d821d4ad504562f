"""From a probability map to lesions: connected components, kept by their peak, measured."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from brainmets.domain import Lesion, Mask
from brainmets.domain.diameters import Ruler

if TYPE_CHECKING:
    from collections.abc import Collection

    from numpy.typing import NDArray

    from brainmets.domain import CaseKind, Geometry, Side, Volume
    from brainmets.inference.operating_point import OperatingPoint

__all__ = ["MIDLINE_MM", "Component", "find_components", "find_lesions", "measure_lesions"]

MIDLINE_MM = 3.0
"""A centroid this near the head's mid-sagittal plane is called midline."""

TIE_DECIMALS = 3
"""Digits of a centroid that order lesions of equal volume: beyond them is rounding."""


class Component(NamedTuple):
    """One candidate: its voxels (n, 3) and their probabilities."""

    voxels: NDArray[np.int64]
    probabilities: NDArray[np.float32]


def find_lesions(
    probability: Volume,
    point: OperatingPoint,
    *,
    kind: CaseKind = "volume",
    midline_x_mm: float = 0.0,
) -> tuple[Mask, tuple[Lesion, ...]]:
    """Return the lesions, largest first, and a mask holding their ids 1…n.

    Components touch by faces, edges or corners (26 neighbours; 8 within each slice for
    `kind="slices"`, whose lesions never span slices). Cost is linear in voxels and lesions.
    The same head in another axis orientation gives the same lesions.

    Args:
        probability: 0…1 on the input's own grid.
        point: which voxels belong to a lesion and which lesions are kept.
        kind: whether the slices along k belong together.
        midline_x_mm: RAS x of the head's mid-sagittal plane, which divides left from right. Many
            files have their origin at a corner of the grid: give the head's own middle.

    Returns:
        The mask (i, j, k) and the lesions: volumes in mm³, diameters and positions in mm.
    """
    geometry = probability.geometry
    ruler = _ruler(geometry, kind)
    candidates = probability.data >= np.float32(point.threshold)
    components = find_components(candidates, probability.data, kind)
    kept = [
        c
        for c in components
        if c.probabilities.max() >= np.float32(point.peak)
        and len(c.voxels) * ruler.voxel_mm3 >= point.min_volume_mm3
    ]
    middles = [c.voxels.mean(axis=0) for c in kept]
    centroids = geometry.to_ras_mm(np.reshape(middles, (-1, 3)))
    places = np.round(centroids, TIE_DECIMALS)
    order = np.lexsort((*places.T[::-1], [-len(c.voxels) for c in kept]))
    labels = np.zeros(geometry.shape, dtype=np.min_scalar_type(len(kept)))
    lesions: list[Lesion] = []
    for number, index in enumerate(order, start=1):
        labels[tuple(kept[index].voxels.T)] = number
        lesion = _measure(number, kept[index], ruler, middles[index], centroids[index])
        lesions.append(_placed(lesion, kind, midline_x_mm))
    return Mask(data=labels, geometry=geometry), tuple(lesions)


def measure_lesions(
    mask: Mask,
    probability: Volume,
    *,
    kind: CaseKind = "volume",
    midline_x_mm: float = 0.0,
    only: Collection[int] | None = None,
) -> tuple[Lesion, ...]:
    """Measure lesions that are drawn already, each as the id it has in `mask`, by rising id.

    As `find_lesions` measures what it finds, whether or not a lesion's voxels touch; `only` those
    with these ids, where given.
    """
    geometry = mask.geometry
    ruler = _ruler(geometry, kind)
    voxels = np.argwhere(mask.data)
    ids = mask.data[tuple(voxels.T)]
    lesions: list[Lesion] = []
    for number in np.unique(ids).tolist():
        if only is not None and number not in only:
            continue
        mine = voxels[ids == number]
        component = Component(mine, probability.data[tuple(mine.T)])
        middle = mine.mean(axis=0)
        lesion = _measure(number, component, ruler, middle, geometry.to_ras_mm(middle))
        lesions.append(_placed(lesion, kind, midline_x_mm))
    return tuple(lesions)


def _ruler(geometry: Geometry, kind: CaseKind) -> Ruler:
    return Ruler(geometry, slice_axis=2 if kind == "slices" else geometry.slice_axis)


def _placed(lesion: Lesion, kind: CaseKind, midline_x_mm: float) -> Lesion:
    if kind == "slices":
        return replace(lesion, diameter_3d_mm=lesion.diameter_in_plane_mm)
    return replace(lesion, side=_side(lesion.centroid_ras_mm[0] - midline_x_mm))


def find_components(
    candidates: NDArray[np.bool_], probability: NDArray[np.float32], kind: CaseKind
) -> list[Component]:
    """Group candidate voxels, each group's voxels in index order; touches only those voxels."""
    voxels = np.argwhere(candidates)
    if not len(voxels):
        return []
    low, high = voxels.min(axis=0), voxels.max(axis=0) + 1
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    labels = _label(candidates[box], kind)[tuple((voxels - low).T)]
    order = np.argsort(labels, kind="stable")
    starts = np.flatnonzero(np.diff(labels[order], prepend=0))
    values = probability[tuple(voxels[order].T)]
    pieces = zip(np.split(voxels[order], starts[1:]), np.split(values, starts[1:]), strict=True)
    return [Component(v, p) for v, p in pieces]


def _label(candidates: NDArray[np.bool_], kind: CaseKind) -> NDArray[np.uint32]:
    import cc3d

    if kind == "volume":
        return np.asarray(cc3d.connected_components(candidates, connectivity=26), dtype=np.uint32)
    labels = np.zeros(candidates.shape, dtype=np.uint32)
    found = 0
    for k in range(candidates.shape[2]):
        plane, count = cc3d.connected_components(
            np.ascontiguousarray(candidates[:, :, k]), connectivity=8, return_N=True
        )
        labels[:, :, k] = np.where(plane > 0, plane + np.uint32(found), 0)
        found += int(count)
    return labels


def _measure(
    number: int,
    component: Component,
    ruler: Ruler,
    middle: NDArray[np.float64],
    centroid_ras_mm: NDArray[np.float64],
) -> Lesion:
    diameters = ruler.measure(component.voxels)
    x, y, z = centroid_ras_mm.tolist()
    i, j, k = middle.tolist()
    return Lesion(
        id=number,
        voxels=len(component.voxels),
        volume_mm3=len(component.voxels) * ruler.voxel_mm3,
        diameter_in_plane_mm=diameters.in_plane,
        perpendicular_mm=diameters.perpendicular,
        diameter_3d_mm=diameters.in_space,
        centroid_ras_mm=(x, y, z),
        centroid_voxel=(i, j, k),
        slice_index=diameters.slice_index,
        side="unknown",
        peak_probability=float(component.probabilities.max()),
        mean_probability=float(component.probabilities.mean(dtype=np.float64)),
    )


def _side(x_mm: float) -> Side:
    """Side of the patient by the distance to the right of the midline."""
    if abs(x_mm) <= MIDLINE_MM:
        return "midline"
    return "right" if x_mm > 0 else "left"
