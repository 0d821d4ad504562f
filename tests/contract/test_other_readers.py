"""What is read lies where nibabel, SimpleITK and highdicom have it, voxel for voxel.

Both sides are compared by the map from our voxel indices to theirs: it must be a permutation of
axes with flips, leave no corner over 0.01 mm off, and bring equal values together. Where another
reader differs, DIFFERENCES says why we do not follow; each entry is held to differ indeed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import highdicom
import nibabel
import numpy as np
import pydicom
import pytest
import SimpleITK

from brainmets.io import read_case
from tests.unit.dicom_variants import VARIANTS, Variant, variant_head
from tests.unit.io_features import DICOM, NIFTI
from tests.unit.test_io_frames import HEADERS, scan
from tests.unit.test_io_other_volumes import WRITERS

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from brainmets.domain import Volume

WITHIN_MM = 0.01
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])

DIFFERENCES = {
    ("itk", "sform 2, qform 1, 12 degrees apart"): "ITK follows the qform; we say that they differ",
    ("itk", "sform 4, qform 1, shifted"): "ITK follows the qform; we say that they differ",
    ("itk", "NIfTI-2"): "ITK reads no NIfTI-2",
    ("nibabel", "voxel offset of 0"): "nibabel takes the header for voxels; they begin after it",
    ("itk", "voxel offset of 0"): "as nibabel",
    ("itk", "enhanced multi-frame MR"): "GDCM keeps the stored order of frames; we sort by place",
    ("itk", "enhanced multi-frame MR, JPEG 2000"): "as above",
    ("highdicom", "series UID of its own for every slice"): "it takes one series; we join them",
}


def apart(ours: Volume, data: NDArray[Any], ras: NDArray[np.float64]) -> str:
    """Say how another reader's voxels and matrix differ; nothing where they agree."""
    there = np.linalg.inv(ras) @ ours.geometry.affine
    turn = np.rint(there)
    if not np.array_equal(np.abs(turn[:3, :3]).sum(axis=0), np.ones(3)):
        return f"axes {there[:3, :3].round(3).tolist()}"
    corners = np.array(np.meshgrid(*((0, n - 1) for n in ours.data.shape))).reshape(3, -1)
    corners = np.vstack((corners, np.ones((1, corners.shape[1]))))
    off = np.linalg.norm((ras @ (turn - there) @ corners)[:3], axis=0).max()
    if off > WITHIN_MM:
        return f"{off:.3f} mm"
    ijk = np.array(np.unravel_index(np.arange(ours.data.size), ours.data.shape))
    index = (turn[:3, :3] @ ijk + turn[:3, 3:]).astype(int)
    if index.min() < 0 or (index.max(axis=1) >= data.shape).any():
        return f"shape {data.shape}"
    found = np.asarray(data[tuple(index)], dtype=np.float32)
    return "" if np.allclose(found, ours.data.ravel(), rtol=1e-6, atol=1e-4) else "voxels"


def by_nibabel(path: Path) -> tuple[NDArray[Any], NDArray[np.float64]]:
    image: Any
    if path.suffix == ".mgh":  # which nibabel would leave open
        image = nibabel.MGHImage.from_bytes(path.read_bytes())  # pyright: ignore[reportPrivateImportUsage]
    else:
        image = nibabel.load(path)  # pyright: ignore[reportPrivateImportUsage]
    return np.asarray(image.dataobj), image.affine


def by_itk(path: Path) -> tuple[NDArray[Any], NDArray[np.float64]]:
    if path.is_dir():  # GDCM's own search does not enter folders
        return _series_by_itk([one for one in path.rglob("*") if one.is_file()])
    return _by_itk(SimpleITK.ReadImage(str(path)))


def _series_by_itk(files: list[Path]) -> tuple[NDArray[Any], NDArray[np.float64]]:
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(sorted(map(str, files), key=_height))
    return _by_itk(reader.Execute())


