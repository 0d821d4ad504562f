"""A result's mask saved again by another program: measured again, or refused with its reason.

12 ways to save the same edit (types, scaling, formats, names, order of axes), each read by report,
export, follow-up, evaluation and comparison; 13 that are refused; 4 of slice images.
"""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import nibabel as nib
import nrrd
import numpy as np
import pytest
import SimpleITK
from PIL import Image

from brainmets.domain import Mask
from brainmets.domain.errors import BrainmetsError
from brainmets.io import write_mask
from brainmets.io.datasets.pairing import pair_masks
from brainmets.reporting.stored import read_result
from brainmets.workflows.evaluate import EvaluateOptions, evaluate
from brainmets.workflows.export import ExportOptions, export
from brainmets.workflows.followed_scan import scan_of_result
from brainmets.workflows.measure_mask import MeasureMaskOptions, measure_mask
from brainmets.workflows.report import write_report
from tests.unit.test_results_edited import GRID, drawn, made, trim

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["made"]


def edited() -> np.ndarray:
    data = drawn()
    trim(data)
    data[data == 3] = 0
    return data


def nifti(path: Path, data: np.ndarray, slope: float = 1.0, affine: Any = None) -> None:
    image = nib.Nifti1Image(data, GRID.affine if affine is None else affine)
    image.set_data_dtype(data.dtype)
    nib.save(image, path)
    if slope != 1.0:
        raw = bytearray(path.read_bytes())
        raw[112:120] = np.array([slope, 0.0], "<f4").tobytes()
        path.write_bytes(raw)


