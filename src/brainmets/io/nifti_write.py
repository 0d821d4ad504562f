"""Writing NIfTI on a given grid, so that what leaves is exactly what was meant.

The file is made beside its destination, read back, compared, and only then renamed: a mirrored,
shifted or half-written output cannot appear under the final name.
"""

from __future__ import annotations

import errno
import math
import os
import secrets
import struct
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

import numpy as np

from brainmets.domain.errors import DiskFull, InputError, OptionError, OutputDiffers, OutputExists
from brainmets.domain.prediction import RESEARCH_USE_ONLY
from brainmets.io.entries import file_entry
from brainmets.io.limits import Limits
from brainmets.io.nifti import read_nifti

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from numpy.typing import NDArray

    from brainmets.domain.geometry import Geometry
    from brainmets.domain.volume import Mask, Volume

__all__ = ["Encoding", "write_atomically", "write_mask", "write_volume"]

Encoding = Literal["float32", "uint8"]
"""How a probability is stored: as it is, or in 256 steps of 1/255 with the scale in the header."""

HEADER_BYTES = 348
VOXEL_OFFSET = 352
EXTENSION_COMMENT = 6
"""Code of an extension that holds plain text."""

DATATYPES = {"uint8": (2, 8), "uint16": (512, 16), "uint32": (768, 32), "float32": (16, 32)}
SCANNER_ANATOMICAL = 1
UNITS_MM_S = 2 | 8
ORTHOGONAL_WITHIN = 1e-4
"""Cosine between two axes below which a quaternion can hold them."""

SAME_GRID_MM = 1e-3
"""float32 keeps an offset of 500 mm to 3e-5 mm."""

GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
"""No name, no time, unknown system: the same content gives the same bytes everywhere."""

LEVEL_LABELS, LEVEL_GREY = 6, 1
"""Labels compress to nothing; noise does not, however long one tries."""

NO_LIMITS = Limits(
    max_voxels=2**40, max_volume_bytes=2**42, max_file_bytes=2**42, max_ratio=2**20,
    min_spacing_mm=0.0, max_spacing_mm=math.inf, min_slices=1,
)  # fmt: skip
"""What was accepted as input is accepted back."""


def write_mask(mask: Mask, path: Path, *, comment: str = "") -> Path:
    """Write labels as the smallest unsigned integer that holds them, on the mask's own grid.

    `path` ends in .nii or .nii.gz; an existing file is replaced at once or not at all.
    `comment` goes into a header extension, which readers that know none skip.

    Raises:
        OptionError: the name is not that of a NIfTI file.
        OutputExists, DiskFull: the folder does not take the file.
        OutputDiffers: the written file does not read back as the same labels in the same place.
    """
    highest = int(mask.data.max(initial=0))
    kind = "uint8" if highest < 2**8 else "uint16" if highest < 2**16 else "uint32"
    return _write(
        mask.data.astype(kind),
        mask.geometry,
        path,
        slope=1.0,
        level=LEVEL_LABELS,
        extension=_extension(comment),
    )


def write_volume(volume: Volume, path: Path, *, encoding: Encoding = "float32") -> Path:
    """Write grey values or probabilities on the volume's own grid; see `write_mask`.

    "uint8" takes values 0…1 and keeps them to 1/510 in a quarter of the bytes.

    Raises:
        OptionError: "uint8" for values outside 0…1, or the name is not that of a NIfTI file.
        OutputExists, DiskFull, OutputDiffers: as `write_mask`.
    """
    if encoding == "float32":
        return _write(volume.data, volume.geometry, path, slope=1.0, level=LEVEL_GREY)
    if float(volume.data.min(initial=0.0)) < 0 or float(volume.data.max(initial=0.0)) > 1:
        raise OptionError(
            "values outside 0 to 1 for an 8-bit probability",
            expected="probabilities",
            remedy='write them with encoding="float32"',
        )
    steps = np.rint(volume.data * 255).astype(np.uint8)
    return _write(steps, volume.geometry, path, slope=1 / 255, level=LEVEL_LABELS)


def _write(
    data: NDArray[np.generic],
    geometry: Geometry,
    path: Path,
    *,
    slope: float,
    level: int,
    extension: bytes = b"",
) -> Path:
    if not path.name.endswith((".nii", ".nii.gz")):
        raise OptionError(
            f"the output name {path.name}",
            expected="a name ending in .nii or .nii.gz",
            remedy="choose another name",
        )
    voxels = data.astype(data.dtype.newbyteorder("<"), copy=False).tobytes(order="F")
    content = _header(data.dtype.name, geometry, slope, extension) + voxels
    if path.name.endswith(".gz"):
        content = _gzipped(content, level)
    temporary = path.with_name(f".brainmets-{secrets.token_hex(8)}-{_suffix(path)}")
    with _landing(temporary, path):
        temporary.write_bytes(content)
        _compare(temporary, data, geometry, slope)
    return path


