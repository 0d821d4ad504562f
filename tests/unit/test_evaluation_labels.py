"""Labels of another scheme, and grids stored otherwise, are recognised before they are scored."""

from __future__ import annotations

import math
import warnings
from itertools import permutations, product
from typing import TYPE_CHECKING

import numpy as np
import pytest

from brainmets.domain import Geometry, Mask, Volume
from brainmets.domain.errors import GridMismatch, LabelsUnknown
from brainmets.evaluation.cohort import summarise
from brainmets.evaluation.label_schemes import LabelScheme, check_labels, facts_of
from brainmets.evaluation.scorers import score_case
from brainmets.io import write_mask
from brainmets.workflows.evaluate import EvaluateOptions, evaluate

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from brainmets.evaluation.scores import ScorerName

GRID = Geometry(shape=(24, 26, 22), affine=np.diag([1.0, 1.1, 1.5, 1.0]))
SCORERS: tuple[ScorerName, ...] = ("brats-2023", "brats-2024", "brats-2026")


def tumour(enhancing: int = 3) -> NDArray[np.uint8]:
    data = np.zeros(GRID.shape, np.uint8)
    data[4:16, 4:16, 4:16] = 2
    data[6:14, 6:14, 6:14] = enhancing
    data[8:12, 8:12, 8:12] = 1
    return data


def numbered(count: int) -> NDArray[np.uint8]:
    data = np.zeros(GRID.shape, np.uint8)
    for number in range(count):
        i, j = divmod(number, 4)
        data[2 + 5 * i : 5 + 5 * i, 2 + 5 * j : 5 + 5 * j, 4:9] = number + 1
    return data


def scored(
    root: Path,
    reference: NDArray[np.uint8],
    prediction: NDArray[np.uint8],
    scorer: ScorerName,
    labels: tuple[LabelScheme, LabelScheme] = ("auto", "auto"),
) -> dict[str, float]:
    for place, data in (("r", reference), ("p", prediction)):
        (root / place).mkdir(exist_ok=True)
        write_mask(Mask(data=data, geometry=GRID), root / place / "A1.nii.gz")
    options = EvaluateOptions(
        scorer=scorer,
        regions="brats",
        jobs=1,
        reference_labels=labels[0],
        prediction_labels=labels[1],
    )
    run = evaluate(root / "r", root / "p", options)
    if run.failed:
        raise AssertionError(run.failed["A1"])
    figure = "lesionwise_dsc_mean" if scorer == "brats-2026" else "dice"
    if scorer == "brainmets":
        figure = "dice"
    return {one.region: one.values[figure] for one in run.cases[0].regions}


WRONG = {
    "ET is 4": (tumour(4), "up to 2021"),
    "0 and 1": ((tumour() > 0).astype(np.uint8), "0 and 1"),
    "2 lesions": (numbered(2), "number their lesions"),
    "3 lesions": (numbered(3), "number their lesions"),
    "4 lesions": (numbered(4), "number their lesions"),
    "9 lesions": (numbered(9), "number their lesions"),
}


@pytest.mark.parametrize("scorer", [*SCORERS, "brainmets"])
@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("kind", WRONG)
def test_other_schemes_are_refused(
    tmp_path: Path, scorer: ScorerName, side: int, kind: str
) -> None:
    data, words = WRONG[kind]
    both = (data, tumour()) if side == 0 else (tumour(), data)
    with pytest.raises(LabelsUnknown, match=words):
        scored(tmp_path, *both, scorer)


@pytest.mark.parametrize("scorer", [*SCORERS, "brainmets"])
def test_converted_on_request_a_perfect_prediction_is_perfect(
    tmp_path: Path, scorer: ScorerName
) -> None:
    old = scored(tmp_path, tumour(), tumour(4), scorer, ("auto", "brats-2021"))
    assert {old["et"], old["tc"], old["wt"]} == {1.0}
    empty = scored(
        tmp_path, tumour(4), np.zeros(GRID.shape, np.uint8), scorer, ("brats-2021", "auto")
    )
    assert empty["et"] == 0.0
    reference = (numbered(3) > 0).astype(np.uint8) * 3
    own = scored(tmp_path, reference, numbered(3), scorer, ("auto", "lesions"))
    assert {own["et"], own["tc"], own["wt"]} == {1.0}


@pytest.mark.parametrize("scorer", SCORERS)
def test_what_is_right_is_not_refused(tmp_path: Path, scorer: ScorerName) -> None:
    cavity = tumour()
    cavity[18:21, 4:8, 4:8] = 4
    assert scored(tmp_path, cavity, cavity, scorer)["et"] == 1.0
    sure: tuple[LabelScheme, LabelScheme] = ("brats-mets", "brats-mets")
    core = (tumour() == 1).astype(np.uint8)
    assert scored(tmp_path, core, core, scorer, sure)["tc"] == 1.0
    nothing = np.zeros(GRID.shape, np.uint8)
    assert scored(tmp_path, tumour(), nothing, scorer)["et"] == 0.0


def touching() -> NDArray[np.uint8]:
    """Three numbered lesions, two of which touch: by themselves they may be BraTS-METS labels."""
    data = numbered(3)
    data[5:8, 2:5, 4:9] = 2
    data[2:5, 7:10, 4:9] = 0
    return data


@pytest.mark.parametrize("others", [1, 2, 5])
@pytest.mark.parametrize("scorer", SCORERS)
def test_lesions_that_touch_do_not_hide_that_the_others_are_numbered(
    tmp_path: Path, scorer: ScorerName, others: int
) -> None:
    for place in ("r", "p"):
        (tmp_path / place).mkdir()
        for number in range(others + 1):
            data = numbered(2 + number % 3) if number else touching()
            mask = Mask(data=data if place == "p" else tumour(), geometry=GRID)
            write_mask(mask, tmp_path / place / f"C{number}.nii.gz")
    assert not facts_of(Mask(data=touching(), geometry=GRID)).numbered
    options = EvaluateOptions(scorer=scorer, regions="brats", jobs=1)
    with pytest.raises(LabelsUnknown, match="prediction masks that number their lesions"):
        evaluate(tmp_path / "r", tmp_path / "p", options)


