"""Writing NIfTI on a given grid, so that what leaves is exactly what was meant.

The file is made next to its destination, read back, compared, and only then renamed: a mirrored,
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
from typing import TYPE_CHECKING, Any, Literal

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

    from brainmets.domain.geometry import Frames, Geometry
    from brainmets.domain.volume import Mask, Volume

__all__ = ["Encoding", "nifti_header_of", "write_atomically", "write_mask", "write_volume"]

Encoding = Literal["float32", "uint8"]
"""How a probability is stored: as it is, or in 256 steps of 1/255 with the scale in the header."""

VOXEL_OFFSET = 352
EXTENSION_COMMENT = 6
"""Code of an extension that holds plain text."""

SCANNER_ANATOMICAL = 1
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
        intent="label",
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
    intent: str = "",
) -> Path:
    if not path.name.endswith((".nii", ".nii.gz")):
        raise OptionError(
            f"the output name {path.name}",
            expected="a name ending in .nii or .nii.gz",
            remedy="choose another name",
        )
    voxels = data.astype(data.dtype.newbyteorder("<"), copy=False).tobytes(order="F")
    content = _header(data.dtype, geometry, slope, extension, intent) + voxels
    if path.name.endswith(".gz"):
        content = _gzipped(content, level)
    temporary = path.with_name(f".brainmets-{secrets.token_hex(8)}-{_suffix(path)}")
    with _landing(temporary, path):
        temporary.write_bytes(content)
        _compare(temporary, data, geometry, slope)
    return path


def nifti_header_of(dtype: np.dtype[Any], geometry: Geometry) -> bytes:
    """Return the 348 bytes of the header that `write_mask` and `write_volume` write."""
    return _header(dtype, geometry, 1.0)[:348]


def write_atomically(path: Path, content: bytes) -> Path:
    """Write bytes under a temporary name next to `path`, then rename.

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


def _header(
    dtype: np.dtype[np.generic],
    geometry: Geometry,
    slope: float,
    extension: bytes = b"",
    intent: str = "",
) -> bytes:
    """Return a NIfTI-1 header that places the grid as its image's header does."""
    from nibabel.nifti1 import Nifti1Header

    header: Any = Nifti1Header(endianness="<")
    header["regular"] = b"r"  # which old readers look for
    header["descrip"] = RESEARCH_USE_ONLY.encode("ascii")
    header.set_data_dtype(dtype)
    header.set_data_shape(geometry.shape)
    header["vox_offset"] = VOXEL_OFFSET + len(extension)
    header["scl_slope"], header["scl_inter"] = slope, 0.0
    if intent:
        header.set_intent(intent)
    if geometry.frames is not None:
        _copy_frames(header, geometry.frames)
    else:
        header.set_xyzt_units("mm", "sec")
        header.set_sform(geometry.affine, SCANNER_ANATOMICAL)
        header.set_qform(geometry.affine, SCANNER_ANATOMICAL * _is_orthogonal(geometry))
    return header.binaryblock + bytes([bool(extension), 0, 0, 0]) + extension


def _copy_frames(header: Any, frames: Frames) -> None:
    """Write both matrices and their codes as they were read."""
    header["qform_code"], header["sform_code"] = frames.qform_code, frames.sform_code
    header["pixdim"][:4] = frames.pixdim
    names = ("quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z")
    for name, value in zip(names, frames.quaternion, strict=True):
        header[name] = value
    for row, name in enumerate(("srow_x", "srow_y", "srow_z")):
        header[name] = frames.srows[4 * row : 4 * row + 4]
    header["xyzt_units"] = frames.units


def _is_orthogonal(geometry: Geometry) -> bool:
    """Whether a quaternion can hold the grid's axes."""
    rotation = geometry.affine[:3, :3] / np.array(geometry.spacing_mm)
    return bool(np.abs(rotation.T @ rotation - np.eye(3)).max() < ORTHOGONAL_WITHIN)