def itk(path: Path, data: np.ndarray) -> None:
    image = SimpleITK.GetImageFromArray(data.T)
    lps = np.diag([-1.0, -1, 1, 1]) @ GRID.affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((lps[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    SimpleITK.WriteImage(image, str(path))


def slicer(path: Path, data: np.ndarray) -> None:
    """A segmentation as 3D Slicer saves it: labels, and what each is called in further fields."""
    lps = np.diag([-1.0, -1, 1, 1]) @ GRID.affine
    fields = {
        f"Segment{at}_{name}": value
        for at in range(2)
        for name, value in (("ID", f"Segment_{at + 1}"), ("LabelValue", at + 1), ("Layer", 0))
    }
    header = {
        "space": "left-posterior-superior",
        "space directions": lps[:3, :3].T,
        "space origin": lps[:3, 3],
        "kinds": ["domain"] * 3,
        **fields,
    }
    nrrd.write(str(path), data, header)


def turned(path: Path, data: np.ndarray) -> None:
    grid = GRID.permuted((2, 0, 1), (True, False, True))
    other = np.flip(data.transpose(2, 0, 1), (0, 2))
    write_mask(Mask(data=np.ascontiguousarray(other), geometry=grid), path)


SAVED: dict[str, tuple[str, Callable[[Path], None]]] = {
    "int16": ("mask.nii.gz", lambda p: nifti(p, edited().astype(np.int16))),
    "big-endian int32": ("mask.nii.gz", lambda p: nifti(p, edited().astype(">i4"))),
    "float32": ("mask.nii.gz", lambda p: nifti(p, edited().astype(np.float32))),
    "float64": ("mask.nii.gz", lambda p: nifti(p, edited().astype(np.float64))),
    "scaled": ("mask.nii", lambda p: nifti(p, edited().astype(np.int16) * 30, slope=1 / 30)),
    "axes in another order": ("mask.nii.gz", lambda p: turned(p, edited())),
    "reviewed, alone": ("mask-reviewed.nii.gz", lambda p: nifti(p, edited())),
    "reviewed, not zipped": ("mask-reviewed.nii", lambda p: nifti(p, edited())),
    "reviewed, axes in another order": ("mask-reviewed.nii.gz", lambda p: turned(p, edited())),
    "reviewed NRRD": ("mask-reviewed.nrrd", lambda p: itk(p, edited())),
    "Slicer": ("mask-reviewed.seg.nrrd", lambda p: slicer(p, edited())),
    "reviewed MetaImage": ("mask-reviewed.mha", lambda p: itk(p, edited())),
}


@pytest.mark.parametrize("name", SAVED)
def test_every_reader_measures_the_mask_as_it_was_saved(
    made: tuple[Path, Path], tmp_path: Path, name: str
) -> None:
    scan, folder = made
    file, save = SAVED[name]
    if file == "mask.nii":
        (folder / "mask.nii.gz").unlink()
    save(folder / file)
    result = read_result(folder)
    assert result.edited
    voxels = {one.id: one.voxels for one in result.lesions}
    assert voxels == {1: 192, 2: 144}
    assert np.array_equal(result.mask.data, edited())
    assert np.allclose(result.mask.geometry.affine, GRID.affine)
    written = export(folder, tmp_path / "out", ExportOptions(formats=("json", "nifti")))
    told = json.loads(written.files["json"].read_text())["lesions"]
    assert {one["id"]: one["voxels"] for one in told} == voxels
    assert np.array_equal(np.asarray(nib.load(written.files["nifti"]).dataobj), edited())
    followed = scan_of_result(folder, [scan])
    assert {one.id: one.voxels for one in followed.lesions} == voxels
    truth = tmp_path / "truth" / "result.nii.gz"
    truth.parent.mkdir()
    nifti(truth, edited())
    (pair,) = pair_masks(truth.parent, folder).pairs
    assert pair.prediction == folder / file
    run = evaluate(truth, folder, EvaluateOptions(jobs=1))
    assert run.failed == {}
    assert run.cases[0].regions[0].values["dice"] == pytest.approx(1.0)


def twice(folder: Path) -> None:
    nifti(folder / "mask-reviewed.nii.gz", edited())
    nifti(folder / "mask-reviewed.nii", edited())


def found_twice(folder: Path) -> None:
    itk(folder / "mask.nrrd", edited())


def both(folder: Path) -> None:
    data = drawn()
    data[data == 2] = 0
    nifti(folder / "mask.nii.gz", data)
    nifti(folder / "mask-reviewed.nii.gz", edited())


def zero_lesions_elsewhere(folder: Path) -> None:
    document = json.loads((folder / "report.json").read_text())
    document["lesions"] = []
    (folder / "report.json").write_text(json.dumps(document))
    affine = np.array(GRID.affine)
    affine[0, 3] += 4.0
    nifti(folder / "mask.nii.gz", edited(), affine=affine)


def halves(folder: Path) -> None:
    nifti(folder / "mask.nii.gz", edited().astype(np.float32) + 0.5)


def negative(folder: Path) -> None:
    nifti(folder / "mask.nii.gz", edited().astype(np.int16) - 1)


def nan(folder: Path) -> None:
    data = edited().astype(np.float32)
    data[0, 0, 0] = np.nan
    nifti(folder / "mask.nii.gz", data)


def scaled_to_fractions(folder: Path) -> None:
    (folder / "mask.nii.gz").unlink()
    nifti(folder / "mask.nii", edited().astype(np.int16), slope=0.5)


REFUSED: dict[str, tuple[Callable[[Path], None], str]] = {
    "halves": (halves, "E_VOXEL_TYPE.*to 2.5, fractions too.*labels"),
    "negative": (negative, "E_VOXEL_TYPE.*from -1 to 1.*labels"),
    "NaN": (nan, "E_NONFINITE.*1 voxels that are NaN"),
    "scaled to fractions": (scaled_to_fractions, "E_VOXEL_TYPE.*fractions"),
    "a reviewed mask in two formats": (twice, "E_RESULT.*two masks"),
    "a found mask in two formats": (found_twice, "E_RESULT.*two masks"),
    "found and reviewed mask edited": (both, "E_RESULT.*mask.nii.gz was edited"),
    "a shifted mask where nothing was found": (zero_lesions_elsewhere, "E_GRID.*corners"),
    "Slicer's own name": (lambda f: slicer(f / "Segmentation.seg.nrrd", edited()), "E_RESULT"),
    "edited": (lambda f: nifti(f / "mask_edited.nii.gz", edited()), "E_RESULT.*rename"),
    "a copy": (lambda f: nifti(f / "mask (1).nii.gz", edited()), "E_RESULT.*rename"),
    "corrected": (lambda f: nifti(f / "corrected.nii.gz", edited()), "E_RESULT.*rename"),
    "no mask": (lambda f: (f / "mask.nii.gz").unlink(), "E_RESULT.*no mask"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_mask_that_cannot_be_the_truth_is_refused_by_its_reason(
    made: tuple[Path, Path], tmp_path: Path, name: str
) -> None:
    scan, folder = made
    change, reason = REFUSED[name]
    change(folder)
    with pytest.raises(BrainmetsError, match=reason):
        read_result(folder)
    with pytest.raises(BrainmetsError, match=reason):
        write_report(folder, tmp_path / "report.pdf")
    with pytest.raises(BrainmetsError, match=reason):
        scan_of_result(folder, [scan])


def test_what_a_reader_said_stays_with_its_lesion(made: tuple[Path, Path]) -> None:
    folder = made[1]
    document = json.loads((folder / "report.json").read_text())
    for row in document["lesions"]:
        row |= {"label": "metastasis", "comment": f"number {row['id']}"}
        row |= {"peak_probability": row["id"] / 10, "place": f"place {row['id']}"}
    (folder / "report.json").write_text(json.dumps(document))
    data = drawn()
    data = np.choose(data, [0, 2, 1, 0]).astype(np.uint8)  # 1 and 2 change numbers, 3 is deleted
    data[2:5, 36:40, 2:5] = 3  # under whose number another place is painted
    nifti(folder / "mask.nii.gz", data)
    result = read_result(folder)
    assert {n: text for n, (_, text) in result.readings.items()} == {1: "number 2", 2: "number 1"}
    told = {one.id: one for one in result.lesions}
    assert (told[1].peak_probability, told[1].place) == (0.2, "place 2")
    assert np.isnan(told[3].peak_probability)
    assert told[3].place == "right posterior inferior"


@pytest.fixture
def slices(tmp_path: Path) -> Path:
    """The result of two slice images with two lesions."""
    rng = np.random.default_rng(1)
    data = np.zeros((2, 40, 50), np.uint8)
    data[0, 5:12, 6:14], data[1, 20:30, 30:38] = 255, 255
    for folder in ("scan", "drawn"):
        (tmp_path / folder).mkdir()
    for k, plane in enumerate(data):
        grey = rng.normal(90, 9, plane.shape) + plane / 4
        Image.fromarray(grey.astype(np.uint8)).save(tmp_path / "scan" / f"s{k}.png")
        Image.fromarray(plane).save(tmp_path / "drawn" / f"s{k}.png")
    out = tmp_path / "result"
    measure_mask(tmp_path / "scan", tmp_path / "drawn", MeasureMaskOptions(out=out))
    return out


def test_masks_of_slices_are_measured_anew(slices: Path) -> None:
    assert not read_result(slices).edited
    plane = np.array(Image.open(slices / "masks" / "s0.png"))
    plane[5:8] = 0
    Image.fromarray(plane).save(slices / "masks" / "s0.png")
    result = read_result(slices)
    assert result.edited
    assert sorted(one.voxels for one in result.lesions) == [32, 80]


@pytest.mark.parametrize("fault", ["one is missing", "another size", "one more"])
def test_masks_of_other_slices_are_refused(slices: Path, fault: str) -> None:
    first, second = (slices / "masks" / f"s{k}.png" for k in range(2))
    if fault == "one is missing":
        first.unlink()
    elif fault == "one more":
        shutil.copy(first, slices / "masks" / "s9.png")
    else:
        for path in (first, second):
            Image.open(path).resize((25, 20)).save(path)
    with pytest.raises(BrainmetsError, match="E_GRID"):
        read_result(slices)