def test_one_case_in_separate_pieces_among_many_is_no_numbering(tmp_path: Path) -> None:
    for place in ("r", "p"):
        (tmp_path / place).mkdir()
        for number in range(4):
            mask = Mask(data=tumour() if number else numbered(3), geometry=GRID)
            write_mask(mask, tmp_path / place / f"C{number}.nii.gz")
    run = evaluate(
        tmp_path / "r", tmp_path / "p", EvaluateOptions(scorer="brats-2024", regions="brats")
    )
    assert len(run.cases) == 4


def test_one_case_with_a_strange_label_fails_alone(tmp_path: Path) -> None:
    for place in ("r", "p"):
        (tmp_path / place).mkdir()
        for name in ("A1", "B2"):
            data = tumour()
            data[20:22, 20:22, 4:6] = 7 if (place, name) == ("p", "B2") else 0
            write_mask(Mask(data=data, geometry=GRID), tmp_path / place / f"{name}.nii.gz")
    run = evaluate(tmp_path / "r", tmp_path / "p", EvaluateOptions(scorer="brats-2024", jobs=1))
    assert [case.case_id for case in run.cases] == ["A1"]
    assert run.failed["B2"].startswith("E_LABELS: labels 7 in B2.nii.gz")


@pytest.mark.parametrize("count", [1, 2, 5, 12])
def test_numbered_lesions_are_recognised(count: int) -> None:
    assert facts_of(Mask(data=numbered(count), geometry=GRID)).numbered == (count > 1)
    assert not facts_of(Mask(data=tumour(), geometry=GRID)).numbered


@pytest.mark.parametrize("axes", list(permutations(range(3))))
@pytest.mark.parametrize("flips", list(product((False, True), repeat=3)))
def test_the_same_voxels_stored_otherwise_score_the_same(
    axes: tuple[int, int, int], flips: tuple[bool, bool, bool]
) -> None:
    data = numbered(5)
    prediction = np.roll(data, 1, 0)
    turned = GRID.permuted(axes, flips)
    flipped = tuple(axis for axis, flip in enumerate(flips) if flip)
    other = Mask(data=np.flip(prediction.transpose(axes), flipped), geometry=turned)
    chance = (prediction > 0).astype(np.float32) * 0.7
    field = Volume(data=np.flip(chance.transpose(axes), flipped), geometry=turned)
    scores = [
        score_case(
            Mask(data=data, geometry=GRID), one, case_id="a", scorer="brainmets", probability=map_
        )
        for one, map_ in (
            (Mask(data=prediction, geometry=GRID), Volume(data=chance, geometry=GRID)),
            (other, field),
        )
    ]
    assert str(scores[0]) == str(scores[1])


@pytest.mark.parametrize("shift_mm", [0.005, 0.02, 0.09])
def test_differences_below_a_tenth_of_a_voxel_are_none(shift_mm: float) -> None:
    affine = np.array(GRID.affine)
    affine[0, 3] += shift_mm
    near = Mask(data=tumour(), geometry=Geometry(shape=GRID.shape, affine=affine))
    case = score_case(Mask(data=tumour(), geometry=GRID), near, case_id="a", scorer="brainmets")
    assert case.regions[0].values["dice"] == 1.0


@pytest.mark.parametrize("shift_mm", [0.2, 1.0, 30.0])
def test_larger_differences_are_refused_with_their_size(shift_mm: float) -> None:
    affine = np.array(GRID.affine)
    affine[0, 3] += shift_mm
    far = Mask(data=tumour(), geometry=Geometry(shape=GRID.shape, affine=affine))
    with pytest.raises(GridMismatch, match=f"{shift_mm:.3g} mm apart"):
        score_case(Mask(data=tumour(), geometry=GRID), far, case_id="a", scorer="brainmets")


@pytest.mark.parametrize("scorer", [*SCORERS, "brainmets"])
def test_empty_masks_leave_no_warning(scorer: ScorerName) -> None:
    full = Mask(data=tumour(), geometry=GRID)
    empty = Mask(data=np.zeros(GRID.shape, np.uint8), geometry=GRID)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cases = [
            score_case(one, other, case_id=f"{n}", scorer=scorer)
            for n, (one, other) in enumerate(product((full, empty), repeat=2))
        ]
        table = summarise(cases)
    if scorer == "brats-2026":
        assert math.isinf(table[0].means["global_bin_hd95"].value)


@pytest.mark.parametrize("kept", [(1, 3), (2, 3), (1, 4), (2, 3, 4), (1, 3, 4), (3, 4)])
def test_numbered_lesions_are_recognised_after_some_were_rejected(kept: tuple[int, ...]) -> None:
    data = numbered(4)
    data[~np.isin(data, kept)] = 0
    facts = facts_of(Mask(data=data, geometry=GRID))
    with pytest.raises(LabelsUnknown, match="number their lesions"):
        check_labels([facts], "prediction")


@pytest.mark.parametrize("labels", [(2,), (1, 2)])
def test_masks_without_enhancing_tumour_are_refused(labels: tuple[int, ...]) -> None:
    data = tumour()
    data[data == 3] = labels[0]
    data[~np.isin(data, labels)] = 0
    facts = facts_of(Mask(data=data, geometry=GRID))
    with pytest.raises(LabelsUnknown, match="none with label 3"):
        check_labels([facts, facts], "reference")
