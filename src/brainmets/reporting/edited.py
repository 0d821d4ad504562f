"""A mask against the table of its lesions: do they tell of the same, and what if not."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from brainmets.domain import Lesion, Mask, Volume
from brainmets.inference.lesions import find_components, measure_lesions
from brainmets.inference.places import fill_places

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from brainmets.domain import CaseKind, Geometry

__all__ = ["EDITED", "agreeing", "numbered", "remeasured"]

EDITED = (
    "The mask was edited after segmentation: its lesions are measured again, and what a reader or"
    " the network said of them may be of other outlines."
)

SAME_PLACE = 0.02
"""Voxels by which a centre may differ: tables hold four decimals of a millimetre."""


SAME_MM = 0.01
"""Diameters that differ by more are of another shape, though voxels and centre are the same."""


def agreeing(
    mask: Mask, lesions: Sequence[Lesion], kind: CaseKind
) -> NDArray[np.unsignedinteger] | None:
    """Return the ids if mask and table tell of the same lesions, else None.

    The ids of slice pictures, which are black and white, are given again.
    """
    drawn = mask.data
    ids = _numbered_slices(drawn, lesions) if kind == "slices" else drawn
    if ids is None:
        return None
    voxels = np.argwhere(ids)
    labels = ids[tuple(voxels.T)]
    known = {lesion.id: lesion for lesion in lesions}
    if set(np.unique(labels).tolist()) != set(known) or len(known) != len(lesions):
        return None
    if kind == "slices" and np.count_nonzero(drawn) != len(voxels):
        return None
    for number, lesion in known.items():
        mine = voxels[labels == number]
        away = np.abs(mine.mean(axis=0) - lesion.centroid_voxel).max()
        if len(mine) != lesion.voxels or away > SAME_PLACE:
            return None
    return ids if _same_sizes(Mask(data=ids, geometry=mask.geometry), known, kind) else None


def _same_sizes(mask: Mask, known: Mapping[int, Lesion], kind: CaseKind) -> bool:
    """Whether every lesion has the diameters that are reported for it."""
    unseen = Volume(data=np.zeros(mask.data.shape, dtype=np.float32), geometry=mask.geometry)
    return all(
        abs(getattr(one, name) - getattr(known[one.id], name)) <= SAME_MM
        for one in measure_lesions(mask, unseen, kind=kind)
        for name in ("diameter_in_plane_mm", "perpendicular_mm", "diameter_3d_mm")
    )


def remeasured(
    drawn: Mask,
    lesions: Sequence[Lesion],
    probability: NDArray[np.float32] | None,
    kind: CaseKind,
    settings: Mapping[str, object],
) -> tuple[Mask, list[Lesion], dict[int, int]]:
    """Measure what a mask holds, and say which lesion of the table each one is, by id.

    Labels are lesions; a mask of one label that stands for several lesions, or of slices, is
    divided into what touches. A lesion is that of the table whose centre is nearest and within it:
    it keeps what the network said where no probability map tells.
    """
    several = len(lesions) > 1 and len(np.unique(drawn.data)) <= 2
    mask = numbered(drawn, kind) if kind == "slices" or several else drawn
    field = np.full(drawn.data.shape, np.nan, dtype=np.float32)
    if probability is not None:
        field = probability
    measured = measure_lesions(
        mask,
        Volume(data=field, geometry=mask.geometry),
        kind=kind,
        midline_x_mm=float(str(settings.get("midline_x_mm", 0.0))),
    )
    origin = _counterparts(measured, lesions, mask.geometry)
    before = {lesion.id: lesion for lesion in lesions}
    told = [
        _as_told(one, before[origin[one.id]], with_peak=probability is None)
        if one.id in origin
        else one
        for one in measured
    ]
    return mask, list(fill_places(tuple(told), settings)), origin


def _counterparts(
    measured: Sequence[Lesion], table: Sequence[Lesion], geometry: Geometry
) -> dict[int, int]:
    """Pair lesions by their places, the nearest pair first, each once."""
    spacing = np.array(geometry.spacing_mm)
    pairs = sorted(
        (float(np.linalg.norm(step)), one.id, other.id)
        for one in measured
        for other in table
        if one.slice_index == other.slice_index or one.side != "unknown"
        if np.linalg.norm(
            step := (np.array(one.centroid_voxel) - np.array(other.centroid_voxel)) * spacing
        )
        <= max(one.diameter_3d_mm, other.diameter_3d_mm) / 2
    )
    origin: dict[int, int] = {}
    for _, one, other in pairs:
        if one not in origin and other not in origin.values():
            origin[one] = other
    return origin


def _as_told(lesion: Lesion, before: Lesion, *, with_peak: bool) -> Lesion:
    known = replace(lesion, place=before.place)
    if not with_peak:
        return known
    return replace(
        known,
        peak_probability=before.peak_probability,
        mean_probability=before.mean_probability,
    )


def numbered(drawn: Mask, kind: CaseKind) -> Mask:
    """Number what touches, the largest first: 26 neighbours, in slices 8."""
    ids = np.zeros(drawn.data.shape, dtype=np.uint16)
    nothing = np.zeros(drawn.data.shape, dtype=np.float32)
    parts = find_components(drawn.data > 0, nothing, kind)
    for number, part in enumerate(sorted(parts, key=lambda one: -len(one.voxels)), start=1):
        ids[tuple(part.voxels.T)] = number
    return Mask(data=ids, geometry=drawn.geometry)


def _numbered_slices(
    drawn: NDArray[np.unsignedinteger], lesions: Sequence[Lesion]
) -> NDArray[np.uint16] | None:
    """Give the lesions of slice pictures their ids again; None where one is not there.

    Each is the group of touching pixels in its slice whose centre is its own.
    """
    import cc3d

    ids = np.zeros(drawn.shape, dtype=np.uint16)
    for k in {lesion.slice_index for lesion in lesions}:
        plane: Any = np.ascontiguousarray(drawn[:, :, k] > 0)
        groups = np.asarray(cc3d.connected_components(plane, connectivity=8))
        if not groups.any():
            return None
        middles = np.array(
            [np.argwhere(groups == n).mean(axis=0) for n in range(1, int(groups.max()) + 1)]
        )
        for lesion in (one for one in lesions if one.slice_index == k):
            distance = np.linalg.norm(middles - lesion.centroid_voxel[:2], axis=1)
            ids[:, :, k][groups == 1 + int(np.argmin(distance))] = lesion.id
    return ids
