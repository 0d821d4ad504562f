"""The doctor finds each planted fault, and passes a set that has none."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from brainmets.cli.evaluate import split as split_command
from brainmets.domain import Geometry, HeadPhantom, Mask, PhantomLesion, Volume
from brainmets.domain.errors import DatasetLayout, OptionError
from brainmets.io import write_mask, write_volume
from brainmets.workflows.doctor_dataset import DoctorOptions, check_dataset, report_document
from brainmets.workflows.splits import (
    Burden,
    Splits,
    leaks,
    make_splits,
    read_splits,
    split_dataset,
    write_splits,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

GRID = Geometry.isotropic((28, 34, 30), spacing_mm=6.0)
CASES = ("BraTS-MET-00001-000", "BraTS-MET-00002-000", "BraTS-MET-00003-000")
SEQUENCES = ("t1n", "t1c", "t2w", "t2f")


def write_case(root: Path, name: str, seed: int) -> None:
    folder = root / name
    folder.mkdir(parents=True)
    lesion = PhantomLesion(centre_ras_mm=(36.0, 10.0 + 6 * seed, 8.0), radii_mm=(14.0, 13.0, 12.0))
    for number, sequence in enumerate(SEQUENCES):
        phantom = HeadPhantom(lesions=(lesion,), stripped=True, seed=10 * seed + number)
        image, mask = phantom.render(GRID)
        write_volume(image, folder / f"{name}-{sequence}.nii.gz")
    labels = np.where(mask.data > 0, 3, 0).astype(np.uint8)
    write_mask(Mask(data=labels, geometry=GRID), folder / f"{name}-seg.nii.gz")


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("clean") / "set"
    for seed, name in enumerate(CASES, start=1):
        write_case(root, name, seed)
    return root


@pytest.fixture
def data_set(clean: Path, tmp_path: Path) -> Path:
    """A copy of the clean set to plant a fault in."""
    return shutil.copytree(clean, tmp_path / "set")


def seg(root: Path, case: int = 0) -> Path:
    return root / CASES[case] / f"{CASES[case]}-seg.nii.gz"


def scan(root: Path, sequence: str = "t1c", case: int = 0) -> Path:
    return root / CASES[case] / f"{CASES[case]}-{sequence}.nii.gz"


def labels(root: Path, data: np.ndarray, geometry: Geometry = GRID) -> None:
    seg(root).unlink()
    write_mask(Mask(data=data.astype(np.uint8), geometry=geometry), seg(root))


def drawn(case: int = 0) -> np.ndarray:
    lesion = PhantomLesion(centre_ras_mm=(36.0, 16.0 + 6 * case, 8.0), radii_mm=(14.0, 13.0, 12.0))
    _, mask = HeadPhantom(lesions=(lesion,), stripped=True).render(GRID)
    return np.where(mask.data > 0, 3, 0).astype(np.uint8)


def plant_empty_mask(root: Path) -> None:
    labels(root, np.zeros(GRID.shape))


def plant_strange_label(root: Path) -> None:
    data = drawn()
    data[data > 0] = 7
    labels(root, data)


def plant_instance_labels(root: Path) -> None:
    data = np.zeros(GRID.shape)
    for number in range(1, 9):
        data[3 * number : 3 * number + 2, 14:17, 14:17] = number
    labels(root, data)


def plant_missing_sequence(root: Path) -> None:
    scan(root, "t2w").unlink()


def plant_other_grid(root: Path) -> None:
    coarse = Geometry.isotropic((14, 17, 15), spacing_mm=12.0)
    labels(root, drawn()[::2, ::2, ::2], coarse)


def plant_wrong_spacing(root: Path) -> None:
    """The header says 0.6 mm where it is 6: a head of 2 cm."""
    small = Geometry.isotropic(GRID.shape, spacing_mm=0.6)
    for sequence in SEQUENCES:
        image, _ = HeadPhantom(seed=SEQUENCES.index(sequence)).render(GRID)
        scan(root, sequence).unlink()
        write_volume(Volume(data=image.data, geometry=small), scan(root, sequence))
    labels(root, drawn(), small)


def plant_flipped_content(root: Path) -> None:
    """Mask and image agree on their headers, but the mask's voxels run the other way."""
    labels(root, drawn()[::-1])


