"""Every layout of docs/reference/datasets.md, written as a phantom and read back."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pytest
from PIL import Image

from brainmets.domain import Geometry, Mask, Volume
from brainmets.domain.errors import (
    DatasetLayout,
    FileMissing,
    GridMismatch,
    MissingSequence,
    OptionError,
)
from brainmets.io import write_mask, write_volume
from brainmets.io.datasets import (
    ADAPTERS,
    Dataset,
    find_masks,
    load_case,
    open_dataset,
    pair_masks,
    patient_of,
)
from brainmets.io.datasets.generic_glob import read_globs
from brainmets.io.datasets.identity import case_of, is_mask_name

if TYPE_CHECKING:
    from collections.abc import Callable

GRID = Geometry.isotropic((14, 16, 12))
LESION = (slice(3, 7), slice(4, 9), slice(2, 6))
VOXELS = 4 * 5 * 4


def image(path: Path, grid: Geometry = GRID, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    data = np.random.default_rng(seed).normal(100, 10, grid.shape).astype(np.float32)
    data[LESION] += 80
    return write_volume(Volume(data=data, geometry=grid), path)


def mask(path: Path, label: int = 1, grid: Geometry = GRID) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    data = np.zeros(grid.shape, np.uint8)
    data[LESION] = label
    return write_mask(Mask(data=data, geometry=grid), path)


def picture(path: Path, *, channels: int = 1, drawn: bool = False, value: int = 255) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows, columns = 16, 14
    if drawn:
        pixels = np.zeros((rows, columns), np.uint8)
        pixels[4:9, 3:7] = value
    else:
        shape = (rows, columns) if channels == 1 else (rows, columns, channels)
        pixels = np.random.default_rng(1).integers(0, 255, shape).astype(np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def brats(folder: Path, *names: str) -> None:
    for name in names:
        for sequence in ("t1n", "t1c", "t2w", "t2f"):
            image(folder / name / f"{name}-{sequence}.nii.gz")
        mask(folder / name / f"{name}-seg.nii.gz", 3)


def write_brats_mets_2025(root: Path) -> None:
    brats(
        root / "MICCAI-LH-BraTS2025-MET-Challenge-Training",
        "BraTS-MET-00001-000",
        "BraTS-MET-00001-001",
    )
    brats(
        root / "MICCAI-LH-BraTS2025-MET-Challenge-Training" / "UCSD - Training",
        "BraTS-MET-01200-000",
    )


def write_brats_mets_2023(root: Path) -> None:
    brats(root / "ASNR-MICCAI-BraTS2023-MET-Challenge-TrainingData", "BraTS-MET-00002-000")
    brats(
        root / "ASNR-MICCAI-BraTS2023-MET-Challenge-TrainingData_Additional", "BraTS-MET-00003-000"
    )


def write_pretreat(root: Path) -> None:
    brats(root / "Pretreat-MetsToBrain-Masks", "BraTS-MET-00500-000")


def write_ucsf_bmsr(root: Path) -> None:
    for name in ("100101A", "100101B", "100102A"):
        folder = root / "UCSF_BrainMetastases_TRAIN" / name
        for word in ("T1pre", "T1post", "FLAIR", "subtraction", "T2Synth"):
            image(folder / f"{name}_{word}.nii.gz")
        mask(folder / f"{name}_seg.nii.gz")
        mask(folder / f"{name}_BraTS-seg.nii.gz", 3)


def write_brainmetshare_slices(root: Path) -> None:
    for case in ("Mets_005", "Mets_010"):
        folder = root / "mets_stanford_releaseMask_train" / case
        for part in ("0", "1", "2", "3", "seg"):
            for number in range(3):
                picture(folder / part / f"{number:03d}.png", drawn=part == "seg")


def write_brainmetshare_volumes(root: Path) -> None:
    folder = root / "train" / "Mets_005"
    for word in ("bravo", "t1_pre", "t1_gd", "flair"):
        image(folder / f"{word}.nii")
    mask(folder / "seg.nii")


def write_brain_mets_lung(root: Path) -> None:
    coarse = Geometry(shape=(14, 16, 6), affine=np.diag([1.0, 1.0, 2.0, 1.0]))
    fine = Geometry(shape=(14, 16, 12), affine=np.diag([1.0, 1.0, 1.0, 1.0]))
    image(root / "Case01" / "Case01_t1ce_img.nii.gz", fine)
    image(root / "Case01" / "Case01_flair_img.nii.gz", coarse)
    for word in ("core", "whole"):
        mask(root / "Case01" / f"Case01_{word}_seg.nii.gz", 1, fine)


def write_openbtai(root: Path) -> None:
    (root / "OpenBTAI_METS_ClinicalData.xlsx").parent.mkdir(parents=True, exist_ok=True)
    (root / "OpenBTAI_METS_ClinicalData.xlsx").write_bytes(b"PK")
    for date in ("20150101", "20160101"):
        image(root / "000013" / f"000013_{date}_img.nii")
        mask(root / "000013" / f"000013_{date}_msk.nii")


def write_motum(root: Path) -> None:
    for word in ("flair", "t1ce"):
        image(root / "sub-0001" / "anat" / f"sub-0001_{word}.nii.gz")
        mask(root / "derivatives" / "sub-0001" / f"{word}_seg_label1.nii.gz")


def write_nyumets(root: Path) -> None:
    for study in ("S1", "S2"):
        folder = root / "imaging" / "patientId" / "P7" / "studyId" / study
        for word in ("T1", "CT1", "T2", "FLAIR"):
            image(folder / f"{word}.nii.gz")
        mask(folder / "RTSTRUCT_segmentation.nii.gz")
    (root / "splits_val.csv").write_text("patientId\nP7\n")


def write_brats_glioma(root: Path) -> None:
    folder = root / "BraTS2021_00006"
    for word in ("t1", "t1ce", "t2", "flair"):
        image(folder / f"BraTS2021_00006_{word}.nii.gz")
    mask(folder / "BraTS2021_00006_seg.nii.gz", 4)
    brats(root, "BraTS-GLI-00009-100")


def write_lgg(root: Path) -> None:
    folder = root / "TCGA_CS_4941_19960909"
    for number in range(1, 12):
        picture(folder / f"TCGA_CS_4941_19960909_{number}.tif", channels=3)
        value = 255 if number > 9 else 0
        picture(folder / f"TCGA_CS_4941_19960909_{number}_mask.tif", drawn=True, value=value)


def write_lgg_in_folders(root: Path) -> None:
    for number in range(1, 4):
        picture(root / "TCGA_DU_5849_19950405" / "images" / f"{number}.png", channels=3)
        picture(root / "TCGA_DU_5849_19950405" / "masks" / f"{number}.png", drawn=True)


def write_cheng(root: Path) -> None:
    for number in ("0001", "0002", "0100"):
        picture(root / "images" / f"{number}.png")
        picture(root / "masks" / f"{number}.png", drawn=True)
    (root / "slices.csv").write_text(
        "slice,tumour,block\n0001,glioma,0\n0002,glioma,0\n0100,meningioma,1\n"
    )


def write_cheng_matlab(root: Path) -> None:
    root.mkdir(parents=True, exist_ok=True)
    for number, patient in ((1, "MR0402"), (2, "MR0402")):
        with h5py.File(root / f"{number}.mat", "w") as file:
            record = file.create_group("cjdata")
            record["label"] = np.array([[2.0]])
            record["PID"] = np.array([[ord(letter)] for letter in patient], np.uint16)
            record["image"] = np.random.default_rng(0).integers(0, 900, (14, 16)).astype(np.int16)
            drawn = np.zeros((14, 16), np.uint8)
            drawn[3:7, 4:9] = 1
            record["tumorMask"] = drawn


def write_folders(root: Path) -> None:
    for name in ("ann", "bob"):
        image(root / name / "t1_post.nii.gz")
        mask(root / name / "seg.nii.gz")


def write_csv(root: Path) -> None:
    image(root / "scans" / "a.nii.gz")
    mask(root / "scans" / "a_m.nii.gz", 2)
    image(root / "scans" / "b.nii.gz")
    rows = [
        ["case_id", "patient", "t1c", "mask", "split"],
        ["a", "P1", "scans/a.nii.gz", "scans/a_m.nii.gz", "train"],
        ["b", "P1", "scans/b.nii.gz", "", "val"],
    ]
    with (root / "manifest.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)


def write_nnunet(root: Path) -> None:
    for name in ("BraTS-MET-00001-000", "BraTS-MET-00001-001"):
        image(root / "imagesTr" / f"{name}_0000.nii.gz")
        image(root / "imagesTr" / f"{name}_0001.nii.gz")
        mask(root / "labelsTr" / f"{name}.nii.gz", 2)
    about = {
        "channel_names": {"0": "T1c", "1": "FLAIR"},
        "labels": {"background": 0, "oedema": 1, "enhancing": 2},
        "file_ending": ".nii.gz",
    }
    (root / "dataset.json").write_text(json.dumps(about))


def write_bids(root: Path) -> None:
    for session in ("ses-01", "ses-02"):
        stem = f"sub-a1_{session}"
        anat = root / "sub-a1" / session / "anat"
        image(anat / f"{stem}_ce-gadolinium_T1w.nii.gz")
        image(anat / f"{stem}_T1w.nii.gz")
        mask(root / "derivatives" / "expert" / "sub-a1" / session / "anat" / f"{stem}_dseg.nii.gz")


LAYOUTS: dict[str, tuple[Callable[[Path], None], str, int, int, set[str]]] = {
    "brats-mets-2025": (
        write_brats_mets_2025,
        "brats-mets-2025",
        3,
        2,
        {"t1c", "t1n", "t2w", "t2f"},
    ),
    "brats-mets-2023": (
        write_brats_mets_2023,
        "brats-mets-2023",
        2,
        2,
        {"t1c", "t1n", "t2w", "t2f"},
    ),
    "pretreat": (write_pretreat, "pretreat", 1, 1, {"t1c", "t1n", "t2w", "t2f"}),
    "ucsf-bmsr": (write_ucsf_bmsr, "ucsf-bmsr", 3, 2, {"t1c", "t1n", "t2w", "t2f"}),
    "brainmetshare slices": (
        write_brainmetshare_slices,
        "brainmetshare",
        2,
        2,
        {"t1c", "t1n", "t2f"},
    ),
    "brainmetshare": (write_brainmetshare_volumes, "brainmetshare", 1, 1, {"t1c", "t1n", "t2f"}),
    "brain-mets-lung": (write_brain_mets_lung, "brain-mets-lung", 1, 1, {"t1c", "t2f"}),
    "openbtai": (write_openbtai, "openbtai", 2, 1, {"t1c"}),
    "motum": (write_motum, "motum", 1, 1, {"t1c", "t2f"}),
    "nyumets": (write_nyumets, "nyumets", 2, 1, {"t1c", "t1n", "t2w", "t2f"}),
    "brats-glioma": (write_brats_glioma, "brats-glioma", 2, 2, {"t1c", "t1n", "t2w", "t2f"}),
    "lgg": (write_lgg, "lgg", 1, 1, {"t2f"}),
    "lgg folders": (write_lgg_in_folders, "lgg", 1, 1, {"t2f"}),
    "cheng": (write_cheng, "cheng", 3, 2, {"t1c"}),
    "cheng matlab": (write_cheng_matlab, "cheng", 2, 1, {"t1c"}),
    "folders": (write_folders, "folders", 2, 2, {"t1c"}),
    "csv": (write_csv, "csv", 2, 1, {"t1c"}),
    "nnunet": (write_nnunet, "nnunet", 2, 1, {"t1c", "t2f"}),
    "bids": (write_bids, "bids", 2, 1, {"t1c", "t1n"}),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_layout_is_recognised_listed_and_loaded(tmp_path: Path, name: str) -> None:
    write, layout, cases, patients, sequences = LAYOUTS[name]
    root = tmp_path / "set"
    write(root)
    dataset = open_dataset(root)
    assert dataset.layout == layout
    assert len(dataset.cases) == cases
    assert len(dataset.patients) == patients
    assert set(dataset.cases[0].images) == sequences
    loaded = load_case(dataset, dataset.cases[0])
    assert set(loaded.case.images) == sequences
    assert loaded.mask is not None
    assert loaded.mask.geometry.same_grid(loaded.case.geometry)
    drawn = np.count_nonzero(loaded.mask.data)
    assert drawn in {VOXELS, 5 * 4, 5 * 4 * 2, 5 * 4 * 3}  # a volume, a slice, two or three slices
    assert set(np.unique(loaded.mask.data)) - {0} <= set(dataset.labels or {1, 2})


def test_every_adapter_is_named_tested_and_documented(repository: Path) -> None:
    assert {layout for _, layout, *_ in LAYOUTS.values()} | {"masks"} == set(ADAPTERS)
    text = (repository / "docs" / "reference" / "datasets.md").read_text()
    for name, adapter in ADAPTERS.items():
        assert name == adapter.NAME
        assert f"`{name}`" in text


def test_masks_alone_are_a_data_set(tmp_path: Path) -> None:
    mask(tmp_path / "BraTS-MET-00001-000-seg.nii.gz")
    mask(tmp_path / "BraTS-MET-00001-001-seg.nii.gz")
    dataset = open_dataset(tmp_path)
    assert (dataset.layout, len(dataset.cases), len(dataset.patients)) == ("masks", 2, 1)
    with pytest.raises(MissingSequence):
        load_case(dataset, dataset.cases[0])


def test_publishers_split_is_kept(tmp_path: Path) -> None:
    write_nyumets(tmp_path)
    assert {case.split for case in open_dataset(tmp_path).cases} == {"validation"}
    write_csv(tmp_path / "csv")
    by_id = {case.case_id: case for case in open_dataset(tmp_path / "csv").cases}
    assert (by_id["a"].split, by_id["b"].split) == ("train", "validation")
    assert by_id["b"].masks == ()


def test_gliomas_say_that_they_are_not_metastases(tmp_path: Path) -> None:
    write_lgg(tmp_path)
    assert any("NOT brain metastases" in note for note in open_dataset(tmp_path).notes)


def test_lgg_masks_follow_the_slices_numbers(tmp_path: Path) -> None:
    """Slice 10 comes after slice 9, not after slice 1."""
    write_lgg(tmp_path)
    dataset = open_dataset(tmp_path)
    loaded = load_case(dataset, dataset.cases[0])
    assert loaded.mask is not None
    assert np.flatnonzero(loaded.mask.data.any(axis=(0, 1))).tolist() == [9, 10]


def test_thick_flair_is_brought_to_the_t1c(tmp_path: Path) -> None:
    write_brain_mets_lung(tmp_path)
    dataset = open_dataset(tmp_path)
    loaded = load_case(dataset, dataset.cases[0])
    assert loaded.case.images["t2f"].data.shape == (14, 16, 12)


def test_globs_name_the_roles_where_names_say_nothing(tmp_path: Path) -> None:
    image(tmp_path / "x" / "scan_a.nii.gz")
    mask(tmp_path / "x" / "roi.nii.gz")
    dataset = read_globs(tmp_path, {"t1c": "scan_*.nii.gz"}, "roi*")
    assert dataset.cases[0].masks[0].name == "roi.nii.gz"


def test_errors_name_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(FileMissing):
        open_dataset(tmp_path / "nowhere")
    with pytest.raises(DatasetLayout, match="layout is not known"):
        open_dataset(tmp_path)
    with pytest.raises(OptionError):
        open_dataset(tmp_path, layout="dicomdir")
    with pytest.raises(DatasetLayout):
        open_dataset(tmp_path, layout="ucsf-bmsr")
    write_csv(tmp_path)
    (tmp_path / "scans" / "a_m.nii.gz").unlink()
    with pytest.raises(DatasetLayout, match=r"a_m.nii.gz of case a"):
        open_dataset(tmp_path)


def test_a_mask_on_another_grid_is_refused(tmp_path: Path) -> None:
    write_folders(tmp_path)
    (tmp_path / "ann" / "seg.nii.gz").unlink()
    mask(tmp_path / "ann" / "seg.nii.gz", grid=Geometry.isotropic((14, 16, 12), spacing_mm=2.0))
    dataset: Dataset = open_dataset(tmp_path)
    with pytest.raises(GridMismatch):
        load_case(dataset, dataset.cases[0])


@pytest.mark.parametrize(
    ("case_id", "patient"),
    [
        ("BraTS-MET-00110-001", "BraTS-MET-00110"),
        ("100101B", "100101"),
        ("sub-a1_ses-02", "sub-a1"),
        ("TCGA_CS_4941_19960909_12", "TCGA_CS_4941"),
        ("whatever-3", "whatever-3"),
    ],
)
def test_patients_by_name(case_id: str, patient: str) -> None:
    assert patient_of(case_id) == patient


@pytest.mark.parametrize(
    ("name", "case"),
    [
        ("BraTS-MET-00132-000-seg.nii.gz", "BraTS-MET-00132-000"),
        ("SEG-00217-000.nii.gz", "00217-000"),
        ("x_mask.tif", "x"),
        ("folder/mask.nii.gz", "folder"),
        ("scan.nii", "scan"),
    ],
)
def test_cases_by_file_name(name: str, case: str) -> None:
    assert case_of(Path(name)) == case
    assert is_mask_name(Path(name)) == (case != "scan")


def test_pairing_by_name_then_by_number(tmp_path: Path) -> None:
    for name in ("BraTS-MET-00132-000-seg", "BraTS-MET-00217-000-seg", "BraTS-MET-00999-000-seg"):
        mask(tmp_path / "ref" / f"{name}.nii.gz")
    for name in ("00132-000", "SEG-00217-000", "other"):
        mask(tmp_path / "pred" / f"{name}.nii.gz")
    pairing = pair_masks(tmp_path / "ref", tmp_path / "pred")
    assert [pair.case_id for pair in pairing.pairs] == [
        "BraTS-MET-00132-000",
        "BraTS-MET-00217-000",
    ]
    assert [pair.case_id for pair in pairing.only_reference] == ["BraTS-MET-00999-000"]
    assert pairing.only_prediction == ("other",)


def test_pairing_a_data_set_with_results_of_segment(tmp_path: Path) -> None:
    brats(tmp_path / "set", "BraTS-MET-00001-000")
    mask(tmp_path / "out" / "BraTS-MET-00001-000" / "mask.nii.gz")
    image(tmp_path / "out" / "BraTS-MET-00001-000" / "probability.nii.gz")
    (pair,) = pair_masks(tmp_path / "set", tmp_path / "out").pairs
    assert pair.reference.name == "BraTS-MET-00001-000-seg.nii.gz"
    assert pair.prediction is not None
    assert pair.prediction.name == "mask.nii.gz"


def test_two_masks_of_one_case_are_refused(tmp_path: Path) -> None:
    mask(tmp_path / "a_seg.nii.gz")
    mask(tmp_path / "a_mask.nii.gz")
    with pytest.raises(DatasetLayout, match="two masks of case a"):
        find_masks(tmp_path)


@pytest.mark.parametrize(
    ("folder", "layout", "cases"),
    [("gliomas", "brats-glioma", 25), ("lgg", "lgg", 6), ("t1c-slices", "cheng", 1676)],
)
def test_real_folders(data_dir: Path, folder: str, layout: str, cases: int) -> None:
    dataset = open_dataset(data_dir / folder)
    assert (dataset.layout, len(dataset.cases)) == (layout, cases)
    loaded = load_case(dataset, dataset.cases[0])
    assert loaded.mask is not None
    assert loaded.mask.data.any() or layout == "lgg"
