"""RANO-BM categories on sums worked out by hand, each limit from both sides."""

from __future__ import annotations

import pytest

from brainmets.tracking import Response, Rules, TimePoint, follow
from tests.followed import Spot, scan, spot

PLACES = (5, 17, 29, 41, 53, 65)
"""Far enough apart that no lesion is another."""


def head(*diameters: float, days: int | None = None, across: float = 6.0) -> TimePoint:
    """A scan with a lesion of each diameter, one of 0 being absent."""
    spots = [
        Spot((x, 20, 20), (6, 6, 6), mm, across)
        for x, mm in zip(PLACES, diameters, strict=False)
        if mm
    ]
    return scan(*spots, days=days)


def responses(*times: TimePoint, rules: Rules | None = None) -> tuple[Response, ...]:
    return follow(times, rules or Rules()).responses


def categories(*times: TimePoint) -> list[str | None]:
    return [one.category for one in responses(*times)]


@pytest.mark.parametrize(
    ("now", "category"),
    [
        ((20.0, 20.0), "SD"),
        ((14.0, 14.0), "PR"),  # 28 of 40: -30 %, just
        ((14.1, 14.0), "SD"),
        ((28.0, 20.0), "PD"),  # 48 of 40: +20 %, one gained 8 mm
        ((27.9, 20.0), "SD"),
        ((24.0, 24.0), "SD"),  # +20 %, but no target gained 5 mm
        ((25.0, 23.0), "PD"),  # +20 %, one gained 5 mm
        ((0.0, 0.0), "CR"),
        ((0.0, 20.0), "PR"),
        ((0.0, 30.0), "SD"),  # 30 of 40: one is gone, the other has grown by half; sum -25 %
    ],
)
def test_the_limits_of_each_category(now: tuple[float, ...], category: str) -> None:
    assert categories(head(20.0, 20.0), head(*now)) == [None, category]


def test_the_sum_and_what_it_is_compared_with() -> None:
    # 40 -> 20 (PR) -> 24: +20 % of the smallest, no target gained 5 mm: still PR (-40 %)
    found = responses(head(20.0, 20.0), head(10.0, 10.0), head(12.0, 12.0), head(15.0, 12.0))

    assert [one.sum_mm for one in found] == [40.0, 20.0, 24.0, 27.0]
    assert [one.category for one in found] == [None, "PR", "PR", "PD"]  # 27: +35 %, 15 - 10 = 5
    assert (found[3].first_mm, found[3].smallest_mm) == (40.0, 20.0)
    assert found[3].change_from_first == pytest.approx(-0.325)
    assert found[3].change_from_smallest == pytest.approx(0.35)
    assert "35% above the smallest" in found[3].reasons[0]


def test_only_the_five_largest_measurable_lesions_count() -> None:
    found = follow([head(11.0, 12.0, 13.0, 14.0, 15.0, 16.0)] * 2)
    assert found.responses[0].sum_mm == 12 + 13 + 14 + 15 + 16
    assert sum(one.target for one in found.lesions) == 5


@pytest.mark.parametrize(
    ("lesion", "rules", "target"),
    [
        (Spot((5, 20, 20), (6, 6, 6), 10.0, 5.0), Rules(), True),
        (Spot((5, 20, 20), (6, 6, 6), 9.9, 5.0), Rules(), False),
        (Spot((5, 20, 20), (6, 6, 6), 10.0, 4.9), Rules(), False),  # thin
        (Spot((5, 20, 20), (6, 6, 1), 10.0, 5.0), Rules(), False),  # on one slice
        (Spot((5, 20, 20), (6, 6, 6), 5.0, 5.0), Rules(measurable_mm=5.0), True),
    ],
)
def test_what_is_measurable(lesion: Spot, rules: Rules, target: bool) -> None:
    found = follow([scan(lesion), scan(lesion)], rules)
    assert found.lesions[0].target is target
    assert found.responses[1].category == ("SD" if target else "non-CR/non-PD")


def test_a_new_lesion_is_progression_for_as_long_as_it_is_there() -> None:
    found = responses(
        head(20.0), head(12.0, 4.0), head(12.0, 4.0), head(12.0), head(0.0), head(0.0, 0.0, 3.0)
    )
    assert [one.category for one in found] == [None, "PD", "PD", "PR", "CR", "PD"]
    assert found[1].reasons == ("lesion 2 is new (4.0 mm)",)
    assert found[2].reasons == ("lesion 2 is new since the first scan (4.0 mm)",)