def plant_flipped_header(root: Path) -> None:
    labels(root, drawn(), GRID.permuted((0, 1, 2), (True, False, False)))


def plant_same_scan(root: Path) -> None:
    for sequence in SEQUENCES:
        shutil.copy(scan(root, sequence, 0), scan(root, sequence, 1))


def plant_patient_in_two_splits(root: Path) -> None:
    shutil.copytree(root / CASES[1], root / "BraTS-MET-00001-001")
    for path in (root / "BraTS-MET-00001-001").iterdir():
        path.rename(path.with_name(path.name.replace(CASES[1], "BraTS-MET-00001-001")))
    shutil.rmtree(root / CASES[1])
    split = [{"train": [CASES[0], CASES[2]], "val": ["BraTS-MET-00001-001"]}]
    (root / "splits_final.json").write_text(json.dumps(split))


def plant_truncated_file(root: Path) -> None:
    scan(root).write_bytes(scan(root).read_bytes()[:-500])


def plant_constant_image(root: Path) -> None:
    scan(root).unlink()
    data = np.full(GRID.shape, 7.0, np.float32)
    write_volume(Volume(data=data, geometry=GRID), scan(root))


def plant_inverted_mask(root: Path) -> None:
    labels(root, np.where(drawn() > 0, 0, 3))


def plant_mask_outside(root: Path) -> None:
    data = np.zeros(GRID.shape)
    data[12:16, 1:4, 1:3] = 3
    labels(root, data)


def plant_sequence_copy(root: Path) -> None:
    shutil.copy(scan(root, "t1c"), scan(root, "t1n"))


def plant_missing_mask(root: Path) -> None:
    seg(root).unlink()


def plant_same_mask(root: Path) -> None:
    shutil.copy(seg(root, 0), seg(root, 1))


def plant_split_of_others(root: Path) -> None:
    (root / "splits_final.json").write_text(
        json.dumps([{"train": [CASES[0], "BraTS-MET-09999-000"], "val": [CASES[1]]}])
    )


