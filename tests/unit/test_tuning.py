"""Operating points and a rejector, chosen on validation cases, kept in the bundle."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from brainmets.domain import Geometry, Volume
from brainmets.domain.errors import OptionError
from brainmets.evaluation.tuning import (
    Choice,
    best_point,
    candidates_of,
    detection,
    figures_at,
    grid,
)
from brainmets.inference import Bundle, OperatingPoint, Rejector, find_lesions, revise_bundle
from brainmets.inference.lesions import find_components
from brainmets.inference.rejector import FEATURES, PLAIN_MM3, PLAIN_PEAK, component_features
from brainmets.workflows.tune import TuneOptions, tune
from tests.bundles import random_bundle
from tests.unit.test_networks import slice_bundle, slices

if TYPE_CHECKING:
    from pathlib import Path

    from brainmets.evaluation.tuning import CaseCandidates

__all__ = ["slices"]  # a fixture of the other module

GRID = Geometry.isotropic((40, 40, 40))


def blob(data: np.ndarray, at: tuple[int, int, int], size: int, level: float) -> None:
    box = tuple(slice(n, n + size) for n in at)
    data[box] = level
    data[at] = level + 0.05


def candidates(
    real: list[float], false: list[float], *, missed: int = 0, number: int = 0, grow: float = 0.4
) -> CaseCandidates:
    """Tabulate a case: cubes of 4³ with these peaks that are lesions, cubes of 3³ that are not."""
    data = np.zeros(GRID.shape, np.float32)
    truth = np.zeros(GRID.shape, bool)
    for n, peak in enumerate(real):
        blob(data, (2, 2, 6 * n), 4, peak - 0.05)
        truth[2:6, 2:6, 6 * n : 6 * n + 4] = True
    for n, peak in enumerate(false):
        blob(data, (20, 20, 6 * n), 3, peak - 0.05)
    for n in range(missed):
        truth[30:33, 2:5, 6 * n : 6 * n + 3] = True
    return tabulated(data, truth, number=number, grow=grow)


def tabulated(
    data: np.ndarray, truth: np.ndarray, *, number: int, grow: float, source: str = "real"
) -> CaseCandidates:
    components = find_components(data >= np.float32(grow), data, "volume")
    labels = np.zeros(GRID.shape, np.int32)
    for n, component in enumerate(components, start=1):
        labels[tuple(component.voxels.T)] = n
    return candidates_of(
        data, truth, labels, component_features(components, GRID),
        number=number, patient=f"p{number}", source=source, grow=grow, voxel_mm3=1.0,
    )  # fmt: skip


def test_a_choice_counts_what_its_lesions_would_score() -> None:
    case = candidates([0.9, 0.6], [0.8, 0.5], missed=1)
    every = figures_at([case], Choice(grow=0.4, peak=0.4, min_volume_mm3=0))
    assert every.sensitivity == pytest.approx(2 / 3)
    assert every.false_alarms == 2
    assert every.dice == pytest.approx(2 * 128 / (128 + 54 + 128 + 27))
    strict = figures_at([case], Choice(grow=0.4, peak=0.85, min_volume_mm3=0))
    assert (strict.sensitivity, strict.false_alarms) == (pytest.approx(1 / 3), 0)
    large = figures_at([case], Choice(grow=0.4, peak=0.4, min_volume_mm3=30))
    assert (large.sensitivity, large.false_alarms) == (pytest.approx(2 / 3), 0)
    healthy = figures_at([candidates([], [0.9])], Choice(grow=0.4, peak=0.4, min_volume_mm3=0))
    assert np.isnan(healthy.dice)
    assert healthy.false_alarms == 1


def test_the_best_point_keeps_to_its_false_alarms() -> None:
    cases = [
        candidates([0.95, 0.7], [0.75, 0.6], number=0),
        candidates([0.9, 0.65], [0.6, 0.55], number=1),
    ]
    choices = [one for one in grid() if one.grow == 0.4]
    free = best_point(cases, choices, most_false_alarms=9, by_sensitivity=True)
    assert free[1].sensitivity == 1.0
    tight = best_point(cases, choices, most_false_alarms=0.0)
    assert tight[1].false_alarms == 0
    # volume separates these, and nothing is lost
    assert tight[0].min_volume_mm3 > 27
    assert tight[1].sensitivity == 1.0
    small = [one for one in choices if one.min_volume_mm3 < 27]
    assert best_point(cases, small, most_false_alarms=0.0)[1].sensitivity == 0.5
    hopeless = best_point([candidates([0.6], [0.99])], small[:1], most_false_alarms=0.0)
    assert hopeless[1].false_alarms == 1


def test_sources_weigh_the_same() -> None:
    few, many = candidates([0.9], []), candidates([], [], missed=1)
    cases = [replace(few, source="real"), *[replace(many, source="made")] * 9]
    point = Choice(grow=0.4, peak=0.4, min_volume_mm3=0)
    assert figures_at(cases, point).sensitivity == 0.5
    weights = {"p0": 3.0}
    assert figures_at(cases, point, weights=weights).sensitivity == 0.5


def test_detection_is_read_off_the_froc_curve() -> None:
    cases = [candidates([0.9, 0.7], [0.8], missed=1), candidates([0.6], [0.5], number=1)]
    # at no false positive .9 is found, at half a one also .7 and .6, of four lesions
    assert detection(cases, [0.0]) == pytest.approx(1 / 4)
    assert detection(cases, [0.5]) == pytest.approx(3 / 4)
    assert detection(cases, [0.0, 0.5, 1.0]) == pytest.approx((1 + 3 + 3) / 12)
    assert detection(cases, [0.5], weights={"p0": 0.0, "p1": 2.0}) == pytest.approx(1.0)
    tied = [candidates([0.8], [0.8])]
    assert detection(tied, [0.0]) == 0.0
    assert np.isnan(detection([candidates([], [0.9])], [1.0]))


def fitted(**changes: float) -> Rejector:
    """Fit to balls that are real and rods that are not."""
    rng = np.random.default_rng(0)
    rows, real = [], []
    for n in range(60):
        round_ = n % 2 == 0
        row = [2.0, 1.0, 4.0, 0.2 if round_ else 1.5, 1.0 if round_ else 0.6, 1.5]
        rows.append(np.array(row) + rng.normal(0, 0.1, len(row)))
        real.append(round_)
    return Rejector.fit(np.array(rows), np.array(real), grow=0.4).model_copy(update=changes)


def test_a_rejector_learns_what_tells_components_apart() -> None:
    rejector = fitted()
    weights = rejector.weights
    assert weights["elongation"] < -1
    assert weights["fill"] > 0
    assert abs(weights["volume"]) < abs(weights["elongation"]) / 3
    same = Rejector.model_validate_json(rejector.model_dump_json())
    assert same == rejector
    with pytest.raises(ValueError, match="must name"):
        Rejector.model_validate(rejector.model_dump() | {"weights": {"peak": 1.0}})


def test_a_component_s_peak_becomes_how_likely_it_is_and_its_outline_stays() -> None:
    data = np.zeros(GRID.shape, np.float32)
    blob(data, (4, 4, 4), 6, 0.8)
    data[20:22, 20:22, 2:38] = 0.85
    data[22, 20, 10] = 0.39  # next to what sinks
    data[30, 30, 30] = 0.3  # below the threshold: not looked at
    probability = Volume(data=data, geometry=GRID)
    rejector = fitted(floor=0.2)
    ball, rod = rejector.likelihood(
        component_features(find_components(data >= 0.4, data, "volume"), GRID)
    )
    assert rod < 0.2
    assert ball > 0.7
    tempered = rejector.temper(probability)
    _, lesions = find_lesions(tempered, OperatingPoint(threshold=0.2, peak=0.2))
    assert [lesion.voxels for lesion in lesions] == [216]
    assert lesions[0].peak_probability == pytest.approx(ball, abs=1e-6)
    inside = tempered.data[4:10, 4:10, 4:10]
    assert inside[0, 0, 0] == inside.max()
    assert np.unique(inside).size == 2
    assert inside.min() == pytest.approx(0.2 + (0.8 - 0.4) / 0.45 * (ball - 0.2), abs=1e-3)
    assert tempered.data[20:23, 20:22, 2:38].max() == pytest.approx(rod, abs=1e-6)
    assert tempered.data[30, 30, 30] == pytest.approx(0.15)
    nothing = Volume(data=np.zeros_like(data), geometry=GRID)
    assert not rejector.temper(nothing).data.any()


def test_a_single_voxel_at_the_threshold_and_the_one_below_it_stay_apart() -> None:
    data = np.zeros(GRID.shape, np.float32)
    data[8, 8, 8] = np.float32(0.4)
    data[8, 8, 9] = np.nextafter(np.float32(0.4), np.float32(0))
    sure = fitted(bias=30.0)
    tempered = sure.temper(Volume(data=data, geometry=GRID))
    assert tempered.data[8, 8, 8] == pytest.approx(1.0, abs=1e-3)
    mask, _ = find_lesions(tempered, OperatingPoint(threshold=0.05, peak=0.05))
    assert np.count_nonzero(mask.data) == 1


def test_no_figure_alone_outvotes_the_others() -> None:
    rejector = fitted()
    usual = [2.0, 1.0, 4.0, 1.5, 0.6, 1.5]
    ragged = [*usual[:3], 9.0, *usual[4:]]
    rows = np.array([usual, ragged, [*usual[:3], 90.0, *usual[4:]]])
    likely = rejector.likelihood(rows)
    assert likely[1] < likely[0]
    assert likely[2] == likely[1]


def test_logits_still_rank_what_single_precision_holds_for_sure() -> None:
    data = np.zeros(GRID.shape, np.float32)
    data[2, 2, 2], data[12, 12, 12] = np.float32(0.9998), np.float32(0.999999)
    rows = component_features(find_components(data > 0.5, data, "volume"), GRID)
    peak = FEATURES.index("peak")
    assert rows[0, peak] < rows[1, peak] - 4


def test_features_do_not_depend_on_the_grid_s_orientation() -> None:
    rng = np.random.default_rng(1)
    data = (rng.uniform(size=(12, 14, 16)) ** 4).astype(np.float32)
    geometry = Geometry.isotropic((12, 14, 16))
    turned = geometry.permuted((2, 0, 1), (True, False, True))
    flipped = np.flip(data.transpose(2, 0, 1), (0, 2)).copy()
    one, other = (
        component_features(find_components(values >= 0.5, values, "volume"), grid_)
        for values, grid_ in ((data, geometry), (flipped, turned))
    )
    assert one.shape[1] == len(FEATURES)
    keep = [n for n, name in enumerate(FEATURES) if name != "slices"]
    assert np.allclose(*(np.sort(rows[:, keep], axis=0) for rows in (one, other)), atol=1e-6)


def test_a_bundle_keeps_points_and_rejector_and_its_weights(tmp_path: Path) -> None:
    bundle = random_bundle(tmp_path / "net")
    point = OperatingPoint(threshold=0.3, peak=0.8, min_volume_mm3=6)
    revised = revise_bundle(
        bundle, tmp_path / "tuned", points={"sensitive": point}, rejector=fitted(),
        extra={"more": 1},
    )  # fmt: skip
    again = Bundle.load(tmp_path / "tuned")
    assert again.points == {"sensitive": point}
    assert again.rejector == fitted() == revised.rejector
    assert again.point_named("sensitive") == point
    assert again.extra["more"] == 1
    assert again.onnx_path.read_bytes() == bundle.onnx_path.read_bytes()
    with pytest.raises(OptionError, match="specific"):
        again.point_named("specific")
    assert revise_bundle(again, tmp_path / "tuned").rejector is None


def test_a_rejector_that_pays_is_kept_and_ranks_the_points(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def case(number: int) -> list[CaseCandidates]:
        data, truth = np.zeros(GRID.shape, np.float32), np.zeros(GRID.shape, bool)
        for n in range(3):
            blob(data, (2, 2, 8 * n), 4, 0.8 + 0.01 * (number % 4))
            truth[2:6, 2:6, 8 * n : 8 * n + 4] = True
            data[20:36, 20:22, 8 * n : 8 * n + 2] = 0.86  # as sure, and as large
        return [
            tabulated(data, truth, number=number, grow=grow, source="made") for grow in (0.4, 0.7)
        ]

    table = [one for number in range(12) for one in case(number)]
    monkeypatch.setattr("brainmets.workflows.tune._tabulate", lambda *_: table)
    bundle = random_bundle(tmp_path / "net")
    options = TuneOptions(data_root=tmp_path, most_false_alarms=0.5)
    tuned, document = tune(bundle, tmp_path / "tuned", options)
    assert document["rejector"]["kept"]
    assert document["rejector"]["gain"]["low"] > 0
    assert document["points"]["balanced"]["sensitivity"] == 1.0
    assert document["points"]["balanced"]["false_alarms"] == 0.0
    assert tuned.rejector is not None
    assert tuned.operating_point.threshold == tuned.rejector.floor
    assert "its probabilities" in tuned.card
    without, document = tune(tuned, tmp_path / "plain", replace(options, rejector=False))
    assert without.rejector is None
    assert document["points"]["balanced"]["sensitivity"] < 1.0


def test_tuning_chooses_on_validation_blocks_and_writes_the_card(
    slices: Path,
    tmp_path: Path,
) -> None:
    bundle = slice_bundle(tmp_path / "net", "attention-unet", 0, (1, 2))
    card = "# net\n\n## Limits\n\nnone\n"
    bundle = revise_bundle(bundle, tmp_path / "net", card=card)
    test_images = slices / "t1c-slices" / "images"
    hidden = [
        path.rename(path.with_suffix(".away")) for path in sorted(test_images.glob("000[3-8]*"))
    ]
    try:
        tuned, document = tune(bundle, tmp_path / "tuned", TuneOptions(data_root=slices))
    finally:
        for path in hidden:
            path.rename(path.with_suffix(".png"))
    assert document["cases"] == {"real": {"cases": 3, "patients": 1, "lesions": 3}}
    assert set(tuned.points) == {"sensitive", "balanced", "specific"}
    assert tuned.operating_point == tuned.points["balanced"]
    found = document["points"]
    assert found["sensitive"]["sensitivity"] >= found["specific"]["sensitivity"]
    assert tuned.card.index("## Operating points") < tuned.card.index("## Limits")
    assert tuned.extra["tuning"] == json.loads(json.dumps(document))
    again, _ = tune(tuned, tmp_path / "tuned", TuneOptions(data_root=slices, rejector=False))
    assert again.card.count("## Operating points") == 1
    assert again.points == tuned.points


def test_segmenting_takes_a_named_point_and_the_rejector(tmp_path: Path) -> None:
    from brainmets.domain import HeadPhantom
    from brainmets.io import write_volume
    from brainmets.workflows.segment import Segmenter, SegmentOptions

    image, _ = HeadPhantom().render(Geometry.isotropic((60, 70, 60), spacing_mm=3.0))
    scan = write_volume(image, tmp_path / "scan.nii.gz")
    bundle = random_bundle(tmp_path / "net")
    strict = OperatingPoint(threshold=0.5, peak=0.98)
    revise_bundle(bundle, tmp_path / "net", points={"specific": strict})
    plain = SegmentOptions(model=str(tmp_path / "net"), anatomy=None)
    many = Segmenter(plain).run(scan, tmp_path / "many")
    few = Segmenter(replace(plain, point="specific")).run(scan, tmp_path / "few")
    lesions = [one.report.prediction.lesions for one in (many, few)]
    assert len(lesions[0]) > len(lesions[1])
    assert all(lesion.peak_probability >= 0.98 for lesion in lesions[1])
    with pytest.raises(OptionError, match="sensitive"):
        Segmenter(replace(plain, point="sensitive"))
    stern = fitted(bias=-60.0)
    revise_bundle(bundle, tmp_path / "net", rejector=stern)
    none = Segmenter(plain).run(scan, tmp_path / "none")
    before = many.report.prediction.probability
    candidates = find_components(before.data >= np.float32(stern.grow), before.data, "volume")
    judged = np.ones(before.data.shape, dtype=bool)
    for one in candidates:
        plainly = len(one.voxels) * 27 >= PLAIN_MM3 and one.probabilities.max() >= PLAIN_PEAK
        judged[tuple(one.voxels.T)] = not plainly
    assert none.report.prediction.probability.data[judged].max() < 0.5


@pytest.mark.parametrize("bias", [-60.0, -6.0, 0.0, 6.0])
@pytest.mark.parametrize("edge", [4, 14, 17])
@pytest.mark.parametrize("level", [0.5, 0.8, 0.9, 0.94])
def test_what_is_plainly_there_is_neither_removed_nor_trimmed(
    edge: int, level: float, bias: float
) -> None:
    data = np.full(GRID.shape, 0.01, np.float32)
    blob(data, (20, 20, 20), edge, level)
    blob(data, (2, 2, 2), 3, 0.95)  # as sure, and small: the rejector decides
    rejector = fitted(bias=bias)
    judged = rejector.temper(Volume(data=data, geometry=GRID)).data
    box = data[20:, 20:, 20:] >= np.float32(rejector.grow)
    plainly = edge**3 >= PLAIN_MM3 and level + 0.05 >= PLAIN_PEAK
    if plainly:
        assert np.array_equal(judged[20:, 20:, 20:] >= np.float32(rejector.floor), box)
        assert judged[20:, 20:, 20:].max() >= level
    if bias == -60.0:
        assert judged[:10, :10, :10].max() < rejector.floor
        assert plainly or judged.max() < rejector.floor
