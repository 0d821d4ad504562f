"""Which lesion of a scan is which of those followed so far."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from brainmets.tracking.rules import Rules
    from brainmets.tracking.timepoint import Footprint, TimePoint

__all__ = ["LastSeen", "Matches", "match"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LastSeen:
    """A followed lesion where it was last seen: the scan, its ids there, its footprint."""

    time: TimePoint
    ids: tuple[int, ...]
    footprint: Footprint


@dataclass(frozen=True, slots=True, kw_only=True)
class Matches:
    """Who is who.

    Attributes:
        owner: for each lesion of the new scan, by id, the place of the followed lesion it is, or
            None where it is none of them.
        covered: for each followed lesion that owns nothing although a lesion lies where it was,
            the place of the followed lesion that owns that: they have merged.
        next to: for lesions that are none of those followed but close to one that is found, the
            place of that one.
    """

    owner: dict[int, int | None]
    covered: dict[int, int]
    beside: dict[int, int]


def match(
    followed: Sequence[LastSeen],
    time: TimePoint,
    found: dict[int, Footprint],
    rules: Rules,
) -> Matches:
    """Tell who is who by overlap in the first scan's space, else by nearness.

    A lesion belongs to the followed one with which it shares the most volume among those whose
    overlap, as a share of the smaller of the two, reaches `rules.overlap`; one followed lesion
    may own several (it has split). Lesions without such an overlap join the nearest followed one
    within `rules.gap_mm` that has no other partner; next to one that has, they are their own.
    """
    ids = sorted(found)
    shares, shared_mm3 = _overlaps(followed, time, found, ids)
    linked = shares >= rules.overlap
    owner: dict[int, int | None] = {
        lesion: int(np.argmax(np.where(linked[:, column], shared_mm3[:, column], -1.0)))
        if linked[:, column].any()
        else None
        for column, lesion in enumerate(ids)
    }
    alone = [lesion for lesion in ids if owner[lesion] is None]
    taken = [bool(row.any()) for row in linked]
    near = _near(followed, found, alone, rules.gap_mm)
    owner |= _nearest(near, taken)
    beside: dict[int, int] = {}
    for _, lesion, place in near:
        if owner[lesion] is None:
            beside.setdefault(lesion, place)
    owners = set(owner.values())
    covered: dict[int, int] = {}
    for place in range(len(followed)):
        if place in owners or not linked[place].any():
            continue
        over = ids[int(np.argmax(np.where(linked[place], shared_mm3[place], -1.0)))]
        into = owner[over]
        if into is not None:
            covered[place] = into
    return Matches(owner=owner, covered=covered, beside=beside)


def _overlaps(
    followed: Sequence[LastSeen],
    time: TimePoint,
    found: dict[int, Footprint],
    ids: list[int],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return overlap as a share of the smaller, and in mm³, of each pair (followed, found).

    Voxels of either scan are looked up in the other, so no grid needs to be common to both.
    """
    shares = np.zeros((len(followed), len(ids)))
    shared_mm3 = np.zeros_like(shares)
    highest = max(ids, default=0)
    back: dict[int, list[NDArray[np.int64]]] = {}
    for row, old in enumerate(followed):
        labels = time.labels_at(old.footprint.points_mm)
        of_old = np.bincount(labels, minlength=highest + 1) / len(labels)
        if id(old.time) not in back:
            back[id(old.time)] = [old.time.labels_at(found[lesion].points_mm) for lesion in ids]
        under = back[id(old.time)]
        for column, lesion in enumerate(ids):
            of_new = float(np.mean(np.isin(under[column], old.ids)))
            shares[row, column] = max(float(of_old[lesion]), of_new)
            volumes = of_old[lesion] * old.footprint.volume_mm3, of_new * found[lesion].volume_mm3
            shared_mm3[row, column] = sum(volumes) / 2
    return shares, shared_mm3


def _near(
    followed: Sequence[LastSeen], found: dict[int, Footprint], alone: list[int], gap_mm: float
) -> list[tuple[float, int, int]]:
    """Return gap, lesion and place of each followed lesion near one without an overlap."""
    near = [
        (gap, lesion, place)
        for lesion in alone
        for place, old in enumerate(followed)
        if (gap := old.footprint.gap_mm(found[lesion])) <= gap_mm
    ]
    return sorted(near)


def _nearest(near: list[tuple[float, int, int]], taken: Sequence[bool]) -> dict[int, int]:
    """Give lesions without an overlap to the nearest followed lesion that has no partner."""
    given: dict[int, int] = {}
    for _, lesion, place in near:
        if not taken[place]:
            given.setdefault(lesion, place)
    return given
