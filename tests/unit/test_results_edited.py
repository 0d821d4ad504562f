"""The mask is the truth: edited elsewhere it is measured again, and any mask can be measured."""

from __future__ import annotations

import csv
import json
import shutil
from itertools import product
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np
import pydicom
import pytest
from typer.testing import CliRunner

from brainmets.cli.app import app
from brainmets.domain import Geometry, Mask, Volume
from brainmets.domain.errors import GridMismatch
from brainmets.io import write_mask, write_volume
from brainmets.reporting.case_pdf import facts_of
from brainmets.reporting.stored import read_result
from brainmets.workflows.export import ExportOptions, export
from brainmets.workflows.followed_scan import scan_of_result
from brainmets.workflows.measure_mask import MeasureMaskOptions, measure_mask
from brainmets.workflows.report import write_report

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

GRID = Geometry(
    shape=(40, 44, 30),
    affine=np.array([[-1.0, 0, 0, 20], [0, -1, 0, 22], [0, 0, 1.5, -20], [0, 0, 0, 1]]),
)


def drawn() -> NDArray[np.uint8]:
    data = np.zeros(GRID.shape, np.uint8)
    data[6:14, 6:14, 6:12] = 1
    data[24:30, 24:30, 6:10] = 2
    data[8:11, 30:33, 18:20] = 3
    return data


@pytest.fixture
def made(tmp_path: Path) -> tuple[Path, Path]:
    """A scan and the result folder of its mask, as `measure` writes it."""
    rng = np.random.default_rng(0)
    image = rng.normal(100, 8, GRID.shape).astype(np.float32)
    image[drawn() > 0] += 80
    scan = write_volume(Volume(data=image, geometry=GRID), tmp_path / "scan.nii.gz")
    mask = write_mask(Mask(data=drawn(), geometry=GRID), tmp_path / "drawn.nii.gz")
    measure_mask(scan, mask, MeasureMaskOptions(out=tmp_path / "result"))
    return scan, tmp_path / "result"


def trim(data: NDArray[np.uint8]) -> None:
    data[10:14, 6:14, 6:12] = 0


def delete(data: NDArray[np.uint8]) -> None:
    data[data == 2] = 0


def delete_all(data: NDArray[np.uint8]) -> None:
    data[:] = 0


def paint(data: NDArray[np.uint8]) -> None:
    data[20:24, 8:12, 20:24] = 4


def move(data: NDArray[np.uint8]) -> None:
    data[data == 3] = 0
    data[30:33, 8:11, 22:24] = 3


def swap(data: NDArray[np.uint8]) -> None:
    ones = data == 1
    data[data == 3] = 1
    data[ones] = 3


def one_label(data: NDArray[np.uint8]) -> None:
    trim(data)
    data[data > 0] = 1


def reshape(data: NDArray[np.uint8]) -> None:
    """Another shape of as many voxels around the same centre."""
    data[data == 1] = 0
    data[4:16, 6:14, 7:11] = 1


def turn(data: NDArray[np.uint8]) -> None:
    data[data == 2] = 0
    data[24:30, 25:29, 5:11] = 2


EDITS = [reshape, turn, trim, delete, delete_all, paint, move, swap, one_label]


def edit(path: Path, change: Callable[[NDArray[np.uint8]], None], to: Path | None = None) -> None:
    """Save a mask again as another program would: without our header extension."""
    image = nib.load(path)
    data = np.asarray(image.dataobj).astype(np.uint8)
    change(data)
    nib.save(nib.Nifti1Image(data, image.affine), to or path)


@pytest.mark.parametrize("change", EDITS)
@pytest.mark.parametrize("place", ["mask.nii.gz", "mask-reviewed.nii.gz"])
def test_every_reader_of_a_result_says_what_the_mask_says(
    made: tuple[Path, Path],
    tmp_path: Path,
    change: Callable[[NDArray[np.uint8]], None],
    place: str,
) -> None:
    scan, folder = made
    edit(folder / "mask.nii.gz", change, folder / place)
    result = read_result(folder)
    assert result.edited
    assert any("measured again" in line for line in result.warnings)
    data = result.mask.data
    assert {lesion.id for lesion in result.lesions} == set(np.unique(data).tolist()) - {0}
    for lesion in result.lesions:
        voxels = np.argwhere(data == lesion.id)
        assert lesion.voxels == len(voxels)
        assert lesion.volume_mm3 == pytest.approx(len(voxels) * 1.5)
        assert lesion.centroid_voxel == pytest.approx(voxels.mean(axis=0))
    total = sum(lesion.volume_mm3 for lesion in result.lesions)
    written = export(folder, tmp_path / "out", ExportOptions(formats=("csv", "json", "nifti")))
    rows = list(csv.DictReader(written.files["csv"].read_text("utf-8").splitlines()))
    assert sum(float(row["volume_mm3"]) for row in rows) == pytest.approx(total)
    document = json.loads(written.files["json"].read_text())
    assert document["summary"]["total_volume_mm3"] == pytest.approx(total)
    assert document["review"]["edited"]
    assert any("measured again" in note for note in written.notes)
    followed = scan_of_result(folder, [scan])
    assert sum(lesion.volume_mm3 for lesion in followed.lesions) == pytest.approx(total)


