"""The 2023 and 2024/25 definitions on cases small enough to score by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from brainmets.evaluation.brats_lesionwise import score_brats_2023, score_brats_2024

ET, NETC = 3, 1
MM = (1.0, 1.0, 1.0)
SHAPE = (30, 30, 30)
DIAGONAL = math.sqrt(3 * 30**2)
ONLY_ET = {"et": (3,)}


def empty() -> np.ndarray:
    return np.zeros(SHAPE, dtype=np.uint8)


def cube(array: np.ndarray, corner: tuple[int, int, int], size: int, label: int = ET) -> np.ndarray:
    i, j, k = corner
    array[i : i + size, j : j + size, k : k + size] = label
    return array


def values(scorer, reference, prediction, spacing=MM, regions=ONLY_ET, **options):
    (score,) = scorer(reference, prediction, spacing, regions, **options)
    return score.values


BOTH = pytest.mark.parametrize("scorer", [score_brats_2023, score_brats_2024])


@BOTH
def test_perfect_is_one(scorer) -> None:
    mask = cube(cube(empty(), (3, 3, 3), 4), (15, 15, 15), 5)
    found = values(scorer, mask, mask)
    assert found["lesionwise_dice"] == 1.0
    assert found["lesionwise_hd95"] == 0.0
    assert (found["tp"], found["fn"], found["fp"]) == (2, 0, 0)


@BOTH
def test_both_empty_is_one_and_the_policy_can_say_otherwise(scorer) -> None:
    assert values(scorer, empty(), empty())["lesionwise_dice"] == 1.0
    assert values(scorer, empty(), empty())["lesionwise_hd95"] == 0.0
    assert math.isnan(values(scorer, empty(), empty(), empty="undefined")["lesionwise_dice"])
    assert values(scorer, empty(), empty(), empty="worst")["lesionwise_dice"] == 0.0


@BOTH
def test_one_side_empty_is_never_excused(scorer) -> None:
    mask = cube(empty(), (3, 3, 3), 4)
    for reference, prediction in ((mask, empty()), (empty(), mask)):
        found = values(scorer, reference, prediction, empty="perfect")
        assert found["lesionwise_dice"] == 0.0
        assert found["dice"] == 0.0


def test_miss_and_false_alarm_cost_374_mm_in_2023() -> None:
    # One lesion hit exactly, one missed, one invented: (1 + 0 + 0) / 3 and (0 + 374 + 374) / 3.
    reference = cube(cube(empty(), (3, 3, 3), 4), (20, 20, 20), 4)
    prediction = cube(cube(empty(), (3, 3, 3), 4), (20, 3, 3), 4)
    found = values(score_brats_2023, reference, prediction)
    assert found["lesionwise_dice"] == pytest.approx(1 / 3)
    assert found["lesionwise_hd95"] == pytest.approx(2 * 374 / 3)
    assert (found["tp"], found["fn"], found["fp"]) == (1, 1, 1)


def test_miss_and_false_alarm_cost_the_diagonal_in_voxels_in_2024() -> None:
    reference = cube(cube(empty(), (3, 3, 3), 4), (20, 20, 20), 4)
    prediction = cube(cube(empty(), (3, 3, 3), 4), (20, 3, 3), 4)
    found = values(score_brats_2024, reference, prediction, spacing=(1.0, 1.0, 3.0))
    assert found["lesionwise_hd95"] == pytest.approx(2 * DIAGONAL / 3)
    assert found["lesionwise_nsd_0.5mm"] == pytest.approx(1 / 3)
    assert found["lesionwise_nsd_1.0mm"] == pytest.approx(1 / 3)


def test_reference_lesions_two_voxels_apart_count_as_one() -> None:
    # Grown by one voxel each, two cubes with two voxels between them touch.
    near = cube(cube(empty(), (3, 3, 3), 3), (8, 3, 3), 3)
    far = cube(cube(empty(), (3, 3, 3), 3), (9, 3, 3), 3)
    one = cube(empty(), (3, 3, 3), 3)
    # near: one lesion of 54 voxels, half of it predicted: 2·27 / (54 + 27) = 2/3.
    assert values(score_brats_2023, near, one)["lesionwise_dice"] == pytest.approx(2 / 3)
    # far: two lesions, one found, one missed.
    assert values(score_brats_2023, far, one)["lesionwise_dice"] == pytest.approx(1 / 2)


def test_growth_does_not_reach_round_a_corner() -> None:
    # The 18-neighbourhood lacks the cube's corners, so a corner neighbour at distance 1 is not
    # reached and the prediction is a false positive.
    reference = cube(empty(), (3, 3, 3), 3)
    prediction = cube(empty(), (6, 6, 6), 3)
    assert values(score_brats_2023, reference, prediction)["fp"] == 1
    edge = cube(empty(), (6, 6, 3), 3)
    assert values(score_brats_2023, reference, edge)["fp"] == 0


def test_all_predictions_that_touch_are_joined() -> None:
    # Reference 4×4×4; prediction its first and last layer apart by two: both belong, 32 voxels.
    reference = cube(empty(), (5, 5, 5), 4)
    prediction = reference.copy()
    prediction[6:8] = 0
    found = values(score_brats_2023, reference, prediction)
    assert found["lesionwise_dice"] == pytest.approx(2 * 32 / (64 + 32))
    assert found["fp"] == 0


def test_touching_the_grown_rim_counts_as_found_with_dice_zero() -> None:
    reference = cube(empty(), (5, 5, 5), 3)
    prediction = cube(empty(), (8, 5, 5), 3)
    found = values(score_brats_2023, reference, prediction)
    assert (found["tp"], found["fn"], found["fp"]) == (1, 0, 0)
    assert found["lesionwise_dice"] == 0.0


@BOTH
def test_reference_lesions_up_to_2_mm3_are_left_out_by_true_volume(scorer) -> None:
    large = cube(empty(), (3, 3, 3), 4)
    reference = large.copy()
    reference[20, 20, 20:22] = ET
    found = values(scorer, reference, large)
    assert found["lesionwise_dice"] == 1.0  # two voxels of 1 mm³: not scored
    assert found["fn"] == 0
    thick = values(scorer, reference, large, spacing=(1.0, 1.0, 1.5))  # now 3 mm³
    assert thick["lesionwise_dice"] == pytest.approx(1 / 2)


def test_false_alarms_of_any_size_count_in_2023_but_specks_do_not_in_2024() -> None:
    reference = cube(empty(), (3, 3, 3), 4)
    prediction = reference.copy()
    prediction[20, 20, 20:22] = ET
    assert values(score_brats_2023, reference, prediction)["lesionwise_dice"] == pytest.approx(
        1 / 2
    )
    assert values(score_brats_2024, reference, prediction)["lesionwise_dice"] == 1.0
    prediction[20, 20, 22] = ET
    assert values(score_brats_2024, reference, prediction)["lesionwise_dice"] == pytest.approx(
        1 / 2
    )


def test_predictions_two_voxels_apart_count_as_one_in_2024() -> None:
    reference = cube(empty(), (20, 20, 20), 4)
    prediction = cube(cube(empty(), (3, 3, 3), 3), (8, 3, 3), 3)
    assert values(score_brats_2023, reference, prediction)["fp"] == 2
    assert values(score_brats_2024, reference, prediction)["fp"] == 1


def test_enhancing_lesions_on_one_core_count_as_one_in_2024() -> None:
    # Two enhancing caps on one necrotic bar; too far apart to grow together.
    reference = empty()
    reference[5:8, 5:8, 5:8] = ET
    reference[8:16, 5:8, 5:8] = NETC
    reference[16:19, 5:8, 5:8] = ET
    reference[25, 25, 20:28] = NETC  # a second core, so that more than one pair touches
    cap = cube(empty(), (5, 5, 5), 3)
    assert values(score_brats_2023, reference, cap)["lesionwise_dice"] == pytest.approx(1 / 2)
    # 2024: one lesion of 54 voxels, 27 of them predicted: 2·27 / (54 + 27).
    assert values(score_brats_2024, reference, cap)["lesionwise_dice"] == pytest.approx(2 / 3)


def test_regions_are_made_of_labels() -> None:
    reference = empty()
    reference[3:6, 3:6, 3:6] = 1
    reference[6:9, 3:6, 3:6] = 2
    reference[20:23, 20:23, 20:23] = 4
    everything = {"et": (3,), "tc": (1, 3), "wt": (1, 2, 3), "rc": (4,)}
    by_year = {
        scorer: {s.region: s.values for s in scorer(reference, reference, MM, everything)}
        for scorer in (score_brats_2023, score_brats_2024)
    }
    assert set(by_year[score_brats_2023]) == {"et", "tc", "wt"}
    for found in by_year.values():
        assert found["tc"]["reference_volume_mm3"] == 27
        assert found["wt"]["reference_volume_mm3"] == 54
        assert found["et"]["tp"] == 0
    assert by_year[score_brats_2024]["rc"]["tp"] == 1


def test_hd95_uses_the_spacing() -> None:
    reference = empty()
    prediction = empty()
    reference[3:13, 3:13, 3:13] = ET
    prediction[3:13, 3:13, 4:14] = ET
    plain = values(score_brats_2023, reference, prediction)["lesionwise_hd95"]
    thick = values(score_brats_2023, reference, prediction, spacing=(1.0, 1.0, 5.0))
    assert plain == 1.0
    assert thick["lesionwise_hd95"] == 5.0