def test_a_target_that_returns_counts_again_but_is_not_new() -> None:
    # 40 -> 20 (PR) -> 24: +20 % of 20, but only 4 mm gained -> 26: +30 %, 6 mm gained since 0
    found = responses(head(20.0, 20.0), head(20.0, 0.0), head(20.0, 4.0), head(20.0, 6.0))
    assert [one.category for one in found] == [None, "PR", "PR", "PD"]
    assert found[3].reasons == ("the sum is 26.0 mm, 30% above the smallest before",)


def test_after_a_complete_response_any_return_is_progression() -> None:
    found = responses(head(20.0, 6.0), head(), head(0.0, 3.0))
    assert [one.category for one in found] == [None, "CR", "PD"]
    assert "returned after a complete response" in found[2].reasons[0]


def test_what_is_left_besides_the_targets_forbids_cr() -> None:
    assert categories(head(20.0, 6.0), head(0.0, 6.0)) == [None, "PR"]


@pytest.mark.parametrize(("now_mm", "category"), [(11.0, "PD"), (10.9, "SD"), (8.0, "SD")])
def test_a_lesion_beside_the_targets_must_clearly_grow(now_mm: float, category: str) -> None:
    """6 mm is no target: +20 % and 5 mm make 11 mm."""
    assert categories(head(20.0, 6.0), head(20.0, now_mm)) == [None, category]


def test_without_targets_there_is_neither_pr_nor_sd() -> None:
    assert categories(head(6.0), head(3.0), head(0.0)) == [None, "non-CR/non-PD", "CR"]
    assert categories(head(6.0), head(11.0)) == [None, "PD"]


def test_without_any_lesion_there_is_nothing_to_evaluate() -> None:
    assert categories(head(), head()) == [None, "NE"]
    assert categories(head(), head(4.0)) == [None, "PD"]


def test_a_target_outside_the_field_leaves_only_pd() -> None:
    field = ((12, 0, 0), (80, 60, 40))
    first = head(20.0, 20.0)
    assert categories(first, scan(spot(17, 20.0), field=field)) == [None, "NE"]
    assert categories(first, scan(spot(17, 20.0), spot(53, 5.0), field=field)) == [None, "PD"]
    found = responses(first, scan(spot(17, 20.0), field=field), head(14.0, 14.0))
    assert [one.category for one in found] == [None, "NE", "PR"]
    assert found[1].sum_mm is None


def test_merged_targets_count_once_and_are_compared_with_both() -> None:
    apart = scan(Spot((10, 20, 20), (8, 8, 8), 12.0), Spot((26, 20, 20), (6, 6, 6), 10.0))

    def joined(mm: float) -> TimePoint:
        return scan(Spot((10, 20, 20), (22, 8, 8), mm))

    found = responses(apart, joined(20.0))
    assert (found[1].category, found[1].sum_mm, found[1].first_mm) == ("SD", 20.0, 22.0)
    assert responses(apart, joined(15.0))[1].category == "PR"  # 15 of 22: -32 %
    assert responses(apart, joined(27.0))[1].category == "PD"  # +23 %, 5 mm above 22


def test_a_target_that_swallows_another_lesion_is_compared_with_both() -> None:
    """12 mm and a 6 mm neighbour, no target, become 18 mm: stable, not +50 %."""
    apart = scan(Spot((10, 20, 20), (8, 8, 8), 12.0), Spot((22, 20, 20), (6, 6, 6), 6.0))
    found = responses(apart, scan(Spot((10, 20, 20), (18, 8, 8), 18.0)))

    assert found[0].sum_mm == 12.0
    assert (found[1].category, found[1].sum_mm, found[1].smallest_mm) == ("SD", 18.0, 18.0)


@pytest.mark.parametrize(
    ("later", "confirmed"),
    [
        ([(10.0, 30), (10.0, 58)], [None, False, True]),  # four weeks to the day
        ([(10.0, 30), (10.0, 57)], [None, False, False]),
        ([(10.0, 30), (0.0, 58), (0.0, 86)], [None, False, False, True]),
        ([(0.0, 30), (10.0, 58)], [None, False, None]),  # returned after CR: PD
        ([(10.0, None), (10.0, None)], [None, None, None]),
    ],
)
def test_a_response_is_confirmed_after_four_weeks(
    later: list[tuple[float, int | None]], confirmed: list[bool | None]
) -> None:
    first = head(20.0, days=None if later[0][1] is None else 0)
    found = responses(first, *(head(mm, days=day) for mm, day in later))
    assert [one.confirmed for one in found] == confirmed