def _by_itk(image: Any) -> tuple[NDArray[Any], NDArray[np.float64]]:
    affine = np.eye(4)
    direction = np.array(image.GetDirection()).reshape(3, 3)
    affine[:3, :3] = direction * np.array(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    return SimpleITK.GetArrayFromImage(image).T, LPS_TO_RAS @ affine


def _height(path: str) -> float:
    data: Any = pydicom.dcmread(path, stop_before_pixels=True)
    axes = np.array(data.ImageOrientationPatient, dtype=float)
    return float(np.cross(axes[:3], axes[3:]) @ np.array(data.ImagePositionPatient, dtype=float))


def by_highdicom(path: Path) -> tuple[NDArray[Any], NDArray[np.float64]]:
    if path.is_dir():
        files = [pydicom.dcmread(one) for one in path.rglob("*") if one.is_file()]
        volume: Any = highdicom.get_volume_from_series(files)
    else:
        volume = highdicom.imread(path).get_volume()
    return volume.array, LPS_TO_RAS @ volume.affine


def check(name: str, reader: str, path: Path) -> None:
    ours = read_case(path).images["t1c"]
    readers = {"nibabel": by_nibabel, "itk": by_itk, "highdicom": by_highdicom}
    try:
        found = apart(ours, *readers[reader](path))
    except RuntimeError:
        found = "refused"
    assert bool(found) == ((reader, name) in DIFFERENCES), found


@pytest.mark.parametrize("reader", ["nibabel", "itk"])
@pytest.mark.parametrize("name", NIFTI)
def test_nifti(name: str, reader: str, tmp_path: Path) -> None:
    check(name, reader, NIFTI[name](tmp_path))


@pytest.mark.parametrize("reader", ["nibabel", "itk"])
@pytest.mark.parametrize("name", [n for n in HEADERS if "sheared" not in n])
def test_matrices(name: str, reader: str, tmp_path: Path) -> None:
    check(f"{name}", reader, scan(tmp_path / "a.nii", **HEADERS[name]))  # pyright: ignore[reportArgumentType]


def test_a_sheared_grid_as_nibabel_has_it(tmp_path: Path) -> None:
    """ITK has no sheared grids and refuses such a header."""
    path = scan(tmp_path / "a.nii", **HEADERS["only sform, sheared"])  # pyright: ignore[reportArgumentType]
    assert not apart(read_case(path).images["t1c"], *by_nibabel(path))
    with pytest.raises(RuntimeError):
        SimpleITK.ReadImage(str(path))


@pytest.mark.parametrize("name", WRITERS)
def test_other_volumes(name: str, tmp_path: Path) -> None:
    path = WRITERS[name](tmp_path)
    reader = by_nibabel if name.startswith("mg") else by_itk
    assert not apart(read_case(path).images["t1c"], *reader(path))


@pytest.mark.parametrize("reader", ["highdicom", "itk"])
@pytest.mark.parametrize("name", [n for n in DICOM if "zip" not in n and "echoes" not in n])
def test_dicom(name: str, reader: str, tmp_path: Path) -> None:
    check(name, reader, DICOM[name](tmp_path))


def slices_of(folder: Path) -> list[Path]:
    """The files of the head that every variant holds, found by pydicom and the simplest rules."""
    head = variant_head().geometry.shape
    found: dict[str, Path] = {}
    for path in sorted(one for one in folder.rglob("*") if one.is_file()):
        try:
            data: Any = pydicom.dcmread(path)
        except pydicom.errors.InvalidDicomError:
            continue
        kind = [*data.get("ImageType", ()), "", "", ""]
        image = data.SOPClassUID == pydicom.uid.MRImageStorage and "PixelData" in data
        if not image or (data.Columns, data.Rows) != head[:2]:
            continue
        if kind[2].upper().startswith(("LOCALIZER", "PROJECTION", "MIP", "P")):
            continue
        if data.get("EchoNumbers", 1) == 1:
            found.setdefault(str(data.SOPInstanceUID), path)
    return list(found.values())


@pytest.mark.parametrize(
    "variant", [v for v in VARIANTS if not v.expected], ids=lambda v: v.feature
)
def test_folders_as_they_come(variant: Variant, tmp_path: Path) -> None:
    folder = variant.make(tmp_path)
    ours = read_case(folder, series=variant.series).images["t1c"]
    files = slices_of(folder)
    assert len(files) == ours.data.shape[2]
    assert not apart(ours, *_series_by_itk(files))
    try:
        volume: Any = highdicom.get_volume_from_series([pydicom.dcmread(one) for one in files])
    except (ValueError, AttributeError):
        assert ("highdicom", variant.feature) in DIFFERENCES
        return
    assert ("highdicom", variant.feature) not in DIFFERENCES
    assert not apart(ours, volume.array, LPS_TO_RAS @ volume.affine)
