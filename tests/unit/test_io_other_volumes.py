"""NRRD, MetaImage and MGH as other programs write them; what is not read is named."""

from __future__ import annotations

import gzip
import tarfile
from typing import TYPE_CHECKING, Any

import nibabel
import numpy as np
import pytest
import SimpleITK

from brainmets.domain.errors import (
    BrainmetsError,
    ChecksumMismatch,
    Dimensions,
    NoOrientation,
    NotNifti,
    Truncated,
    UnknownFormat,
    VoxelType,
)
from brainmets.io import list_series, read_case, read_mask
from tests.unit.io_files import head as phantom
from tests.unit.io_files import nifti, oblique_affine, write_dicom

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

VOXELS = np.rint(phantom().data).astype(np.int16)
LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def itk_image(data: np.ndarray, affine: np.ndarray) -> Any:
    """The image as ITK has it."""
    image = SimpleITK.GetImageFromArray(data.T)
    lps = LPS @ affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((lps[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    return image


def by_itk(path: Path, data: np.ndarray, *, compressed: bool = False) -> Path:
    SimpleITK.WriteImage(itk_image(data, oblique_affine()), str(path), compressed)
    return path


def by_nibabel(path: Path, data: np.ndarray) -> Path:
    nibabel.MGHImage(data, oblique_affine()).to_filename(path)  # pyright: ignore[reportPrivateImportUsage]
    return path


WRITERS: dict[str, Callable[[Path], Path]] = {
    **{
        f"{name} {dtype}{' compressed' * compressed}": lambda folder, name=name, dtype=dtype, compressed=compressed: by_itk(  # noqa: E501
            folder / f"a.{name}", VOXELS.astype(dtype), compressed=compressed
        )
        for name in ("nrrd", "mha")
        for dtype in ("u1", "i2", "u2", "i4", "f4", "f8")
        for compressed in (False, True)
    },
    **{
        f"{name} {dtype}": lambda folder, name=name, dtype=dtype: by_nibabel(
            folder / f"a.{name}", VOXELS.astype(dtype)
        )
        for name in ("mgh", "mgz")
        for dtype in ("u1", "i2", "i4", "f4")
    },
}  # fmt: skip


@pytest.mark.parametrize("name", WRITERS)
def test_read_as_other_programs_wrote_it(name: str, tmp_path: Path) -> None:
    path = WRITERS[name](tmp_path)
    case = read_case(path)
    assert np.array_equal(case.images["t1c"].data, VOXELS.astype(name.split()[1]).astype("f4"))
    assert np.allclose(case.geometry.affine, oblique_affine(), atol=1e-4)
    assert (
        case.source.format
        == {"nrr": "nrrd", "mha": "metaimage", "mgh": "mgh", "mgz": "mgh"}[name[:3]]
    )
    assert list_series(path)[0].shape == VOXELS.shape
    folder = tmp_path / "folder"
    folder.mkdir()
    path.rename(folder / path.name)
    (folder / "notes.txt").write_text("words")
    assert np.array_equal(read_case(folder).images["t1c"].data, case.images["t1c"].data)


def test_masks_are_read_too(tmp_path: Path) -> None:
    drawn = (VOXELS > 600).astype(np.uint8)
    mask = read_mask(by_itk(tmp_path / "a.nrrd", drawn, compressed=True))
    assert np.array_equal(mask.data, drawn)


def changed(path: Path, old: bytes, new: bytes) -> Path:
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new, 1))
    return path


def without_ras(path: Path) -> Path:
    content = bytearray(path.read_bytes())
    assert content[28:30] == b"\0\1"
    content[28:30] = b"\0\0"
    path.write_bytes(content)
    return path


def cut(path: Path, count: int) -> Path:
    path.write_bytes(path.read_bytes()[:-count])
    return path


def flipped(path: Path) -> Path:
    content = bytearray(path.read_bytes())
    content[-200] ^= 0xFF
    path.write_bytes(content)
    return path


BROKEN: dict[str, tuple[type[BrainmetsError], Callable[[Path], Path]]] = {
    "nrrd cut": (Truncated, lambda f: cut(by_itk(f / "a.nrrd", VOXELS), 100)),
    "nrrd cut, compressed": (
        Truncated, lambda f: cut(by_itk(f / "a.nrrd", VOXELS, compressed=True), 100),
    ),
    "nrrd bit": (
        ChecksumMismatch, lambda f: flipped(by_itk(f / "a.nrrd", VOXELS, compressed=True)),
    ),
    "mha cut": (Truncated, lambda f: cut(by_itk(f / "a.mha", VOXELS), 100)),
    "mha cut, compressed": (
        Truncated, lambda f: cut(by_itk(f / "a.mha", VOXELS, compressed=True), 100),
    ),
    "mha bit": (ChecksumMismatch, lambda f: flipped(by_itk(f / "a.mha", VOXELS, compressed=True))),
    "mgz cut": (Truncated, lambda f: cut(by_nibabel(f / "a.mgz", VOXELS.astype("f4")), 100)),
    "mhd pair": (UnknownFormat, lambda f: by_itk(f / "a.mhd", VOXELS)),
    "nhdr pair": (UnknownFormat, lambda f: by_itk(f / "a.nhdr", VOXELS)),
    "nrrd naming a file": (
        UnknownFormat,
        lambda f: changed(by_itk(f / "a.nrrd", VOXELS), b"endian:", b"data file: /etc/x\nendian:"),
    ),
    "mha naming a file": (
        UnknownFormat,
        lambda f: changed(by_itk(f / "a.mha", VOXELS), b"= LOCAL", b"= /etc/passwd"),
    ),
    "nrrd without space": (
        NoOrientation,
        lambda f: changed(by_itk(f / "a.nrrd", VOXELS), b"space: left-posterior-superior\n", b""),
    ),
    "mha without matrix": (
        NoOrientation,
        lambda f: changed(by_itk(f / "a.mha", VOXELS), b"TransformMatrix", b"Remark"),
    ),
    "mgh without RAS": (
        NoOrientation,
        lambda f: without_ras(by_nibabel(f / "a.mgh", VOXELS.astype("f4"))),
    ),
    "mha of 64-bit longs": (
        VoxelType, lambda f: changed(by_itk(f / "a.mha", VOXELS), b"MET_SHORT", b"MET_LONG"),
    ),
    "mgh of four volumes": (
        Dimensions, lambda f: by_nibabel(f / "a.mgh", np.stack([VOXELS] * 4, 3).astype("f4")),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_refused(name: str, tmp_path: Path) -> None:
    error, make = BROKEN[name]
    with pytest.raises(error):
        read_case(make(tmp_path))


def gzipped_dicom(folder: Path) -> Path:
    path = write_dicom(folder / "series", phantom())[0]
    (folder / "a.dcm.gz").write_bytes(gzip.compress(path.read_bytes()))
    return folder / "a.dcm.gz"


def tarred(folder: Path, name: str) -> Path:
    nifti(folder / "t1c.nii", VOXELS)
    with tarfile.open(folder / name, "w:gz" if name.endswith("gz") else "w") as archive:
        archive.add(folder / "t1c.nii", "t1c.nii")
    return folder / name


def gzipped(folder: Path, name: str, content: bytes) -> Path:
    (folder / name).write_bytes(gzip.compress(content))
    return folder / name


PNG, HDF = (b"\x89" + name + b"\r\n\x1a\n" + b"0" * 400 for name in (b"PNG", b"HDF"))

NAMED: dict[str, tuple[str, str, Callable[[Path], Path]]] = {
    ".dcm.gz": ("DICOM", "gunzip", gzipped_dicom),
    ".tar.gz": ("tar archive", "tar -xf", lambda f: tarred(f, "a.tar.gz")),
    ".tar": ("tar archive", "tar -xf", lambda f: tarred(f, "a.tar")),
    ".png.gz": ("png", "gunzip", lambda f: gzipped(f, "a.png.gz", PNG)),
    ".zip.gz": ("zip", "unpack", lambda f: gzipped(f, "a.gz", b"PK\x03\x04" + b"0" * 400)),
    "MINC": ("MINC", "mnc2nii", lambda f: gzipped(f, "a.mnc.gz", HDF)),
}  # fmt: skip


@pytest.mark.parametrize("name", NAMED)
def test_what_is_not_read_is_named_with_what_to_do(name: str, tmp_path: Path) -> None:
    what, remedy, make = NAMED[name]
    with pytest.raises(UnknownFormat, match=what) as refused:
        read_case(make(tmp_path))
    assert remedy in refused.value.remedy
    assert not isinstance(refused.value, NotNifti)


def test_a_nifti_beside_its_own_segmentation_is_read(tmp_path: Path) -> None:
    """The product's own DICOM-SEG, exported into the folder of the image."""
    nifti(tmp_path / "t1c.nii.gz", VOXELS, oblique_affine())
    first = write_dicom(tmp_path / "other", phantom())[0]
    seg = tmp_path / "lesions.dcm"
    from pydicom import dcmread

    data = dcmread(first)
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.66.4"
    data.Modality = "SEG"
    data.save_as(seg, enforce_file_format=True)
    for path in (tmp_path / "other").rglob("*"):
        if path.is_file():
            path.unlink()
    assert np.array_equal(read_case(tmp_path).images["t1c"].data, VOXELS)
    assert len(list_series(tmp_path)) == 1


def test_a_series_beside_a_nifti_is_still_read_as_dicom(tmp_path: Path) -> None:
    nifti(tmp_path / "t1c.nii.gz", VOXELS, oblique_affine())
    write_dicom(tmp_path / "series", phantom())
    assert read_case(tmp_path).source.format == "dicom"
