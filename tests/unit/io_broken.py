"""Broken inputs of every kind, each with the code it must be refused with."""

from __future__ import annotations

import gzip
import io
import os
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from PIL import Image

from tests.unit.io_files import JPEG_2000, head, nifti, nifti_bytes, write_dicom, zipped

__all__ = ["BROKEN", "DATA", "dicom_folder"]

Maker = Callable[[Path], Path]

DATA = np.random.default_rng(0).integers(0, 900, (12, 14, 10)).astype("<i2")


def _gz(folder: Path, content: bytes | bytearray, name: str = "a.nii.gz") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def _packed() -> bytes:
    return gzip.compress(bytes(nifti_bytes(DATA)), mtime=0)


def _flipped(folder: Path, at: int) -> Path:
    content = bytearray(_packed())
    content[at] ^= 0xFF
    return _gz(folder, content)


def _header_only(folder: Path, name: str, offset: int, code: str, *values: float) -> Path:
    raw = nifti_bytes(DATA)
    struct.pack_into(code, raw, offset, *values)
    return _gz(folder, gzip.compress(bytes(raw)) if name.endswith("gz") else raw, name)


def _huge(folder: Path) -> Path:
    """A 100 GB header on a file of 2 kB."""
    return _header_only(folder, "a.nii", 40, "<8h", 3, 3000, 3000, 6000, 1, 1, 1, 1)


def _bomb(folder: Path) -> Path:
    """50 kB that hold 520 MB of zeros, within the limit on voxels."""
    raw = nifti_bytes(np.zeros((4, 4, 4), "<f4"))
    struct.pack_into("<8h", raw, 40, 3, 512, 512, 500, 1, 1, 1, 1)
    return _gz(folder, gzip.compress(bytes(raw)) + 63 * gzip.compress(bytes(2**23)))


def _going_on(folder: Path) -> Path:
    return _gz(folder, gzip.compress(bytes(nifti_bytes(DATA)) + bytes(2**22)))


def _nan(folder: Path) -> Path:
    data = DATA.astype("<f4")
    data[3, 4, 5] = np.nan
    return nifti(folder / "a.nii.gz", data)


def dicom_folder(folder: Path, **options: Any) -> Path:
    write_dicom(folder / "s", head(), **options)
    return folder / "s"


def _tilted(folder: Path) -> Path:
    changes = {
        k: {"ImagePositionPatient": [-97.0, -118.0 + 2.0 * k, -85.0 + 9.0 * k]} for k in range(20)
    }
    return dicom_folder(folder, changes=changes)


def _cut_pixels(folder: Path) -> Path:
    path = dicom_folder(folder)
    victim = sorted(path.rglob("x*"))[4]
    victim.write_bytes(victim.read_bytes()[:-200])
    return path


def _garbled_frame(folder: Path) -> Path:
    path = dicom_folder(folder, syntax=JPEG_2000)
    victim = sorted(path.rglob("x*"))[4]
    content = bytearray(victim.read_bytes())
    at = content.index(b"\xff\x4f\xff\x51")
    content[at + 60 :] = bytes(len(content) - at - 60)
    victim.write_bytes(content)
    return path


def _cut_header(folder: Path) -> Path:
    path = dicom_folder(folder)
    victim = sorted(path.rglob("x*"))[4]
    victim.write_bytes(victim.read_bytes()[:300])
    return path


def _ct(folder: Path) -> Path:
    return dicom_folder(folder, SOPClassUID=pydicom.uid.CTImageStorage, Modality="CT")


def _colour_dicom(folder: Path) -> Path:
    return dicom_folder(folder, PhotometricInterpretation="RGB", SamplesPerPixel=3)


def _two_series(folder: Path) -> Path:
    write_dicom(folder / "s/a", head())
    write_dicom(folder / "s/b", head())
    return folder / "s"


def _picture(mode: str = "L", size: tuple[int, int] = (40, 30)) -> bytes:
    buffer = io.BytesIO()
    noise = np.random.default_rng(1).integers(0, 255, (size[1], size[0]), dtype=np.uint8)
    Image.fromarray(noise).convert(mode).save(buffer, format="PNG")
    return buffer.getvalue()


def _cut_picture(folder: Path) -> Path:
    return _gz(folder, _picture()[:-400], "slice.png")


def _resized_picture(size: int) -> bytes:
    """A small PNG whose header speaks of `size` × `size` colour pixels."""
    content = bytearray(_picture("RGB"))
    struct.pack_into(">2I", content, 16, size, size)
    struct.pack_into(">I", content, 29, zlib.crc32(content[12:29]))
    return bytes(content)


