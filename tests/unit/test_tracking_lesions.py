"""What becomes of each lesion, on cases whose answers were worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from brainmets.domain import RigidMotion
from brainmets.domain.errors import GridMismatch, OptionError
from brainmets.tracking import Rules, TimePoint, follow
from tests.followed import Spot, scan, spot


def states(*times: TimePoint) -> list[list[str]]:
    """One list a lesion, in the order of their numbers."""
    return [[one.state for one in lesion.sightings] for lesion in follow(times).lesions]


@pytest.mark.parametrize(
    ("then_mm", "now_mm", "state"),
    [
        (10.0, 12.0, "growing"),  # +20 % and 2 mm: both just reached
        (10.0, 11.9, "stable"),
        (5.0, 6.5, "stable"),  # +30 % but only 1.5 mm
        (5.0, 7.0, "growing"),
        (30.0, 35.0, "stable"),  # 5 mm but only +17 %
        (10.0, 7.0, "shrinking"),  # -30 %, just
        (10.0, 7.1, "stable"),
        (5.0, 3.4, "stable"),  # -32 % but 1.6 mm
        (5.0, 3.0, "shrinking"),
        (10.0, 10.0, "stable"),
    ],
)
def test_a_lesion_grows_and_shrinks_by_share_and_millimetres(
    then_mm: float, now_mm: float, state: str
) -> None:
    assert states(scan(spot(10, then_mm)), scan(spot(10, now_mm))) == [["first", state]]


def test_growth_is_against_the_smallest_and_shrinking_against_the_first() -> None:
    # 20 -> 10 (-50 %) -> 13 (+30 % from 10, though still -35 % from 20) -> 12 (+20 % from 10)
    found = follow([scan(spot(10, mm)) for mm in (20.0, 10.0, 13.0, 12.0, 11.0)])
    (lesion,) = found.lesions

    assert [s.state for s in lesion.sightings] == [
        "first",
        "shrinking",
        "growing",
        "growing",
        "shrinking",  # 11 is +10 % from 10, and -45 % from 20
    ]
    assert lesion.sightings[2].first_mm == 20.0
    assert lesion.sightings[2].smallest_mm == 10.0
    assert lesion.sightings[2].change_from_smallest == pytest.approx(0.3)
    assert lesion.sightings[2].change_from_first == pytest.approx(-0.35)


def test_new_and_gone_lesions_keep_their_own_numbers() -> None:
    found = states(
        scan(spot(10, 10.0), spot(40, 8.0)),
        scan(spot(40, 8.0)),
        scan(spot(60, 5.0), spot(40, 8.0)),
    )

    assert found == [
        ["first", "gone", "gone"],
        ["first", "stable", "stable"],
        ["absent", "absent", "new"],
    ]


def test_numbers_follow_volume_within_a_scan_and_then_appearance() -> None:
    found = follow([
        scan(spot(10, 4.0, side=3), spot(40, 9.0, side=9)),
        scan(spot(10, 4.0, side=3), spot(40, 9.0, side=9), spot(60, 9.0, side=12)),
    ])  # fmt: skip

    assert [round(lesion.place_ras_mm[0]) for lesion in found.lesions] == [44, 11, 66]
    assert found.lesions[0].sightings[1].parts == (2,)


def test_gone_then_returned_is_the_same_lesion() -> None:
    (lesion,) = follow([
        scan(spot(10, 10.0)), scan(), scan(spot(11, 6.0)), scan(spot(11, 8.0)), scan(spot(11, 6.5)),
    ]).lesions  # fmt: skip

    assert [s.state for s in lesion.sightings] == [
        "first",
        "gone",
        "returned",
        "growing",  # 8 against 6, the smallest since it returned: +33 %
        "shrinking",  # 6.5 against the 10 of the first scan
    ]
    assert [s.diameter_mm for s in lesion.sightings] == [10.0, 0.0, 6.0, 8.0, 6.5]
    assert lesion.sightings[1].volume_mm3 == 0.0


@pytest.mark.parametrize(
    ("moved", "same"),
    [
        (4, True),  # a cube of 6 moved by 4: a third of it overlaps
        (5, True),  # a sixth overlaps, but the borders touch
        (8, True),  # 2 mm between the borders
        (9, False),  # 3 mm
    ],
)
def test_the_same_lesion_by_overlap_or_by_nearness(moved: int, same: bool) -> None:
    found = states(scan(spot(20, 10.0)), scan(spot(20 + moved, 10.0)))

    assert found == ([["first", "stable"]] if same else [["first", "gone"], ["absent", "new"]])


def test_a_small_remnant_inside_a_large_lesion_is_that_lesion() -> None:
    """A quarter of the smaller is enough, however little that is of the larger."""
    assert states(scan(spot(20, 20.0, side=16)), scan(spot(26, 4.0, side=3))) == [
        ["first", "shrinking"]
    ]


def test_neighbours_two_millimetres_apart_are_not_mixed_up() -> None:
    before = scan(spot(10, 10.0), spot(17, 8.0))  # 1 mm of tissue between them
    assert states(before, scan(spot(10, 10.0))) == [["first", "stable"], ["first", "gone"]]
    assert states(before, scan(spot(17, 8.0))) == [["first", "gone"], ["first", "stable"]]


def test_merged_lesions_are_measured_under_the_larger_ones_number() -> None:
    # 10 + 8 mm become one of 16 mm: smaller than the two together, so it has not grown
    apart = scan(spot(10, 10.0, side=8), spot(22, 8.0))
    joined = scan(Spot((10, 20, 20), (18, 8, 8), 16.0))
    larger, smaller = follow([apart, joined]).lesions

    assert larger.sightings[1].state == "stable"
    assert larger.sightings[1].diameter_mm == 16.0
    assert larger.sightings[1].first_mm == 18.0
    assert (smaller.sightings[1].state, smaller.sightings[1].into) == ("merged", 1)
    assert smaller.sightings[1].diameter_mm == 0.0

    grown = follow([apart, scan(Spot((10, 20, 20), (18, 8, 8), 22.0))]).lesions[0]
    assert grown.sightings[1].state == "growing"  # 22 against 18: +22 %


def test_a_merged_lesion_may_merge_again() -> None:
    found = follow([
        scan(spot(10, 12.0, side=10), spot(22, 8.0, side=8), spot(32, 6.0)),
        scan(Spot((10, 20, 20), (20, 8, 8), 20.0), spot(32, 6.0)),
        scan(Spot((10, 20, 20), (28, 8, 8), 28.0)),
    ])  # fmt: skip

    assert [[s.state for s in one.sightings] for one in found.lesions] == [
        ["first", "stable", "stable"],  # 28 against 12 + 8 + 6 = 26
        ["first", "merged", "merged"],
        ["first", "stable", "merged"],
    ]
    assert [one.sightings[2].into for one in found.lesions] == [None, 1, 1]


def test_a_split_lesion_adds_its_parts() -> None:
    whole = scan(Spot((10, 20, 20), (20, 6, 6), 20.0))
    (lesion,) = follow([whole, scan(spot(10, 7.0), spot(24, 6.0))]).lesions

    assert lesion.sightings[1].diameter_mm == 13.0
    assert lesion.sightings[1].volume_mm3 == 2 * 6**3
    assert set(lesion.sightings[1].parts) == {1, 2}
    assert lesion.sightings[1].state == "shrinking"  # 13 of 20: -35 %


def test_a_speck_beside_a_followed_lesion_is_neither_part_of_it_nor_new() -> None:
    """2 mm at 1 mm from a lesion that is found whole; one 4 mm away is new."""
    before = scan(spot(10, 10.0))
    assert states(before, scan(spot(10, 10.0), spot(17, 2.0, side=2))) == [
        ["first", "stable"],
        ["absent", "uncertain"],
    ]
    assert states(before, scan(spot(10, 10.0), spot(20, 2.0, side=2))) == [
        ["first", "stable"],
        ["absent", "new"],
    ]


def test_what_lies_outside_a_scan_is_neither_gone_nor_new() -> None:
    # the second scan begins 30 mm to the right of the first one's edge
    affine = np.eye(4)
    affine[0, 3] = 30.0
    short = scan(spot(40 - 30, 10.0), shape=(50, 60, 40), affine=affine)

    assert states(scan(spot(5, 10.0), spot(40, 10.0)), short) == [
        ["first", "not imaged"],
        ["first", "stable"],
    ]
    assert states(short, scan(spot(5, 10.0), spot(40, 10.0))) == [
        ["first", "stable"],
        ["not imaged", "first"],  # it may have been there all the time
    ]
    lesion = follow([scan(spot(5, 10.0)), short]).lesions[0]
    assert lesion.sightings[1].diameter_mm is None
    assert lesion.sightings[1].volume_mm3 is None


def test_an_empty_margin_of_the_grid_is_not_imaged_either() -> None:
    slab = scan(spot(40, 10.0), field=((30, 0, 0), (80, 60, 40)))

    assert states(scan(spot(5, 10.0), spot(40, 10.0)), slab)[0] == ["first", "not imaged"]


def test_gone_while_not_imaged_waits_for_the_next_scan() -> None:
    field = ((30, 0, 0), (80, 60, 40))
    found = states(scan(spot(5, 10.0)), scan(field=field), scan(spot(5, 9.0)))
    assert found == [["first", "not imaged", "stable"]]
    assert states(scan(spot(5, 10.0)), scan(field=field), scan()) == [
        ["first", "not imaged", "gone"]
    ]


def test_a_lesion_cut_by_the_edge_of_the_field_is_said_to_be() -> None:
    cut = scan(Spot((12, 20, 20), (8, 6, 6), 8.0), field=((12, 0, 0), (80, 60, 40)))
    (lesion,) = follow([scan(Spot((10, 20, 20), (10, 6, 6), 10.0)), cut]).lesions

    assert not lesion.sightings[1].whole


def test_scans_lie_in_the_first_ones_space() -> None:
    """Another grid, orientation and head position: nothing changes."""
    motion = RigidMotion.of(rotation_deg=(0, 0, 90), shift_mm=(100.0, -20.0, 7.0))
    # the first scan's voxel (i, j, k) is at (-j + 100, i - 20, k + 7) in the second
    affine = np.eye(4)
    affine[:3, 3] = (100 - 59, -20, 7)
    there = scan(
        Spot((59 - 25, 10, 20), (6, 6, 6), 10.0), shape=(60, 80, 40), affine=affine, motion=motion
    )

    assert states(scan(spot(10, 10.0)), there) == [["first", "stable"]]


def test_thick_slices_match_thin_ones() -> None:
    thick = scan(
        Spot((10, 20, 4), (6, 6, 1), 10.0), shape=(80, 60, 8), affine=np.diag([1, 1, 5, 1])
    )

    assert states(scan(spot(10, 10.0, z=18)), thick) == [["first", "stable"]]
    assert states(thick, scan(spot(10, 10.0, z=18))) == [["first", "stable"]]


def test_rules_can_be_chosen() -> None:
    strict = Rules(change_mm=0.0)
    (lesion,) = follow([scan(spot(10, 5.0)), scan(spot(10, 6.0))], strict).lesions
    assert lesion.sightings[1].state == "growing"


def test_one_scan_or_days_that_do_not_rise_are_refused() -> None:
    with pytest.raises(OptionError, match="1 scan to follow"):
        follow([scan(spot(10, 5.0))])
    for days in ((0, 0), (0, -3), (0, None)):
        with pytest.raises(OptionError, match="do not rise"):
            follow([scan(days=day) for day in days])


def test_mask_and_table_must_agree() -> None:
    good = scan(spot(10, 5.0))
    with pytest.raises(GridMismatch, match="1 lesions for a table of 0"):
        TimePoint(mask=good.mask, lesions=(), motion=good.motion)