def write_atomically(path: Path, content: bytes) -> Path:
    """Write bytes under a temporary name beside `path`, then rename.

    Raises:
        OutputExists, DiskFull: the folder does not take the file.
    """
    temporary = path.with_name(f".brainmets-{secrets.token_hex(8)}")
    with _landing(temporary, path):
        temporary.write_bytes(content)
    return path


@contextmanager
def _landing(temporary: Path, path: Path) -> Generator[None, None, None]:
    """Rename `temporary` to `path` if the block succeeds; leave nothing behind if it does not."""
    try:
        yield
        temporary.replace(path)
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            raise DiskFull(
                f"no room for {path.name}",
                expected="free space in the output folder",
                remedy="free some space or choose another folder",
            ) from None
        raise OutputExists(
            f"{path.name} cannot be written ({os.strerror(error.errno or 0)})",
            expected="an existing folder that takes new files",
            remedy="choose another output folder",
        ) from None
    finally:
        temporary.unlink(missing_ok=True)


def _suffix(path: Path) -> str:
    return "mask.nii.gz" if path.name.endswith(".gz") else "mask.nii"


def _gzipped(content: bytes, level: int) -> bytes:
    deflate = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = deflate.compress(content) + deflate.flush()
    return GZIP_HEADER + body + struct.pack("<II", zlib.crc32(content), len(content) % 2**32)


def _compare(path: Path, data: NDArray[np.generic], geometry: Geometry, slope: float) -> None:
    """Read the file as any reader would and compare voxels and corners."""
    try:
        found = read_nifti(file_entry(path, path.name, NO_LIMITS), NO_LIMITS, min_slices=1)
        same = found.geometry.same_grid(geometry, tolerance_mm=SAME_GRID_MM) and bool(
            np.array_equal(found.data, data)
            if slope == 1
            else np.allclose(found.data, data.astype(np.float64) * slope, atol=slope / 1000)
        )
    except InputError:
        same = False
    if not same:
        raise OutputDiffers(
            "a file that does not read back as it was written",
            expected="the same voxels in the same place",
            remedy="try another disk; nothing was left behind",
        )


def _extension(comment: str) -> bytes:
    """Return a comment as a NIfTI-1 header extension, a multiple of 16 bytes with its frame."""
    if not comment:
        return b""
    text = comment.encode()
    size = 8 + len(text) + -(8 + len(text)) % 16
    return struct.pack("<2i", size, EXTENSION_COMMENT) + text.ljust(size - 8, b"\0")


def _header(dtype: str, geometry: Geometry, slope: float, extension: bytes = b"") -> bytes:
    code, bits = DATATYPES[dtype]
    affine = geometry.affine
    spacing = geometry.spacing_mm
    rotation = affine[:3, :3] / np.array(spacing)
    orthogonal = bool(np.abs(rotation.T @ rotation - np.eye(3)).max() < ORTHOGONAL_WITHIN)
    hand = -1.0 if np.linalg.det(rotation) < 0 else 1.0
    header = bytearray(VOXEL_OFFSET)
    struct.pack_into("<i", header, 0, HEADER_BYTES)
    struct.pack_into("<B", header, 38, ord("r"))  # "regular", which old readers look for
    struct.pack_into("<8h", header, 40, 3, *geometry.shape, 1, 1, 1, 1)
    struct.pack_into("<2h", header, 70, code, bits)
    struct.pack_into("<8f", header, 76, hand, *spacing, 0, 0, 0, 0)
    struct.pack_into("<3f", header, 108, VOXEL_OFFSET + len(extension), slope, 0.0)
    struct.pack_into("<B", header, 123, UNITS_MM_S)
    struct.pack_into("<80s", header, 148, RESEARCH_USE_ONLY.encode("ascii"))
    struct.pack_into("<2h", header, 252, SCANNER_ANATOMICAL * orthogonal, SCANNER_ANATOMICAL)
    if orthogonal:
        proper = rotation * np.array([1.0, 1.0, hand])
        struct.pack_into("<6f", header, 256, *_quaternion(proper), *affine[:3, 3])
    struct.pack_into("<12f", header, 280, *affine[:3].ravel())
    struct.pack_into("<4s", header, 344, b"n+1\0")
    header[HEADER_BYTES] = bool(extension)
    return bytes(header) + extension


def _quaternion(rotation: NDArray[np.float64]) -> tuple[float, float, float]:
    """Return b, c, d of the unit quaternion with a ≥ 0 (Shepperd 1978: the largest part first)."""
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = rotation.tolist()
    candidates = (
        (xx + yy + zz, (1 + xx + yy + zz, zy - yz, xz - zx, yx - xy)),
        (xx, (zy - yz, 1 + xx - yy - zz, yx + xy, xz + zx)),
        (yy, (xz - zx, yx + xy, 1 - xx + yy - zz, zy + yz)),
        (zz, (yx - xy, xz + zx, zy + yz, 1 - xx - yy + zz)),
    )
    parts = max(candidates)[1]
    norm = math.copysign(math.hypot(*parts), parts[0] if parts[0] != 0 else 1.0)
    return parts[1] / norm, parts[2] / norm, parts[3] / norm