def _half_tiff(folder: Path) -> Path:
    Image.fromarray(np.arange(96 * 40, dtype="<u2").reshape(96, 40)).save(folder / "a.tif")
    content = bytearray((folder / "a.tif").read_bytes())
    at = content.index(struct.pack("<2H2I", 257, 4, 1, 96))  # ImageLength
    struct.pack_into("<I", content, at + 8, 192)
    (folder / "a.tif").write_bytes(content)
    return folder / "a.tif"


def _two_sizes(folder: Path) -> Path:
    files = {"1.png": _picture(), "2.png": _picture(size=(20, 30))}
    return zipped(folder / "s.zip", files)


def _float_tiff(folder: Path) -> Path:
    pixels = np.ones((30, 40), np.float32)
    pixels[2, 2] = np.inf
    Image.fromarray(pixels).save(folder / "a.tif")
    return folder / "a.tif"


def _zip(folder: Path, files: dict[str, bytes], **options: Any) -> Path:
    return zipped(folder / "a.zip", files, **options)


def _damaged_zip(folder: Path) -> Path:
    path = _zip(folder, {"a.nii": bytes(nifti_bytes(DATA))}, compression=zipfile.ZIP_STORED)
    content = bytearray(path.read_bytes())
    content[1500] ^= 0xFF
    path.write_bytes(content)
    return path


def _cut_zip(folder: Path) -> Path:
    path = _zip(folder, {"a.nii": bytes(nifti_bytes(DATA))})
    path.write_bytes(path.read_bytes()[:-60])
    return path


def _linked_zip(folder: Path) -> Path:
    info = zipfile.ZipInfo("a.nii")
    info.external_attr = 0o120777 << 16
    with zipfile.ZipFile(folder / "a.zip", "w") as archive:
        archive.writestr(info, "/etc/passwd")
    return folder / "a.zip"


