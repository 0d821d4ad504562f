"""Input files for tests, written by nibabel (NIfTI) and pydicom (DICOM)."""

from __future__ import annotations

import gzip
import zipfile
from typing import TYPE_CHECKING, Any

import imagecodecs
import nibabel
import numpy as np
from pydicom import Dataset
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    EnhancedMRImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    MRImageStorage,
    RLELossless,
    generate_uid,
)

from brainmets.domain import Geometry, HeadPhantom, Volume

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "BIG_ENDIAN",
    "IMPLICIT",
    "JPEG_2000",
    "JPEG_LS",
    "NATIVE",
    "PATIENT",
    "RLE",
    "head",
    "nifti",
    "nifti_bytes",
    "oblique_affine",
    "write_dicom",
    "write_enhanced",
    "zipped",
]

NATIVE, IMPLICIT, BIG_ENDIAN = ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian
RLE, JPEG_LS, JPEG_2000 = RLELossless, JPEGLSLossless, JPEG2000Lossless
PATIENT = "DOE^JANE"
LPS = np.diag([-1.0, -1.0, 1.0])


def head(shape: tuple[int, int, int] = (40, 48, 20), affine: np.ndarray | None = None) -> Volume:
    """A small phantom head of whole numbers up to a few hundred."""
    if affine is None:
        affine = np.diag([-5.0, -5.0, 9.0, 1.0])
        affine[:3, 3] = (97.0, 118.0, -85.0)
    volume, _ = HeadPhantom(noise=0.05).render(Geometry(shape=shape, affine=affine))
    return Volume(data=np.rint(volume.data), geometry=volume.geometry)


def oblique_affine(spacing: tuple[float, float, float] = (4.5, 5.0, 9.0)) -> np.ndarray:
    """A grid turned about two axes, right-handed like a DICOM stack."""
    a, b = np.deg2rad([17.0, -11.0])
    about_z = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    about_x = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    affine = np.eye(4)
    affine[:3, :3] = about_z @ about_x @ np.diag([-1.0, -1.0, 1.0]) @ np.diag(spacing)
    affine[:3, 3] = (80.0, 90.0, -70.0)
    return affine


def nifti_bytes(
    data: np.ndarray, affine: np.ndarray | None = None, *, version: int = 1, **fields: Any
) -> bytearray:
    """An uncompressed NIfTI; `fields` overwrite header fields after nibabel has set them."""
    kind = nibabel.Nifti1Image if version == 1 else nibabel.Nifti2Image
    grid = np.diag([-8.0, -8.0, 9.0, 1.0]) if affine is None else affine
    image = kind(data, grid, dtype=data.dtype)
    raw = bytearray(image.to_bytes())
    header = image.header.copy()
    header["vox_offset"] = header.sizeof_hdr + 4
    for name, value in fields.items():
        header[name] = value
    raw[: header.sizeof_hdr] = header.binaryblock
    return raw


def nifti(path: Path, data: np.ndarray, affine: np.ndarray | None = None, **fields: Any) -> Path:
    """Write `nifti_bytes`, gzipped where the name ends in .gz."""
    raw = bytes(nifti_bytes(data, affine, **fields))
    path.write_bytes(gzip.compress(raw) if path.name.endswith(".gz") else raw)
    return path


def write_dicom(
    folder: Path,
    volume: Volume,
    *,
    syntax: str = NATIVE,
    dtype: str = "<u2",
    slope: float = 1.0,
    intercept: float = 0.0,
    uid: str | None = None,
    number: int = 3,
    skip: tuple[int, ...] = (),
    shuffled: bool = True,
    changes: dict[int, dict[str, Any]] | None = None,
    **fields: Any,
) -> list[Path]:
    """Write `volume` (column, row, slice) as classic MR files under meaningless, nested names.

    `changes` overrides attributes of single slices, `fields` those of all; None deletes.
    """
    uid = uid or generate_uid()
    order = np.random.default_rng(7).permutation(volume.data.shape[2])
    paths: list[Path] = []
    for k in range(volume.data.shape[2]):
        if k in skip:
            continue
        data = _slice(volume, k, uid, number, syntax)
        stored = np.rint((volume.data[:, :, k].T - intercept) / slope).astype(dtype)
        _set_pixels(data, stored, syntax)
        data.RescaleSlope, data.RescaleIntercept = str(slope), str(intercept)
        for name, value in {**fields, **(changes or {}).get(k, {})}.items():
            if value is None:
                delattr(data, name)
            else:
                setattr(data, name, value)
        place = int(order[k]) if shuffled else k
        path = folder / f"d{place % 3}" / f"x{place:03d}"
        path.parent.mkdir(parents=True, exist_ok=True)
        data.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


