"""Reviews as training data: what a reader corrected is what a network is trained on."""

from __future__ import annotations

import csv
import json
import shutil
import zipfile
from typing import TYPE_CHECKING

import numpy as np
import pytest

from brainmets.domain import Geometry, Mask, Volume
from brainmets.domain.errors import OptionError, SourceDiffers
from brainmets.io import read_mask, write_mask, write_volume
from brainmets.io.datasets import load_case, open_dataset
from brainmets.training.datasets import usable_cases
from brainmets.workflows.measure_mask import MeasureMaskOptions, measure_mask
from brainmets.workflows.training_case import write_training_case

if TYPE_CHECKING:
    from pathlib import Path

GRID = Geometry(
    shape=(30, 34, 24),
    affine=np.array([[0, -1.2, 0, 20], [-1.0, 0, 0, 15], [0, 0, 2.0, -20], [0, 0, 0, 1]]),
)


def found(seed: int) -> np.ndarray:
    ids = np.zeros(GRID.shape, np.uint8)
    ids[4:9, 5:10, 6:9] = 1
    ids[18 + seed : 22, 20:25, 12:15] = 2
    return ids


def corrected(seed: int) -> np.ndarray:
    ids = found(seed).astype(np.uint16)
    ids[ids == 2] = 0  # labelled as no metastasis
    ids[12:15, 12:15, 18:20] = 300  # missed by the network
    return ids


def result(root: Path, seed: int, *, reviewed: bool = True) -> tuple[Path, Path]:
    """A scan and its result folder, reviewed as the page saves it."""
    image = np.random.default_rng(seed).normal(100, 8, GRID.shape).astype(np.float32)
    scan = write_volume(Volume(data=image, geometry=GRID), root / f"scan-{seed}.nii.gz")
    drawn = write_mask(Mask(data=found(seed), geometry=GRID), root / f"drawn-{seed}.nii.gz")
    folder = root / f"result-{seed}"
    measure_mask(scan, drawn, MeasureMaskOptions(out=folder))
    if reviewed:
        mask = Mask(data=corrected(seed), geometry=GRID)
        write_mask(mask, folder / "mask-reviewed.nii.gz")
    return scan, folder


def test_reviews_unpacked_next_to_each_other_are_a_data_set(tmp_path: Path) -> None:
    data = tmp_path / "reviews"
    for seed in (0, 1):
        scan, folder = result(tmp_path, seed)
        path = write_training_case(folder, tmp_path / f"{seed}.zip", source=scan)
        with zipfile.ZipFile(path) as archive:
            archive.extractall(data)
            (about,) = [name for name in archive.namelist() if name.endswith("review.json")]
            assert json.loads(archive.read(about))["lesions"] == 2
    dataset = open_dataset(data)
    cases, left_out = usable_cases(dataset, ("t1c",))
    assert (len(cases), left_out, len(dataset.patients)) == (2, (), 2)
    masks = []
    for case in cases:
        loaded = load_case(dataset, case, sequences=("t1c",))
        assert loaded.mask is not None
        assert loaded.mask.geometry.same_grid(loaded.case.geometry, tolerance_mm=1e-3)
        masks.append(loaded.mask.data)
        assert case.patient.startswith("sub-")
    wanted = [(corrected(seed) > 0).sum() for seed in (0, 1)]
    assert [int(mask.sum()) for mask in masks] == wanted
    for path in sorted(data.glob("*/mask.nii.gz")):
        assert set(np.unique(read_mask(path).data).tolist()) == {0, 1}


def test_the_same_scan_is_the_same_case_however_often_it_is_reviewed(tmp_path: Path) -> None:
    scan, folder = result(tmp_path, 0)
    names = []
    for n in range(2):
        path = write_training_case(folder, tmp_path / f"{n}.zip", source=scan)
        names.append(zipfile.ZipFile(path).namelist())
    assert names[0] == names[1]


def test_what_nobody_reviewed_is_refused(tmp_path: Path) -> None:
    scan, folder = result(tmp_path, 0, reviewed=False)
    with pytest.raises(OptionError, match="no reader has reviewed"):
        write_training_case(folder, tmp_path / "case.zip", source=scan)
    assert not (tmp_path / "case.zip").exists()


def test_another_scan_is_refused(tmp_path: Path) -> None:
    _, folder = result(tmp_path, 0)
    other, _ = result(tmp_path, 1)
    with pytest.raises(SourceDiffers):
        write_training_case(folder, tmp_path / "case.zip", source=other)


def test_a_label_of_the_reader_travels_without_comment_or_name(tmp_path: Path) -> None:
    scan, folder = result(tmp_path, 0, reviewed=False)
    shutil.copy(folder / "mask.nii.gz", folder / "mask-reviewed.nii.gz")
    rows = list(csv.DictReader((folder / "lesions.csv").read_text("utf-8").splitlines()))
    for row in rows:
        row |= {"verdict": "kept", "label": "uncertain", "comment": "Mrs Example, seen on FLAIR"}
    with (folder / "lesions-reviewed.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    (folder / "review.json").write_text('{"operating_point": {}, "author": "Dr Example"}')
    path = write_training_case(folder, tmp_path / "case.zip", source=scan)
    with zipfile.ZipFile(path) as archive:
        text = archive.read(next(n for n in archive.namelist() if n.endswith(".json"))).decode()
    assert json.loads(text)["labels"] == {"1": "uncertain", "2": "uncertain"}
    assert "Example" not in text