FAULTS: dict[str, tuple[Callable[[Path], None], str]] = {
    "an empty mask": (plant_empty_mask, "empty-mask"),
    "a label outside the scheme": (plant_strange_label, "label-outside-scheme"),
    "lesion numbers instead of classes": (plant_instance_labels, "instance-labels"),
    "a missing sequence": (plant_missing_sequence, "missing-sequence"),
    "a mask on another grid": (plant_other_grid, "grid-differs"),
    "a wrong spacing": (plant_wrong_spacing, "spacing"),
    "a flip in the voxels": (plant_flipped_content, "mirrored"),
    "a flip in the header": (plant_flipped_header, "mirrored"),
    "the same scan under two ids": (plant_same_scan, "same-scan-twice"),
    "a patient on both sides of a split": (plant_patient_in_two_splits, "patient-in-two-splits"),
    "a truncated file": (plant_truncated_file, "unreadable"),
    "a constant image": (plant_constant_image, "constant-image"),
    "an inverted mask": (plant_inverted_mask, "mask-too-large"),
    "a mask outside the head": (plant_mask_outside, "mask-outside-head"),
    "a sequence that is a copy": (plant_sequence_copy, "same-sequence-twice"),
    "a missing mask": (plant_missing_mask, "no-mask"),
    "one mask for two scans": (plant_same_mask, "same-mask-twice"),
    "a split of other cases": (plant_split_of_others, "split-unknown-case"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_planted_fault_is_found(data_set: Path, fault: str) -> None:
    plant, code = FAULTS[fault]
    plant(data_set)
    report = check_dataset(data_set, DoctorOptions(jobs=1))
    assert code in {finding.code for finding in report.findings}, report.findings


def test_clean_set_passes(clean: Path) -> None:
    report = check_dataset(clean, DoctorOptions(jobs=1))
    assert report.findings == ()
    assert (report.cases, report.patients, report.masks) == (3, 3, 3)
    assert report.spacings == (("6 × 6 × 6", 3),)


def test_report_is_a_json_document(data_set: Path) -> None:
    plant_strange_label(data_set)
    report = check_dataset(data_set, DoctorOptions(jobs=1))
    document = json.loads(json.dumps(report_document(report)))
    assert document["errors"] == report.errors == 1
    assert document["findings"][0]["case_id"] == CASES[0]


def test_every_code_is_documented(repository: Path) -> None:
    text = (repository / "docs" / "reference" / "datasets.md").read_text()
    source = "".join(
        path.read_text() for path in (repository / "src/brainmets/workflows").glob("doctor_*.py")
    )
    for _, code in FAULTS.values():
        assert f"`{code}`" in text
        assert f'"{code}"' in source


def test_real_sets_have_no_broken_files(data_dir: Path, tmp_path: Path) -> None:
    for name in ("BraTS2021_00006", "Brats18_TCIA01_201_1"):
        shutil.copytree(data_dir / "gliomas" / name, tmp_path / name)
    report = check_dataset(tmp_path, DoctorOptions(jobs=1))
    assert report.layout == "brats-glioma"
    assert report.errors == 0, report.findings


def patients_of(n: int, scans: int = 2) -> dict[str, str]:
    return {f"P{p:03d}-{s}": f"P{p:03d}" for p in range(n) for s in range(scans)}


def test_splits_group_patients_and_balance_burden() -> None:
    patients = patients_of(50)
    rng = np.random.default_rng(0)
    burdens = {
        case: Burden(lesions=int(rng.poisson(4)), volume_mm3=float(rng.exponential(900)))
        for case in patients
    }
    splits = make_splits(patients, burdens, folds=5, test_share=0.1, seed=3)
    assert len(splits.test) == 10
    assert sorted(sum(splits.folds, ()) + splits.test) == sorted(patients)
    assert {len(fold) for fold in splits.folds} == {18}
    lesions = [sum(burdens[case].lesions for case in fold) for fold in splits.folds]
    assert max(lesions) - min(lesions) <= 0.15 * np.mean(lesions)
    assert not set(splits.training(0)) & set(splits.validation(0))
    again = make_splits(patients, burdens, folds=5, test_share=0.1, seed=3)
    assert again.sha256 == splits.sha256
    assert make_splits(patients, burdens, folds=5, seed=4).sha256 != splits.sha256


def test_a_saved_split_comes_back_and_a_changed_one_is_refused(tmp_path: Path) -> None:
    splits = make_splits(patients_of(6), {}, folds=3)
    path = write_splits(splits, tmp_path / "splits.json")
    assert read_splits(path) == splits
    document = json.loads(path.read_text())
    document["folds"][0], document["folds"][1] = document["folds"][1], document["folds"][0]
    path.write_text(json.dumps(document))
    with pytest.raises(DatasetLayout, match="its own digest"):
        read_splits(path)
    path.write_text("[]x")
    with pytest.raises(DatasetLayout, match="no split"):
        read_splits(path)


def test_a_leaking_split_is_refused() -> None:
    with pytest.raises(DatasetLayout, match="patient P in fold 0 and in fold 1"):
        Splits(folds=(("a",), ("b",)), test=(), patients={"a": "P", "b": "P"}, seed=0)
    assert leaks({"x": ["a"], "y": ["b"]}, {"a": "P", "b": "Q"}) == {}
    with pytest.raises(OptionError):
        make_splits(patients_of(3), {}, folds=5)


def test_splitting_a_folder(clean: Path) -> None:
    splits = split_dataset(clean, folds=3)
    assert [len(fold) for fold in splits.folds] == [1, 1, 1]


def test_split_command(clean: Path, tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(split_command)
    out = tmp_path / "splits.json"
    done = CliRunner().invoke(app, [str(clean), "--out", str(out), "--folds", "3"])
    assert done.exit_code == 0, done.output
    assert read_splits(out).sha256 in done.output
