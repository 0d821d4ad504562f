"""A picture of an input that was refused, as far as its bytes go: to look at, never to compute."""

from __future__ import annotations

import struct
import zlib
from contextlib import suppress
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["draw_refused"]

MOST_BYTES = 2**28
"""Bytes of voxels to read at most: the middle slice of a large head."""

SIDE = 256
NIFTI_TYPES = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4"}


def draw_refused(path: Path) -> Image.Image | None:
    """Return the middle slice of what can be decoded, at most 256 pixels wide; None without any.

    Covered: one NIfTI file, one PNG, JPEG or TIFF, or the middle DICOM file of a folder. The
    reader's gates are passed by, so sizes are bounded here.
    """
    try:
        if path.is_dir():
            files = sorted(one for one in path.rglob("*") if one.is_file())
            plane = _dicom(files[len(files) // 2])
        elif path.name.lower().endswith((".nii", ".nii.gz")):
            plane = _nifti(path)
        elif path.suffix.lower() == ".dcm":
            plane = _dicom(path)
        else:
            with Image.open(path) as image:
                image.draft("L", (SIDE, SIDE))
                plane = np.asarray(image.convert("L"))
        return _picture(plane)
    except Exception:  # noqa: BLE001 - a refused input may break any decoder, and has no picture then
        return None


def _nifti(path: Path) -> NDArray[np.generic]:
    """The middle one of the slices that are there; a truncated file has its first ones."""
    with path.open("rb") as file:
        content = _unzipped(file) if file.read(2) == b"\x1f\x8b" else path.read_bytes()
    order = "<" if struct.unpack_from("<i", content)[0] == 348 else ">"
    _, x, y, z = struct.unpack_from(f"{order}4h", content, 40)
    (code,) = struct.unpack_from(f"{order}h", content, 70)
    (offset,) = struct.unpack_from(f"{order}f", content, 108)
    kind = np.dtype(order + NIFTI_TYPES[code])
    size = x * y * kind.itemsize
    slices = min(z, (len(content) - int(offset)) // size)
    start = int(offset) + slices // 2 * size
    plane = np.frombuffer(content[start : start + size], kind).reshape(y, x)
    return plane[::-1]


def _unzipped(file: BinaryIO) -> bytes:
    """Return what comes out before the stream ends or breaks."""
    file.seek(0)
    unzip, content = zlib.decompressobj(wbits=31), bytearray()
    with suppress(zlib.error):
        while len(content) < MOST_BYTES and not unzip.eof and (chunk := file.read(2**14)):
            content += unzip.decompress(chunk, MOST_BYTES)
    return bytes(content)


def _dicom(path: Path) -> NDArray[np.generic]:
    import pydicom

    pixels = pydicom.dcmread(path).pixel_array
    return pixels[len(pixels) // 2] if pixels.ndim == 3 else pixels


def _picture(plane: NDArray[np.generic]) -> Image.Image:
    values = np.nan_to_num(plane.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    low, high = np.percentile(values, (1, 99))
    grey = np.clip((values - low) / ((high - low) or 1.0), 0, 1) * 255
    image = Image.fromarray(grey.astype(np.uint8))
    image.thumbnail((SIDE, SIDE))
    return image