def test_volumes_agree_between_seg_rtstruct_and_table(
    made: tuple[Path, Path], tmp_path: Path
) -> None:
    scan, folder = made
    edit(folder / "mask.nii.gz", trim)
    formats = ("dicom-seg", "rtstruct", "csv")
    written = export(folder, tmp_path / "out", ExportOptions(formats=formats, source=scan))
    rows = list(csv.DictReader(written.files["csv"].read_text("utf-8").splitlines()))
    volumes = [float(row["volume_mm3"]) / 1000 for row in rows]
    seg = pydicom.dcmread(written.files["dicom-seg"])
    told = [float(s.SegmentDescription.split(" ml")[0]) for s in seg.SegmentSequence]
    assert told == pytest.approx(volumes, abs=6e-4)
    regions = pydicom.dcmread(written.files["rtstruct"]).StructureSetROISequence
    assert [float(one.ROIVolume) for one in regions] == pytest.approx(volumes, rel=1e-3)


def test_an_untouched_result_is_read_as_it_was_written(made: tuple[Path, Path]) -> None:
    result = read_result(made[1])
    assert not result.edited
    assert result.warnings == ()
    assert [lesion.voxels for lesion in result.lesions] == [384, 144, 18]


def test_a_mask_without_lesions_is_reported(made: tuple[Path, Path], tmp_path: Path) -> None:
    edit(made[1] / "mask.nii.gz", delete_all)
    assert write_report(made[1], tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize("kind", ["cropped", "coarser", "finer"])
def test_a_mask_of_another_grid_is_refused(
    made: tuple[Path, Path], tmp_path: Path, kind: str
) -> None:
    scan, folder = made
    data, affine = drawn(), np.array(GRID.affine)
    if kind == "cropped":
        data = data[2:]
    else:
        affine[:, 0] *= 2.0 if kind == "coarser" else 0.5
    other = tmp_path / "other.nii.gz"
    nib.save(nib.Nifti1Image(data, affine), other)
    with pytest.raises(GridMismatch, match="E_GRID"):
        measure_mask(scan, other)
    shutil.copy(other, folder / "mask.nii.gz")
    with pytest.raises(GridMismatch, match="brainmets measure"):
        read_result(folder)


def test_measure_counts_labels_or_what_touches(made: tuple[Path, Path], tmp_path: Path) -> None:
    scan, _ = made
    mask = tmp_path / "drawn.nii.gz"
    assert [one.voxels for one in measure_mask(scan, mask).report.prediction.lesions] == [
        384,
        144,
        18,
    ]
    data = (drawn() > 0).astype(np.uint8)
    one = write_mask(Mask(data=data, geometry=GRID), tmp_path / "binary.nii.gz")
    assert [x.voxels for x in measure_mask(scan, one).report.prediction.lesions] == [384, 144, 18]
    whole = MeasureMaskOptions(components=False)
    assert len(measure_mask(scan, one, whole).report.prediction.lesions) == 1


@pytest.mark.parametrize(
    ("affine", "change"),
    [
        *product(["identity", "mirrored", "moved"], [lambda _data: None, trim]),
        # trimmed as well, it is the same as a mask stored otherwise with other lesions
        ("mirrored in place", lambda _data: None),
    ],
)
def test_a_mask_saved_in_another_place_is_refused(
    made: tuple[Path, Path], affine: str, change: Callable[[NDArray[np.uint8]], None]
) -> None:
    path = made[1] / "mask.nii.gz"
    image = nib.load(path)
    data = np.asarray(image.dataobj).astype(np.uint8)
    change(data)
    flip = np.diag([-1.0, 1, 1, 1])
    moved = image.affine.copy()
    moved[:3, 3] += (3.0, 0, 0)
    in_place = image.affine @ flip
    in_place[:3, 3] += image.affine[:3, 0] * (GRID.shape[0] - 1)
    matrix = {
        "identity": np.diag([1.0, 1, 1.5, 1]),
        "mirrored": np.diag([-1.0, 1, 1, 1]) @ image.affine
        + np.array([[0, 0, 0, 7.0]] + [[0] * 4] * 3),
        "moved": moved,
        "mirrored in place": in_place,
    }[affine]
    nib.save(nib.Nifti1Image(data, matrix), path)
    with pytest.raises(GridMismatch, match="elsewhere"):
        read_result(made[1])


@pytest.mark.parametrize("flips", [(0,), (1,), (2,), (0, 1, 2)])
def test_a_mask_stored_otherwise_is_turned(
    made: tuple[Path, Path], tmp_path: Path, flips: tuple[int, ...]
) -> None:
    scan, _ = made
    turned = GRID.permuted((0, 1, 2), tuple(axis in flips for axis in range(3)))  # type: ignore[arg-type]
    other = tmp_path / "turned.nii.gz"
    write_mask(Mask(data=np.flip(drawn(), flips), geometry=turned), other)
    here = measure_mask(scan, tmp_path / "drawn.nii.gz").report.prediction
    there = measure_mask(scan, other).report.prediction
    assert str(here.lesions) == str(there.lesions)


def test_the_command_prints_writes_and_refuses(made: tuple[Path, Path], tmp_path: Path) -> None:
    scan, _ = made
    arguments = ["measure", str(scan), str(tmp_path / "drawn.nii.gz")]
    shown = CliRunner().invoke(app, [*arguments, "--output", str(tmp_path / "out")])
    assert shown.exit_code == 0, shown.output
    assert "3 lesions, 819 mm³ in all" in shown.output
    assert {"lesions.csv", "report.json", "mask.nii.gz", "overlay.png"} <= {
        path.name for path in (tmp_path / "out").iterdir()
    }
    rows = list(csv.DictReader((tmp_path / "out" / "lesions.csv").read_text("utf-8").splitlines()))
    assert [row["peak_probability"] for row in rows] == ["", "", ""]
    machine = CliRunner().invoke(app, [*arguments, "--json"])
    assert json.loads(machine.stdout)["lesions"][0]["peak_probability"] is None


def test_what_a_reader_said_is_in_every_export(made: tuple[Path, Path], tmp_path: Path) -> None:
    _, folder = made
    lesions = json.loads((folder / "report.json").read_text())["lesions"]
    names = ["voxels", "volume_mm3", "diameter_in_plane_mm", "perpendicular_mm", "diameter_3d_mm"]
    head = (
        f"verdict,id,side,slice_index,peak_probability,mean_probability,{','.join(names)},"
        "centroid_x_ras_mm,centroid_y_ras_mm,centroid_z_ras_mm,label,comment,notice"
    )
    lines = [head]
    for lesion in lesions:
        x, y, z = lesion["centroid_ras_mm"]
        sizes = ",".join(str(lesion[name]) for name in names)
        said = "metastasis,seen on FLAIR" if lesion["id"] == 2 else ","
        lines.append(
            f"kept,{lesion['id']},{lesion['side']},{lesion['slice_index']},0.9,0.8,{sizes},"
            f"{x},{y},{z},{said},"
        )
    (folder / "lesions-reviewed.csv").write_text("\n".join(lines))
    shutil.copy(folder / "mask.nii.gz", folder / "mask-reviewed.nii.gz")
    (folder / "review.json").write_text('{"operating_point": {}}')
    result = read_result(folder)
    assert not result.edited
    assert result.readings == {2: ("metastasis", "seen on FLAIR")}
    written = export(folder, tmp_path / "out", ExportOptions(formats=("csv", "json")))
    rows = list(csv.DictReader(written.files["csv"].read_text("utf-8").splitlines()))
    assert [row["comment"] for row in rows] == ["", "seen on FLAIR", ""]
    assert [row["label"] for row in rows] == ["", "metastasis", ""]
    told = json.loads(written.files["json"].read_text())["lesions"]
    assert (told[1]["label"], told[1]["comment"]) == ("metastasis", "seen on FLAIR")
    assert facts_of(result.lesions[1], result).endswith("metastasis · seen on FLAIR")
