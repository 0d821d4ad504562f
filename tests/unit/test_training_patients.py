"""Folds by patient, parts of a mask that do not count, and slices with one lesion outlined each."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch")

from pydantic import ValidationError

from brainmets.domain.errors import DatasetLayout
from brainmets.domain.geometry import Geometry
from brainmets.domain.volume import Mask, Volume
from brainmets.io import write_mask, write_volume
from brainmets.preprocessing import Plan
from brainmets.training.losses import IGNORE
from brainmets.training.patients import faint_parts, patient_fold
from brainmets.training.samples import (
    held_out_cases,
    read_slices,
    read_volume_case,
    slice_names,
    volume_folders,
)
from brainmets.training.sources import SliceSource, VolumeSource

if TYPE_CHECKING:
    from pathlib import Path

PATIENTS = [str(number) for number in range(1, 13)]


def _table(path: Path, header: tuple[str, ...], rows: list[tuple[object, ...]]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Volumes of twelve patients, the first two exams of one; slices of the same patients."""
    volumes, slices = tmp_path / "volumes", tmp_path / "slices"
    exams, parts = [], []
    for patient in [*PATIENTS, PATIENTS[0]]:
        exam = f"{patient}-{sum(p == patient for _, p in exams)}"
        exams.append((exam, patient))
        folder = volumes / exam
        folder.mkdir(parents=True)
        geometry = Geometry.isotropic((20, 20, 20))
        data = np.zeros((20, 20, 20), dtype=np.float32)
        data[2:18, 2:18, 2:18] = 100
        labels = np.zeros((20, 20, 20), dtype=np.uint8)
        labels[4:7, 4:7, 4:7] = labels[12:15, 12:15, 12:15] = 1
        data[12:15, 12:15, 12:15] = 200
        write_volume(Volume(data=data, geometry=geometry), folder / "t1c.nii.gz")
        write_mask(Mask(data=labels, geometry=geometry), folder / "seg.nii.gz", comment="")
        parts += [(exam, 1, 1.0), (exam, 2, 2.0)]
    _table(tmp_path / "volumes.csv", ("exam", "patient"), exams)
    _table(tmp_path / "lesions.csv", ("exam", "component", "contrast_to_ring"), parts)
    (slices / "images").mkdir(parents=True)
    (slices / "masks").mkdir()
    rows = []
    for number, patient in enumerate([*PATIENTS, PATIENTS[0]]):
        name = f"{number:03d}"
        picture = np.zeros((64, 64), dtype=np.uint8)
        picture[8:56, 8:56] = 100
        picture[16:22, 16:22] = picture[40:46, 40:46] = 200  # two lesions, one outlined
        drawn = np.zeros((64, 64), dtype=np.uint8)
        place = 40 if number == len(PATIENTS) else 16
        drawn[place : place + 6, place : place + 6] = 255
        Image.fromarray(picture).save(slices / "images" / f"{name}.png")
        Image.fromarray(drawn).save(slices / "masks" / f"{name}.png")
        rows.append((name, patient, "same" if patient == PATIENTS[0] else name))
    _table(tmp_path / "slices.csv", ("slice", "patient", "image_md5"), rows)
    return tmp_path


def _volumes(**more: object) -> VolumeSource:
    return VolumeSource.model_validate(
        {
            "root": "volumes",
            "image": "t1c*",
            "mask": ("seg*",),
            "lesion_labels": (1,),
            "patients": "volumes.csv",
            **more,
        }
    )


def test_folds_divide_patients_alike_in_volumes_and_slices(root: Path) -> None:
    seen: list[str] = []
    for fold in range(3):
        source = _volumes(fold=fold)
        flat = SliceSource(root="slices", fold=fold)
        test = {c[2] for c in held_out_cases(root / "volumes", source, "test", 99)}
        train = {f.name.split("-")[0] for f in volume_folders(root / "volumes", source, "train")}
        assert test | train == set(PATIENTS)
        assert not test & train
        assert test == {p for p in PATIENTS if patient_fold(p, 3) == fold}
        assert test == {c[2] for c in held_out_cases(root / "slices", flat, "test", 99)}
        assert not volume_folders(root / "volumes", source, "validation")
        seen += test
    assert sorted(seen) == sorted(PATIENTS)


def test_masks_drawn_on_one_image_are_read_together(root: Path) -> None:
    fold = patient_fold(PATIENTS[0], 3)
    source = SliceSource(root="slices", fold=fold)
    names = slice_names(root / "slices", source, "test")
    assert "000" in names
    assert "012" not in names  # the same image as 000
    (both,) = [
        lesion
        for case, lesion, _ in held_out_cases(root / "slices", source, "test", 99)
        if case.case_id == "000"
    ]
    assert np.count_nonzero(both == 1) == 2 * 36


def test_bright_places_beside_the_one_annotated_lesion_count_neither_way(root: Path) -> None:
    plan = Plan(dims=2, canvas=64)
    other = (slice(41, 45), slice(41, 45))
    fold = (patient_fold(PATIENTS[1], 3) + 1) % 3  # so that 001 is trained on
    for each, wanted in ((True, IGNORE), (False, 0)):
        source = SliceSource(root="slices", fold=fold, one_lesion_each=each)
        samples = {s.name: s for s in read_slices(root / "slices", source, plan, "train")}
        target = samples["001"].target
        assert (target[18:20, 18:20] == 1).all()
        assert (target[other] == wanted).all()
        assert (target[30:34, 30:34] == 0).all()


def test_parts_without_contrast_count_neither_way(root: Path) -> None:
    source = _volumes(fold=0, parts="lesions.csv")
    _, lesion = read_volume_case(root / "volumes" / "1-0", source)
    assert (lesion[4:7, 4:7, 4:7] == IGNORE).all()
    assert (lesion[12:15, 12:15, 12:15] == 1).all()
    lenient = _volumes(fold=0, parts="lesions.csv", least_contrast=0.5)
    assert not (read_volume_case(root / "volumes" / "1-0", lenient)[1] == IGNORE).any()


def test_a_table_of_other_parts_is_refused(root: Path) -> None:
    three = np.zeros((9, 9, 9), dtype=bool)
    three[1, 1, 1] = three[4, 4, 4] = three[7, 7, 7] = True
    with pytest.raises(DatasetLayout, match="3 parts"):
        faint_parts(three, root / "lesions.csv", "1-0", 1.15)
    with pytest.raises(DatasetLayout, match="contrast_to_ring"):
        faint_parts(three, root / "volumes.csv", "1-0", 1.15)


def test_a_fold_that_there_is_not_is_refused() -> None:
    with pytest.raises(ValidationError, match="fold 3 of 3"):
        SliceSource(root="slices", fold=3)


@pytest.mark.parametrize("folds", [2, 3, 5])
def test_patients_are_spread_over_all_folds(folds: int) -> None:
    counts = np.bincount([patient_fold(str(p), folds) for p in range(600)], minlength=folds)
    assert counts.min() > 0.8 * 600 / folds
