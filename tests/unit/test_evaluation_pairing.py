"""Which files are one case: exact names, guesses that are said, and nothing lost in silence."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from brainmets.cli.compare import compare as compare_command
from brainmets.cli.evaluate import evaluate as evaluate_command
from brainmets.domain import Geometry, Mask, Volume
from brainmets.io import write_mask, write_volume
from brainmets.io.datasets.finding import find_probabilities, is_probability_name, mask_files
from brainmets.io.datasets.pairing import pair_masks
from brainmets.workflows.evaluate import EvaluateOptions, evaluate

if TYPE_CHECKING:
    from pathlib import Path

GRID = Geometry.isotropic((14, 16, 12))


def mask(path: Path, label: int = 1) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    data = np.zeros(GRID.shape, np.uint8)
    data[3:7, 4:9, 2:6] = label
    return write_mask(Mask(data=data, geometry=GRID), path)


def image(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    data = np.random.default_rng(0).integers(0, 900, GRID.shape).astype(np.float32)
    return write_volume(Volume(data=data, geometry=GRID), path)


def probability(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    data = np.random.default_rng(0).uniform(0, 1, GRID.shape).astype(np.float32)
    return write_volume(Volume(data=data, geometry=GRID), path)


OTHER_EXAMINATIONS = [
    ("sub-01_ses-baseline", "sub-01_ses-followup"),
    ("100101A", "100101B"),
    ("left_1", "right_1"),
    ("P1-pre", "P1-post"),
    ("BraTS-MET-00110-000", "BraTS-MET-00110-001"),
    ("BraTS-MET-00110", "BraTS-MET-00110-000"),
    ("case-1-11", "case-11-1"),
    ("case_1_2024", "case_1_2025"),
    ("sub-01", "sub-01_ses-02"),
    ("a1", "b1"),
    ("X0001Y", "0001"),
    ("2024-01-02", "2024-02-01"),
]


@pytest.mark.parametrize(("one", "other"), OTHER_EXAMINATIONS)
def test_different_examinations_are_never_one_case(tmp_path: Path, one: str, other: str) -> None:
    for place, name in (("r", one), ("p", other)):
        mask(tmp_path / place / f"{name}.nii.gz")
        mask(tmp_path / place / "same.nii.gz")
    pairing = pair_masks(tmp_path / "r", tmp_path / "p")
    assert [pair.case_id for pair in pairing.pairs] == ["same"]
    assert [pair.case_id for pair in pairing.only_reference] == [one]
    assert pairing.only_prediction == (other,)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("BraTS-MET-00132-000-seg", "00132-000"),
        ("BraTS-MET-01325-000-seg", "BraTS-MET_01325-000"),
        ("BraTS-MET-00217-000-seg", "SEG-00217-000"),
        ("Case_7", "case-7"),
        ("sub-01_ses-a", "sub-01"),
    ],
)
def test_a_guess_is_listed_and_ends_with_1(tmp_path: Path, one: str, other: str) -> None:
    mask(tmp_path / "r" / f"{one}.nii.gz")
    mask(tmp_path / "p" / f"{other}.nii.gz")
    assert len(pair_masks(tmp_path / "r", tmp_path / "p").guesses) == 1
    done = evaluated(tmp_path, "r", "p")
    assert done.exit_code == 1
    assert f"{one}.nii.gz and {other}.nii.gz" in done.output
    (case,) = json.loads((tmp_path / "out" / "scores.json").read_text())["cases"]
    assert case["paired_by"] == "guess"
    assert case["files"] == {"reference": f"{one}.nii.gz", "prediction": f"{other}.nii.gz"}
    assert evaluated(tmp_path, "r", "p", "--accept-guesses").exit_code == 0


@pytest.mark.parametrize(
    ("one", "other", "guess"),
    [
        ("P1/ses-1/seg", "P2/ses-1/seg", True),
        ("P1/ses-1", "P2/ses-1", True),
        ("Smith/baseline/mask", "Jones/baseline/mask", True),
        ("a/P1/ses-1/seg", "a/P2/ses-1/seg", True),
        ("P1/ses-1/seg", "P1/ses-1/pred", False),
        ("P1/ses-1/seg", "p1/ses-1/pred", False),
        ("P1/ses-1/seg", "ses-1", False),
        ("BraTS-MET-00110/BraTS-MET-00110-000/seg", "fold/BraTS-MET-00110-000", False),
    ],
)
def test_equal_names_in_folders_of_two_patients_are_a_guess(
    tmp_path: Path, one: str, other: str, guess: bool
) -> None:
    mask(tmp_path / "r" / f"{one}.nii.gz")
    mask(tmp_path / "p" / f"{other}.nii.gz")
    mask(tmp_path / "p" / "Z9.nii.gz")
    (pair,) = pair_masks(tmp_path / "r", tmp_path / "p").pairs
    assert pair.paired_by == ("guess" if guess else "name")


def test_one_name_that_fits_two_is_no_guess(tmp_path: Path) -> None:
    mask(tmp_path / "r" / "00132-000.nii.gz")
    for name in ("a-00132-000", "b-00132-000"):
        mask(tmp_path / "p" / f"{name}.nii.gz")
    assert not pair_masks(tmp_path / "r", tmp_path / "p").pairs


@pytest.mark.parametrize(
    "name",
    [
        "Proband01",
        "proband_2",
        "Probe-3",
        "improbable",
        "prob-04",
        "sub-01_T1w",
        "sub-01_ce-gd_T1w",
        "P1_T1c",
        "P1_FLAIR",
        "x_t2w",
        "mprage",
        "BRAVO-7",
        "T1",
    ],
)
@pytest.mark.parametrize("role", ["", "_mask", "-seg", "_pred"])
def test_no_name_makes_a_mask_vanish(tmp_path: Path, name: str, role: str) -> None:
    for place, ending in (("r", ""), ("p", role)):
        mask(tmp_path / place / f"{name}{ending}.nii.gz")
        mask(tmp_path / place / f"Z9{ending}.nii.gz")
    pairing = pair_masks(tmp_path / "r", tmp_path / "p")
    assert [pair.case_id for pair in pairing.pairs] == sorted([name, "Z9"])
    assert not pairing.left_aside
    assert not pairing.guesses


@pytest.mark.parametrize(
    ("files", "masks", "aside"),
    [  # of one folder: files that are masks (m), images (i) or probabilities (q)
        ({"a_seg": "m", "b_seg": "m", "c": "m"}, {"a", "b", "c"}, 0),
        ({"a_seg": "m", "a": "i", "b_seg": "m", "b": "i"}, {"a", "b"}, 0),
        ({"a_T1w_seg": "m", "a_T1w": "i", "a_FLAIR": "i"}, {"a_T1w"}, 0),
        ({"a-seg": "m", "a-t1c": "i", "a-t1n": "i"}, {"a"}, 0),
        ({"a-t1c": "i", "a-t1n": "i", "b": "m"}, {"b"}, 2),
        ({"a_T1w": "i", "b": "m"}, {"b"}, 1),
        ({"a": "m", "a_prob": "q"}, {"a"}, 0),
        ({"a_mask": "m", "a_probability": "q"}, {"a"}, 0),
        ({"a": "m", "b_prob": "q"}, {"a"}, 1),
        ({"a": "m", "a_0000": "i", "b": "m"}, {"a", "a_0000", "b"}, 0),
        ({"mask": "m", "T1": "i", "probability": "q"}, {"r"}, 0),
        ({"seg": "m", "anything": "i"}, {"r"}, 1),
    ],
)
def test_what_is_left_aside_is_named(
    tmp_path: Path, files: dict[str, str], masks: set[str], aside: int
) -> None:
    write = {"m": mask, "i": image, "q": probability}
    for name, kind in files.items():
        write[kind](tmp_path / "r" / f"{name}.nii.gz")
    found = mask_files(tmp_path / "r")
    assert set(found.masks) == masks
    assert len(found.left_aside) == aside


def test_a_probability_is_named_by_a_word_of_its_own(tmp_path: Path) -> None:
    assert is_probability_name(tmp_path / "x_prob.nii.gz")
    assert is_probability_name(tmp_path / "probability.nii.gz")
    assert not is_probability_name(tmp_path / "Proband01.nii.gz")


def result(folder: Path, *, reviewed: bool = False, exported: bool = False) -> None:
    mask(folder / "mask.nii.gz")
    probability(folder / "probability.nii.gz")
    (folder / "report.json").write_text(json.dumps({"schema": "brainmets-report/1"}))
    (folder / "overlay.png").write_bytes(b"")
    if reviewed:
        mask(folder / "mask-reviewed.nii.gz", 2)
    if exported:
        mask(folder / "export" / "lesions.nii.gz")
        (folder / "export" / "report.json").write_text('{"schema": "brainmets-report/1"}')


@pytest.mark.parametrize("reviewed", [False, True])
@pytest.mark.parametrize("exported", [False, True])
def test_result_folders_are_one_mask_each(tmp_path: Path, reviewed: bool, exported: bool) -> None:
    for case in ("A1", "B2"):
        mask(tmp_path / "r" / f"{case}.nii.gz")
        result(tmp_path / "p" / case, reviewed=reviewed, exported=exported)
    pairing = pair_masks(tmp_path / "r", tmp_path / "p")
    name = "mask-reviewed.nii.gz" if reviewed else "mask.nii.gz"
    assert [(pair.case_id, pair.prediction.name) for pair in pairing.pairs if pair.prediction] == [
        ("A1", name),
        ("B2", name),
    ]
    assert not pairing.left_aside
    assert len(pairing.notes) == 2 * reviewed
    original = pair_masks(tmp_path / "r", tmp_path / "p", original=True)
    assert {p.prediction.name for p in original.pairs if p.prediction} == {"mask.nii.gz"}
    assert set(find_probabilities(tmp_path / "p")) == {"A1", "B2"}
    one = pair_masks(tmp_path / "r" / "A1.nii.gz", tmp_path / "p" / "B2")
    assert len(one.pairs) == 1  # both named by the user: whatever they are called


def test_an_export_alone_is_a_mask(tmp_path: Path) -> None:
    mask(tmp_path / "r" / "A1.nii.gz")
    mask(tmp_path / "p" / "A1" / "export" / "lesions.nii.gz")
    (tmp_path / "p" / "A1" / "export" / "report.json").write_text(
        '{"schema": "brainmets-report/1"}'
    )
    pairing = pair_masks(tmp_path / "r", tmp_path / "p")
    assert [pair.case_id for pair in pairing.pairs] == ["A1"]


def test_probabilities_in_the_products_own_names(tmp_path: Path) -> None:
    mask(tmp_path / "r" / "A1.nii.gz")
    mask(tmp_path / "p" / "A1.nii.gz")
    result(tmp_path / "q" / "A1")
    options = EvaluateOptions(jobs=1, probability=tmp_path / "q")
    run = evaluate(tmp_path / "r", tmp_path / "p", options)
    (lesion,) = run.cases[0].regions[0].lesions
    assert 0.9 < lesion.confidence <= 1.0
    image(tmp_path / "x" / "A1.nii.gz")
    wrong = EvaluateOptions(jobs=1, probability=tmp_path / "x")
    assert "E_VOXEL_TYPE" in evaluate(tmp_path / "r", tmp_path / "p", wrong).failed["A1"]


def test_compare_says_what_was_not_scored(tmp_path: Path) -> None:
    for name in ("A1", "B2", "C3"):
        mask(tmp_path / "r" / f"{name}.nii.gz")
        mask(tmp_path / "p" / f"{name}.nii.gz")
        mask(tmp_path / "q" / f"{name}.nii.gz")
    (tmp_path / "q" / "C3.nii.gz").rename(tmp_path / "q" / "D4.nii.gz")
    app = typer.Typer()
    app.command()(compare_command)
    app.command()(evaluate_command)
    models = [str(tmp_path / "p"), str(tmp_path / "q")]
    masks = ["--reference", str(tmp_path / "r"), "--out", str(tmp_path / "c")]
    done = CliRunner().invoke(app, ["compare", *models, *masks, "--jobs", "1"])
    assert done.exit_code == 1, done.output
    assert "q: No prediction for C3" in done.output
    assert "q: No reference for D4" in done.output


def evaluated(root: Path, reference: str, prediction: str, *more: str):
    app = typer.Typer()
    app.command()(compare_command)
    app.command()(evaluate_command)
    folders = ["--reference", str(root / reference), "--prediction", str(root / prediction)]
    options = ["--out", str(root / "out"), "--jobs", "1", *more]
    return CliRunner().invoke(app, ["evaluate", *folders, *options])


@pytest.mark.parametrize(
    "names", [("P1_FLAIR", "P1_T1"), ("t1", "t2"), ("a-t1c", "a-t2w", "a-t1n")]
)
def test_masks_named_after_several_sequences_are_masks(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    for name in names:
        mask(tmp_path / "r" / f"{name}.nii.gz")
        mask(tmp_path / "p" / f"{name}.nii.gz")
    pairing = pair_masks(tmp_path / "r", tmp_path / "p")
    assert [pair.case_id for pair in pairing.pairs] == sorted(names)