def _encrypted_zip(folder: Path) -> Path:
    path = _zip(folder, {"a.nii": b"secret"})
    content = bytearray(path.read_bytes())
    content[6] |= 1
    content[content.rindex(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    return path


def _overlapping_zip(folder: Path) -> Path:
    """Two entries of the table of contents that share one member's bytes."""
    path = _zip(folder, {"a.nii": bytes(nifti_bytes(DATA))})
    content = path.read_bytes()
    start = content.rindex(b"PK\x01\x02")
    end = content.rindex(b"PK\x05\x06")
    entry, tail = content[start:end], bytearray(content[end:])
    struct.pack_into("<2H", tail, 8, 2, 2)
    struct.pack_into("<I", tail, 12, 2 * len(entry))
    path.write_bytes(content[:start] + entry * 2 + tail)
    return path


def _bzip(folder: Path) -> Path:
    return _zip(folder, {"a.nii": bytes(nifti_bytes(DATA))}, compression=zipfile.ZIP_BZIP2)


def _zip_bomb(folder: Path) -> Path:
    """4 kB that declare 500 MB."""
    path = _zip(folder, {"a.nii": bytes(2**22)})
    content = bytearray(path.read_bytes())
    struct.pack_into("<I", content, content.rindex(b"PK\x01\x02") + 24, 500_000_000)
    path.write_bytes(content)
    return path


def _empty_folder(folder: Path) -> Path:
    (folder / "s").mkdir()
    return folder / "s"


def _loose(folder: Path, name: str, content: bytes) -> Path:
    return _gz(folder, content, name)


def _mirrored(folder: Path) -> Path:
    raw = nifti_bytes(DATA, np.diag([-2.0, -2.0, 2.0, 1.0]), qform_code=1, sform_code=1)
    struct.pack_into("<4f", raw, 280, 2.0, 0, 0, 0)  # sform's first axis now points right
    return _gz(folder, raw, "a.nii")


def _pair(folder: Path) -> Path:
    raw = nifti_bytes(DATA)
    raw[344:348] = b"ni1\0"
    return _gz(folder, raw[:348], "a.hdr")


def _analyze(folder: Path) -> Path:
    raw = nifti_bytes(DATA)
    raw[344:348] = bytes(4)
    return _gz(folder, raw[:348], "a.hdr")


def _pipe(folder: Path) -> Path:
    os.mkfifo(folder / "a.nii.gz")
    return folder / "a.nii.gz"


def _dangling(folder: Path) -> Path:
    (folder / "a.nii.gz").symlink_to(folder / "absent")
    return folder / "a.nii.gz"


def _constant_picture(folder: Path) -> Path:
    Image.new("L", (40, 30), 0).save(folder / "a.png")
    return folder / "a.png"


def _duplicated(folder: Path) -> Path:
    path = dicom_folder(folder)
    data = pydicom.dcmread(sorted(path.rglob("x*"))[4])
    data.SOPInstanceUID = pydicom.uid.generate_uid()  # another image: a mere copy is read once
    data.save_as(path / "copy")
    return path


BROKEN: dict[str, tuple[str, Maker]] = {
    "nothing there": ("E_FILE_MISSING", lambda d: d / "absent.nii.gz"),
    "a pipe": ("E_FILE_MISSING", _pipe),
    "a dangling link": ("E_FILE_MISSING", _dangling),
    "text": ("E_FORMAT", lambda d: _loose(d, "notes.txt", b"patient was well\n" * 40)),
    "an empty file": ("E_FORMAT", lambda d: _loose(d, "image", b"")),
    "random bytes": ("E_FORMAT", lambda d: _loose(d, "image", DATA.tobytes()[::-1])),
    "a zip in a zip": ("E_FORMAT", lambda d: _zip(d, {"b.zip": _zip(d, {"a": b"1"}).read_bytes()})),
    "a folder of text": ("E_FORMAT", lambda d: _zip(d, {"a.txt": b"a" * 99, "b.txt": b"b" * 99})),
    "text named .nii.gz": ("E_NOT_NIFTI", lambda d: _loose(d, "a.nii.gz", b"not an image\n" * 40)),
    "gzipped text": ("E_NOT_NIFTI", lambda d: _gz(d, gzip.compress(b"not an image\n" * 40))),
    "an empty .nii": ("E_NOT_NIFTI", lambda d: _loose(d, "a.nii", b"")),
    "a .hdr of a pair": ("E_NOT_NIFTI", _pair),
    "an Analyze header": ("E_NOT_NIFTI", _analyze),
    "voxels before the header": ("E_NOT_NIFTI", lambda d: _header_only(d, "a.nii", 108, "<f", 9)),
    "voxels at NaN": ("E_NOT_NIFTI", lambda d: _header_only(d, "a.nii", 108, "<f", np.nan)),
    "dim[0] of 0": ("E_NOT_NIFTI", lambda d: _header_only(d, "a.nii.gz", 40, "<h", 0)),
    "truncated gzip": ("E_TRUNCATED", lambda d: _gz(d, _packed()[:-300])),
    "gzip without its CRC": ("E_TRUNCATED", lambda d: _gz(d, _packed()[:-8])),
    "gzip cut in its header": ("E_TRUNCATED", lambda d: _gz(d, _packed()[:9])),
    "truncated .nii": ("E_TRUNCATED", lambda d: _gz(d, nifti_bytes(DATA)[:-1], "a.nii")),
    "bad CRC": ("E_CHECKSUM", lambda d: _flipped(d, -7)),
    "bad length": ("E_CHECKSUM", lambda d: _flipped(d, -2)),
    "a flipped byte": ("E_CHECKSUM", lambda d: _flipped(d, -900)),
    "bytes after the gzip": ("E_CHECKSUM", lambda d: _gz(d, _packed() + b"tail")),
    "damaged zip member": ("E_CHECKSUM", _damaged_zip),
    "100 GB header": ("E_TOO_LARGE", _huge),
    "a picture of 144 megapixels": (
        "E_TOO_LARGE",
        lambda d: _loose(d, "slice.png", _resized_picture(12_000)),
    ),
    "picture bomb": ("E_BOMB", lambda d: _loose(d, "a.png", _resized_picture(8_000))),
    "gzip bomb": ("E_BOMB", _bomb),
    "gzip that goes on": ("E_BOMB", _going_on),
    "zip bomb": ("E_BOMB", _zip_bomb),
    "4-D": ("E_DIMENSIONS", lambda d: nifti(d / "a.nii.gz", np.ones((9, 9, 9, 3), "<i2"))),
    "negative size": ("E_DIMENSIONS", lambda d: _header_only(d, "a.nii", 42, "<h", -12)),
    "one slice": ("E_ONE_SLICE", lambda d: nifti(d / "a.nii.gz", DATA[:, :, :1])),
    "2-D": ("E_ONE_SLICE", lambda d: nifti(d / "a.nii.gz", DATA[:, :, 0])),
    "one DICOM file": ("E_ONE_SLICE", lambda d: write_dicom(d / "s", head())[0]),
    "NaN voxels": ("E_NONFINITE", _nan),
    "beyond 32 bits": ("E_NONFINITE", lambda d: nifti(d / "a.nii", DATA.astype("<f8") * 1e40)),
    "infinite TIFF": ("E_NONFINITE", _float_tiff),
    "constant": ("E_CONSTANT", lambda d: nifti(d / "a.nii.gz", np.full((9, 9, 9), 7, "<i2"))),
    "black slice": ("E_CONSTANT", _constant_picture),
    "singular affine": ("E_AFFINE", lambda d: _header_only(d, "a.nii", 280, "<4f", 0, 0, 0, 0)),
    "affine of NaN": ("E_AFFINE", lambda d: _header_only(d, "a.nii", 280, "<f", np.nan)),
    "no orientation": (
        "E_NO_ORIENTATION",
        lambda d: nifti(d / "a.nii.gz", DATA, qform_code=0, sform_code=0),
    ),
    "mirrored orientations": ("E_NO_ORIENTATION", _mirrored),
    "voxels in micrometres": (
        "E_SPACING",
        lambda d: nifti(d / "a.nii.gz", DATA, np.diag([900.0, 900.0, 900.0, 1])),
    ),
    "complex": ("E_VOXEL_TYPE", lambda d: nifti(d / "a.nii.gz", DATA.astype("<c8"))),
    "RGB": (
        "E_VOXEL_TYPE",
        lambda d: nifti(d / "a.nii", np.zeros((9, 9, 9), [("R", "u1"), ("G", "u1"), ("B", "u1")])),
    ),
    "unknown type": ("E_VOXEL_TYPE", lambda d: _header_only(d, "a.nii", 70, "<h", 77)),
    "colour DICOM": ("E_VOXEL_TYPE", _colour_dicom),
    "zip cut short": ("E_ARCHIVE", _cut_zip),
    "zip in bzip2": ("E_ARCHIVE", _bzip),
    "empty zip": ("E_ARCHIVE_EMPTY", lambda d: _zip(d, {})),
    "zip of folders": ("E_ARCHIVE_EMPTY", lambda d: _zip(d, {"a/": b"", "a/b/": b""})),
    "empty folder": ("E_ARCHIVE_EMPTY", _empty_folder),
    "absolute name": ("E_ARCHIVE_UNSAFE", lambda d: _zip(d, {"/srv/a.nii": b"1"})),
    "drive letter": ("E_ARCHIVE_UNSAFE", lambda d: _zip(d, {"C:\\a.nii": b"1"})),
    "outside the folder": ("E_ARCHIVE_UNSAFE", lambda d: _zip(d, {"a/../../b.nii": b"1"})),
    "symbolic link": ("E_ARCHIVE_UNSAFE", _linked_zip),
    "encrypted": ("E_ARCHIVE_UNSAFE", _encrypted_zip),
    "overlapping members": ("E_ARCHIVE_UNSAFE", _overlapping_zip),
    "CT": ("E_DICOM_NONE", _ct),
    "DICOM without position": (
        "E_DICOM_HEADER",
        lambda d: dicom_folder(d, ImagePositionPatient=None),
    ),
    "DICOM without spacing": ("E_DICOM_HEADER", lambda d: dicom_folder(d, PixelSpacing=None)),
    "DICOM with letters": (
        "E_DICOM_HEADER",
        lambda d: dicom_folder(d, ImageOrientationPatient=[0, 0, 0, 0, 0, 0]),
    ),
    "DICOM header cut": ("E_DICOM_HEADER", _cut_header),
    "DICOM pixels cut": ("E_DICOM_PIXELS", _cut_pixels),
    "DICOM frame garbled": ("E_DICOM_PIXELS", _garbled_frame),
    "two series": ("E_SERIES_CHOICE", _two_series),
    "mixed sizes": (
        "E_SLICES_MIXED",
        lambda d: dicom_folder(d, changes={4: {"Rows": 30, "Columns": 64}}),
    ),
    "mixed orientations": (
        "E_SLICES_MIXED",
        lambda d: dicom_folder(d, changes={4: {"ImageOrientationPatient": [1, 0, 0, 0, 0, 1]}}),
    ),
    "mixed spacings": (
        "E_SLICES_MIXED",
        lambda d: dicom_folder(d, changes={4: {"PixelSpacing": [1, 1]}}),
    ),
    "uneven slices": (
        "E_SLICES_MIXED",
        lambda d: dicom_folder(d, changes={4: {"ImagePositionPatient": [-97.0, -118.0, -46.0]}}),
    ),
    "pictures of two sizes": ("E_SLICES_MIXED", _two_sizes),
    "missing slice": ("E_SLICES_MISSING", lambda d: dicom_folder(d, skip=(9,))),
    "missing slices": ("E_SLICES_MISSING", lambda d: dicom_folder(d, skip=(5, 9, 10))),
    "duplicate slice": ("E_SLICES_DUPLICATE", _duplicated),
    "gantry tilt": ("E_GANTRY_TILT", _tilted),
    "picture cut short": ("E_IMAGE", _cut_picture),
    "picture of garbage": ("E_IMAGE", lambda d: _loose(d, "a.png", _picture()[:8] + b"x" * 400)),
    "TIFF of garbage": ("E_IMAGE", lambda d: _loose(d, "a.tif", b"II*\0" + b"\xff" * 400)),
    "TIFF without all its rows": ("E_IMAGE", _half_tiff),
    "JPEG of garbage": ("E_IMAGE", lambda d: _loose(d, "a.jpg", b"\xff\xd8\xff" + b"\x00" * 400)),
}
