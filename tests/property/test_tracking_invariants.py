"""What becomes of a lesion depends on the patient, not on how a scan lies or counts."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from brainmets.domain import Geometry, RigidMotion
from brainmets.tracking import Followup, TimePoint, follow
from tests.followed import Spot, scan

if TYPE_CHECKING:
    from collections.abc import Sequence

CELLS = list(itertools.product((1, 13, 25), (1, 13), (1, 11)))
"""Corners far enough apart for a lesion of up to 8 voxels each."""

SHAPE = (40, 28, 22)
QUARTERS = [
    turn
    for signs in itertools.product((1, -1), repeat=3)
    for order in itertools.permutations(range(3))
    if np.linalg.det(turn := np.eye(3)[list(order)] * np.array(signs)[:, None]) > 0
]


@st.composite
def visits(draw: st.DrawFn) -> tuple[list[Spot], list[Spot]]:
    """Lesions of two scans in cells of their own, some in both, some in one."""
    both: tuple[list[Spot], list[Spot]] = ([], [])
    for corner in draw(st.lists(st.sampled_from(CELLS), min_size=1, max_size=6, unique=True)):
        for spots in both:
            side = draw(st.integers(0, 8))
            if side:
                spots.append(Spot(corner, (side, side, side), float(side * 2), float(side * 2)))
    return both


def at(spots: Sequence[Spot]) -> TimePoint:
    return scan(*spots, shape=SHAPE)


def told(found: Followup) -> list[tuple[object, ...]]:
    """Every lesion by its place: what it is in each scan."""
    lesions = (
        (tuple(np.round(one.place_ras_mm, 6)), one.target, *_sightings(one.sightings))
        for one in found.lesions
    )
    return sorted(lesions)


def _sightings(sightings: Sequence[object]) -> list[tuple[object, ...]]:
    return [(one.state, one.diameter_mm, one.volume_mm3) for one in sightings]  # type: ignore[attr-defined]


@settings(max_examples=40, deadline=None)
@given(visits())
def test_each_lesion_is_followed_exactly_once(both: tuple[list[Spot], list[Spot]]) -> None:
    found = follow([at(spots) for spots in both])

    assert len({lesion.id for lesion in found.lesions}) == len(found.lesions)
    for number, spots in enumerate(both):
        parts = [part for lesion in found.lesions for part in lesion.sightings[number].parts]
        assert sorted(parts) == list(range(1, len(spots) + 1))
        total = sum(lesion.sightings[number].volume_mm3 or 0.0 for lesion in found.lesions)
        assert total == sum(np.prod(one.size) for one in spots)
    corners = {one.corner for spots in both for one in spots}
    assert len(found.lesions) == len(corners)  # one a cell, whatever its size


@settings(max_examples=40, deadline=None)
@given(visits(), st.randoms(use_true_random=False))
def test_the_order_of_lesions_in_a_scan_does_not_matter(
    both: tuple[list[Spot], list[Spot]], chance: object
) -> None:
    first, second = both
    shuffled = list(second)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]

    one, other = follow([at(first), at(second)]), follow([at(first), at(shuffled)])
    assert told(one) == told(other)
    assert [r.category for r in one.responses] == [r.category for r in other.responses]


@settings(max_examples=40, deadline=None)
@given(
    visits(),
    st.sampled_from(range(len(QUARTERS))),
    st.tuples(*[st.floats(-80, 80, allow_nan=False)] * 3),
)
def test_how_the_head_lies_in_the_second_scan_does_not_matter(
    both: tuple[list[Spot], list[Spot]], quarter: int, shift: tuple[float, float, float]
) -> None:
    """The second scan's grid moves along with the head: its voxels hold the same tissue."""
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = QUARTERS[quarter], shift
    first, still = (at(spots) for spots in both)
    turned = Geometry(shape=SHAPE, affine=matrix @ still.mask.geometry.affine)
    moved = TimePoint(
        mask=type(still.mask)(data=still.mask.data, geometry=turned),
        lesions=still.lesions,
        motion=RigidMotion(matrix=matrix),
    )

    assert len(QUARTERS) == 24
    assert told(follow([first, still])) == told(follow([first, moved]))


@settings(max_examples=25, deadline=None)
@given(visits())
def test_a_scan_followed_by_itself_is_stable(both: tuple[list[Spot], list[Spot]]) -> None:
    found = follow([at(both[0])] * 3)
    for lesion in found.lesions:
        assert [one.state for one in lesion.sightings] == ["first", "stable", "stable"]
    assert {one.category for one in found.responses[1:]} <= {"SD", "non-CR/non-PD", "NE"}
