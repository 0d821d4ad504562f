"""The brainmets scorer, its measures and its statistics, on things known beforehand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from brainmets.domain import Geometry, HeadPhantom, Mask
from brainmets.domain.errors import GridMismatch
from brainmets.evaluation import (
    CaseScore,
    LesionScore,
    RegionScore,
    dice,
    froc_curve,
    holm,
    match_lesions,
    mean_interval,
    measure_extent,
    paired_test,
    ratio_interval,
    score_case,
    sphericity,
    summarise,
    surface_distances,
)
from brainmets.evaluation.measure import equivalent_diameter_mm, solidity
from brainmets.evaluation.own import score_brainmets


def ball(radius_mm: float, spacing: tuple[float, float, float]) -> np.ndarray:
    half = [int(radius_mm / s) + 2 for s in spacing]
    grid = np.meshgrid(
        *(np.arange(-h, h + 1) * s for h, s in zip(half, spacing, strict=True)), indexing="ij"
    )
    return sum(axis**2 for axis in grid) <= radius_mm**2


def lesion(outcome: str, confidence: float = math.nan, diameter: float = 6.0) -> LesionScore:
    return LesionScore(
        outcome=outcome,  # type: ignore[arg-type]
        reference_id=0 if outcome == "false positive" else 1,
        prediction_ids=() if outcome == "missed" else (1,),
        voxels=100,
        volume_mm3=100.0,
        predicted_volume_mm3=100.0,
        dice=0.5,
        nsd=0.5,
        hd95_mm=1.0,
        diameter_mm=diameter,
        confidence=confidence,
    )


def case(patient: str, number: int, rows: list[LesionScore], score: float) -> CaseScore:
    region = RegionScore(region="lesion", values={"dice": score}, lesions=tuple(rows))
    return CaseScore(
        case_id=f"{patient}-{number}", patient=patient, scorer="brainmets", regions=(region,)
    )


def test_dice_by_hand() -> None:
    a, b = np.zeros((2, 5), bool), np.zeros((2, 5), bool)
    a[0, :4], b[0, 2:] = True, True
    assert dice(a, b) == pytest.approx(4 / 7)
    assert dice(a & ~a, b & ~b) == 1.0
    assert math.isnan(dice(a & ~a, b & ~b, both_empty=math.nan))
    assert dice(a, a & ~a) == 0.0
    with pytest.raises(GridMismatch):
        dice(a, b[:1])


def test_one_large_prediction_cannot_claim_two_lesions() -> None:
    reference, prediction = np.zeros((30, 5, 5), bool), np.zeros((30, 5, 5), bool)
    reference[2:6], reference[20:28], prediction[2:28] = True, True, True
    assert match_lesions(reference, prediction).pairs == ((2, 1),)
    assert match_lesions(reference, prediction, rule="any-overlap").found == (1, 2)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.5, 0.5, 1.5), (1.0, 0.7, 3.0)])
def test_a_ball_has_its_diameter_and_is_round(spacing: tuple[float, float, float]) -> None:
    extent = measure_extent(ball(9.0, spacing), spacing)
    voxel = max(spacing)
    assert extent.diameter_mm == pytest.approx(18.0, abs=voxel)
    assert extent.in_plane_mm == pytest.approx(18.0, abs=max(spacing[:2]))
    assert extent.perpendicular_mm == pytest.approx(18.0, abs=2 * max(spacing[:2]))
    assert extent.measurable
    # A stepped surface is longer than the ball it approximates, so a ball scores below 1.
    assert 0.75 < sphericity(ball(9.0, spacing), spacing) <= 1.0


def test_a_rod_is_long_thin_and_not_round() -> None:
    rod = np.ones((20, 3, 3), bool)
    extent = measure_extent(rod, (1.0, 1.0, 1.0))
    assert extent.in_plane_mm == pytest.approx(np.hypot(19, 2) + 1.0, abs=0.1)
    assert extent.perpendicular_mm < 5.0
    assert not extent.measurable
    assert sphericity(rod, (1.0, 1.0, 1.0)) < 0.75


def test_solidity_is_the_share_of_the_hull_and_size_that_of_a_ball() -> None:
    assert solidity(np.ones((4, 3, 5), bool)) == pytest.approx(1.0)
    assert solidity(np.ones((1, 1, 1), bool)) == pytest.approx(1.0)
    angle = np.zeros((6, 6), bool)
    angle[:2], angle[:, :2] = True, True  # an L of 20 pixels in a hull of 36 less a triangle of 8
    assert solidity(angle) == pytest.approx(20 / 28)
    assert equivalent_diameter_mm(ball(9.0, (1.0, 1.0, 1.0)), (1.0, 1.0, 1.0)) == pytest.approx(
        18.0, rel=0.02
    )
    assert equivalent_diameter_mm(angle, (2.0, 2.0)) == pytest.approx(2 * np.sqrt(80 / np.pi))


def test_without_surfaces_only_surface_figures_are_missing() -> None:
    reference, prediction = np.zeros((2, 20, 20, 20), np.uint8)
    reference[4:9, 4:9, 4:9] = 1
    prediction[5:9, 4:9, 4:9] = 1
    prediction[15:17, 15:17, 15:17] = 1
    both = [
        score_brainmets(reference, prediction, (1.0, 1.0, 1.0), {"lesion": ()}, surfaces=surfaces)[
            0
        ]
        for surfaces in (True, False)
    ]
    for name, value in both[0].values.items():
        assert math.isnan(both[1].values[name]) == (name in ("nsd_1mm", "hd95_mm")), name
        assert name in ("nsd_1mm", "hd95_mm") or both[1].values[name] == value
    assert [row.outcome for row in both[1].lesions] == ["found", "false positive"]
    assert both[0].lesions[0].solidity == both[1].lesions[0].solidity == pytest.approx(1.0)


@pytest.mark.parametrize("shape", [(24, 20, 1), (1, 30, 22), (90, 1, 1), (12, 14, 10)])
def test_the_hull_finds_the_diameter_that_all_pairs_find(shape: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(5)
    lesion = rng.uniform(size=shape) < 0.8
    spacing = (0.7, 1.0, 3.0)
    voxels = np.argwhere(lesion) * spacing
    pairs = np.linalg.norm(voxels[:, None] - voxels[None], axis=2)
    one, other = np.unravel_index(int(np.argmax(pairs)), pairs.shape)
    along = (voxels[one] - voxels[other]) / pairs[one, other]
    expected = pairs[one, other] + np.linalg.norm(along * spacing)
    assert measure_extent(lesion, spacing).diameter_mm == pytest.approx(expected, rel=1e-9)


def test_a_voxel_has_its_own_width() -> None:
    extent = measure_extent(np.ones((1, 1, 1), bool), (0.5, 0.5, 2.0))
    assert extent.diameter_mm == 2.0
    assert extent.in_plane_mm == 0.5
    assert extent.slices == 1


def test_one_slice_is_not_measurable_however_large() -> None:
    assert not measure_extent(np.ones((20, 20, 1), bool), (1.0, 1.0, 6.0)).measurable


def test_surfaces_one_millimetre_apart() -> None:
    a, b = np.zeros((20, 20, 20), bool), np.zeros((20, 20, 20), bool)
    a[5:15, 5:15, 5:15], b[5:15, 5:15, 6:16] = True, True
    distances = surface_distances(a, b, (1.0, 1.0, 1.0))
    assert distances.hd95_mm == 1.0
    assert distances.nsd(1.0) == 1.0
    assert 0.5 < distances.nsd(0.5) < 1.0
    assert math.isinf(surface_distances(a, a & ~a, (1.0, 1.0, 1.0)).hd95_mm)


def test_a_single_slice_is_measured_in_its_plane() -> None:
    geometry = Geometry.isotropic((40, 40, 1))
    a, b = np.zeros(geometry.shape, np.uint8), np.zeros(geometry.shape, np.uint8)
    a[5:20, 5:20], b[8:23, 5:20] = 1, 1
    score = score_case(
        Mask(data=a, geometry=geometry),
        Mask(data=b, geometry=geometry),
        case_id="x",
        scorer="brainmets",
    ).regions[0]
    assert score.values["hd95_mm"] == 3.0
    assert score.values["nsd_1mm"] < 0.8


def test_phantom_lesions_are_found_with_their_size() -> None:
    spacing = Geometry.isotropic((100, 130, 70))
    _, mask = HeadPhantom(noise=0.0).render(spacing)
    without_smallest = Mask(data=np.where(mask.data == 3, 0, mask.data), geometry=spacing)
    score = score_case(mask, without_smallest, case_id="p", scorer="brainmets").regions[0]
    assert [row.outcome for row in score.lesions].count("missed") == 1
    (missed,) = (row for row in score.lesions if row.outcome == "missed")
    assert missed.diameter_mm == pytest.approx(4.0, abs=1.1)
    assert score.values["sensitivity"] == pytest.approx(2 / 3)
    assert score.values["measurable_reference"] == 1.0
    assert score.values["volume_error_mm3"] < 0


def test_grids_that_differ_are_refused() -> None:
    one, other = Geometry.isotropic((9, 9, 9)), Geometry.isotropic((9, 9, 9), spacing_mm=2.0)
    empty = np.zeros((9, 9, 9), np.uint8)
    with pytest.raises(GridMismatch):
        score_case(
            Mask(data=empty, geometry=one),
            Mask(data=empty, geometry=other),
            case_id="x",
            scorer="brainmets",
        )


def test_pooled_counts_and_patient_means() -> None:
    cases = [
        case("A", 1, [lesion("found"), lesion("missed", diameter=2.0)], 0.4),
        case("A", 2, [lesion("found")], 0.8),
        case("B", 1, [lesion("false positive", diameter=2.5)], 0.2),
    ]
    (summary,) = summarise(cases)
    assert (summary.cases, summary.patients) == (3, 2)
    assert summary.means["dice"].value == pytest.approx((0.6 + 0.2) / 2)  # patients, not scans
    every, small, _, medium, _ = summary.by_diameter
    assert (every.tp, every.fn, every.fp) == (2, 1, 1)
    assert every.sensitivity.value == pytest.approx(2 / 3)
    assert every.false_alarms_per_scan.value == pytest.approx(1 / 3)
    assert (small.tp, small.fn, small.fp) == (0, 1, 1)
    assert (medium.tp, medium.fn) == (2, 0)
    assert summary.froc is None


def test_froc_by_hand() -> None:
    rows = [
        lesion("found", 0.9),
        lesion("false positive", 0.8),
        lesion("found", 0.7),
        lesion("false positive", 0.7),
        lesion("missed"),
    ]
    curve = froc_curve(rows, scans=2)
    assert curve is not None
    np.testing.assert_allclose(curve.sensitivity, [1 / 3, 1 / 3, 2 / 3])
    np.testing.assert_allclose(curve.false_alarms_per_scan, [0.0, 0.5, 1.0])
    assert curve.sensitivity_at(0.25) == pytest.approx(1 / 3)
    assert curve.sensitivity_at(4.0) == pytest.approx(2 / 3)
    assert 1 / 3 < curve.score < 2 / 3


def test_intervals_hold_the_value_and_shrink_with_patients() -> None:
    rng = np.random.default_rng(0)
    few, many = mean_interval(rng.normal(0, 1, 20)), mean_interval(rng.normal(0, 1, 2000))
    assert few.low < few.value < few.high
    assert many.high - many.low < few.high - few.low
    assert math.isnan(ratio_interval([0.0], [0.0]).value)
    assert mean_interval([1.0, math.nan]).n == 1


def test_bootstrap_interval_covers_about_95_percent() -> None:
    rng = np.random.default_rng(7)
    hits = 0
    for seed in range(200):
        interval = mean_interval(rng.normal(0, 1, 40), seed=seed, resamples=400)
        hits += interval.low <= 0 <= interval.high
    assert 0.88 <= hits / 200 <= 0.99


def test_paired_test_sees_what_is_there() -> None:
    a = np.linspace(0.2, 0.9, 12)
    clear = paired_test(a, a + 0.1)
    assert clear.p_flip == pytest.approx(2 / 2**12)
    assert clear.rank_biserial == 1.0
    assert clear.better == 12
    nothing = paired_test(a, a)
    assert nothing.p_flip == 1.0
    assert math.isnan(nothing.p_wilcoxon)
    assert math.isnan(paired_test([math.nan], [0.3]).difference.value)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx((0.03, 0.06, 0.06))
    assert math.isnan(holm([math.nan, 0.01])[0])