def write_enhanced(path: Path, volume: Volume, *, syntax: str = NATIVE, echoes: int = 1) -> Path:
    """Write `volume` as one enhanced multi-frame MR file, frames shuffled, each echo a volume."""
    data = _plain(EnhancedMRImageStorage, generate_uid(), 4, syntax)
    columns, rows, slices = volume.data.shape
    frames = [(k, echo) for echo in range(echoes) for k in range(slices)]
    frames = [frames[n] for n in np.random.default_rng(3).permutation(len(frames))]
    axes, origin, spacing = _lps(volume)
    shared = Dataset()
    measures, orientation = Dataset(), Dataset()
    measures.PixelSpacing = [spacing[1], spacing[0]]
    measures.SliceThickness = spacing[2]
    orientation.ImageOrientationPatient = [*axes[0], *axes[1]]
    shared.PixelMeasuresSequence = [measures]
    shared.PlaneOrientationSequence = [orientation]
    data.SharedFunctionalGroupsSequence = [shared]
    groups: list[Dataset] = []
    for k, echo in frames:
        group, position, transform, timing = Dataset(), Dataset(), Dataset(), Dataset()
        position.ImagePositionPatient = list(origin + k * axes[2] * spacing[2])
        transform.RescaleSlope, transform.RescaleIntercept = "2", "-10"
        timing.EffectiveEchoTime = 10.0 + 80.0 * echo
        group.PlanePositionSequence = [position]
        group.PixelValueTransformationSequence = [transform]
        group.MREchoSequence = [timing]
        groups.append(group)
    data.PerFrameFunctionalGroupsSequence = groups
    data.NumberOfFrames = len(frames)
    stored = np.stack([np.rint((volume.data[:, :, k].T + 10) / 2) + echo for k, echo in frames])
    _set_pixels(data, stored.astype("<u2"), syntax)
    data.Rows, data.Columns = rows, columns
    data.save_as(path, enforce_file_format=True)
    return path


def zipped(path: Path, files: dict[str, bytes] | list[Path], **options: Any) -> Path:
    """A zip of named contents, or of files under their base names."""
    contents = files if isinstance(files, dict) else {one.name: one.read_bytes() for one in files}
    with zipfile.ZipFile(path, "w", **{"compression": zipfile.ZIP_DEFLATED, **options}) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return path


def _lps(volume: Volume) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    matrix = LPS @ volume.geometry.affine[:3, :3]
    spacing = np.linalg.norm(matrix, axis=0)
    return (matrix / spacing).T, LPS @ volume.geometry.affine[:3, 3], spacing


def _plain(storage: str, uid: str, number: int, syntax: str) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = storage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = syntax if syntax in {NATIVE, IMPLICIT, BIG_ENDIAN} else NATIVE
    data = FileDataset(
        "",
        {},
        file_meta=meta,
        preamble=b"\0" * 128,
        is_implicit_VR=syntax == IMPLICIT,
        is_little_endian=syntax != BIG_ENDIAN,
    )
    data.SOPClassUID, data.SOPInstanceUID = storage, meta.MediaStorageSOPInstanceUID
    data.SeriesInstanceUID, data.SeriesNumber = uid, number
    data.Modality, data.PatientName, data.PatientID = "MR", PATIENT, "4711"
    data.SeriesDescription = f"AX T1 POST {PATIENT}"
    data.ImageType = ["ORIGINAL", "PRIMARY", "M", "NONE"]
    data.FrameOfReferenceUID = "1.2.826.0.1.3680043.8.498.1"
    data.StudyInstanceUID = "1.2.826.0.1.3680043.8.498.2"
    data.InstanceNumber = 1  # the same everywhere: it must not matter
    return data


def _slice(volume: Volume, k: int, uid: str, number: int, syntax: str) -> FileDataset:
    data = _plain(MRImageStorage, uid, number, syntax)
    axes, origin, spacing = _lps(volume)
    data.ImageOrientationPatient = [f"{c:.9g}" for c in (*axes[0], *axes[1])]
    data.ImagePositionPatient = [f"{c:.9g}" for c in origin + k * axes[2] * spacing[2]]
    data.PixelSpacing = [f"{spacing[1]:.9g}", f"{spacing[0]:.9g}"]
    data.SliceThickness = f"{spacing[2]:.9g}"
    data.RepetitionTime, data.EchoTime = "600", "12"
    return data


def _set_pixels(data: FileDataset, stored: np.ndarray, syntax: str) -> None:
    data.Rows, data.Columns = stored.shape[-2:]
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated = data.BitsStored = 8 * stored.dtype.itemsize
    data.HighBit = data.BitsStored - 1
    data.PixelRepresentation = int(stored.dtype.kind == "i")
    if syntax == BIG_ENDIAN:
        stored = stored.astype(stored.dtype.newbyteorder(">"))
    data.PixelData = stored.tobytes()
    data["PixelData"].VR = "OW" if stored.dtype.itemsize > 1 else "OB"
    if syntax in {RLE, JPEG_LS}:
        data.compress(syntax, generate_instance_uid=False)
    elif syntax == JPEG_2000:  # pydicom's own encoder asks for packages that nothing else needs
        frames = stored if data.get("NumberOfFrames") else stored[None]
        data.PixelData = encapsulate(
            [imagecodecs.jpeg2k_encode(one, codecformat="j2k", reversible=True) for one in frames]
        )
        data["PixelData"].is_undefined_length = True
        data.file_meta.TransferSyntaxUID = JPEG_2000
