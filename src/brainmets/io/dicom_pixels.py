"""Decoding DICOM pixels, compressed or not, without letting a hostile frame decide on memory."""

from __future__ import annotations

import hashlib
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np

from brainmets.domain.errors import DicomPixels, NonFinite, VoxelType
from brainmets.io.dicom_scan import guarded
from brainmets.io.encoded_size import encoded_size

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pydicom import Dataset

    from brainmets.io.dicom_stack import Stack
    from brainmets.io.entries import Entry

__all__ = ["decode_stack"]

TAGS = [
    "SamplesPerPixel", "PhotometricInterpretation", "Rows", "Columns", "BitsAllocated",
    "BitsStored", "HighBit", "PixelRepresentation", "NumberOfFrames", "PixelData",
    "PlanarConfiguration", "ExtendedOffsetTable", "ExtendedOffsetTableLengths",
]  # fmt: skip

PREFERRED_PLUGINS = ("pylibjpeg", "pyjpegls", "pydicom", "pillow")
"""Never GDCM: mutated files made it hang or take 5 GB."""

DEFLATED = "1.2.840.10008.1.2.1.99"
BIG_ENDIAN = "1.2.840.10008.1.2.2"


def decode_stack(stack: Stack) -> tuple[NDArray[np.float32], str]:
    """Return voxels (column, row, slice), rescaled, and the hash of the files they came from.

    The hash does not depend on names or order.

    Raises:
        DicomPixels: pixels are missing, cut short or cannot be decoded.
        VoxelType: the pixels are colours or single bits.
        NonFinite: rescaling gives values that are not finite.
    """
    first = stack.frames[0]
    planes = np.empty((len(stack.frames), first.rows, first.columns), dtype=np.float32)
    digests: set[bytes] = set()
    open_entry: Entry | None = None
    reader: _Pixels | None = None
    for plane, frame in zip(planes, stack.frames, strict=True):
        if reader is None or frame.entry is not open_entry:
            content = frame.entry.read()
            digests.add(hashlib.sha256(content).digest())
            reader, open_entry = _Pixels(content, frame.entry.name), frame.entry
        pixels = reader.frame(frame.index)
        if pixels.shape != plane.shape:
            raise reader.fault
        plane[:] = pixels.astype(np.float64) * (frame.slope or 1.0) + frame.intercept
        if reader.inverted:
            np.negative(plane, out=plane)
    if not np.isfinite(planes).all():
        raise NonFinite(
            "rescaled DICOM pixels that are not finite",
            expected="finite voxels",
            remedy="export the series again",
        )
    if reader is not None and reader.inverted:
        planes -= planes.min()
    return planes.transpose(2, 1, 0), hashlib.sha256(b"".join(sorted(digests))).hexdigest()


class _Pixels:
    """The frames of one file."""

    def __init__(self, content: bytes, name: str) -> None:
        from pydicom import dcmread

        self.fault = DicomPixels(
            f"{name} has pixels that cannot be decoded",
            expected="complete pixel data in a standard transfer syntax",
            remedy="export the series again, uncompressed if need be",
        )
        with guarded(self.fault):
            self._data = dcmread(BytesIO(content), force=True, specific_tags=TAGS)
            self._check(name)
        self.inverted = str(self._data.PhotometricInterpretation).strip() == "MONOCHROME1"

    def frame(self, index: int) -> NDArray[np.integer]:
        """Return frame `index` as stored integers (row, column)."""
        with guarded(self.fault):
            if self._syntax.is_encapsulated:
                return self._compressed(index)
            return self._native(index)
        raise self.fault

    def _check(self, name: str) -> None:
        data: Any = self._data
        self._syntax = data.file_meta.get("TransferSyntaxUID") or _implied_syntax(data)
        colours = str(data.PhotometricInterpretation).strip()
        if int(data.get("SamplesPerPixel", 1)) != 1 or not colours.startswith("MONOCHROME"):
            raise VoxelType(
                f"{name} holds colours ({colours})",
                expected="grey-valued MR images",
                remedy="choose the original series",
            )
        if int(data.BitsAllocated) not in {8, 16, 32}:
            raise VoxelType(
                f"{name} has {int(data.BitsAllocated)} bits a pixel",
                expected="8, 16 or 32",
                remedy="choose the original series",
            )

    def _native(self, index: int) -> NDArray[np.integer]:
        data: Any = self._data
        allocated, rows, columns = int(data.BitsAllocated), int(data.Rows), int(data.Columns)
        sign = "i" if int(data.PixelRepresentation) else "u"
        order = ">" if str(self._syntax) == BIG_ENDIAN else "<"
        dtype = np.dtype(f"{order}{sign}{allocated // 8}")
        pixels = np.frombuffer(
            data.PixelData,
            dtype=dtype,
            count=rows * columns,
            offset=index * rows * columns * dtype.itemsize,
        ).reshape(rows, columns)
        stored = int(data.get("BitsStored", allocated))
        high = int(data.get("HighBit", stored - 1))
        if stored == allocated:
            return pixels
        # Old files keep overlays in the spare bits: shift them out, and the sign back in.
        return (pixels << (allocated - 1 - high)) >> (allocated - stored)

    def _compressed(self, index: int) -> NDArray[np.integer]:
        from pydicom.encaps import get_frame
        from pydicom.pixels.decoders.base import get_decoder

        data: Any = self._data
        offsets = data.get("ExtendedOffsetTable"), data.get("ExtendedOffsetTableLengths")
        encoded = get_frame(
            data.PixelData,
            index,
            number_of_frames=int(data.get("NumberOfFrames") or 1),
            extended_offsets=offsets if all(offsets) else None,
        )
        declared = encoded_size(encoded)
        if declared is not None and declared != (int(data.Rows), int(data.Columns)):
            raise self.fault
        decoder = get_decoder(self._syntax)
        plugins = [name for name in PREFERRED_PLUGINS if name in decoder.available_plugins]
        pixels, _ = decoder.as_array(data, index=index, raw=True, decoding_plugin=plugins[0])
        return pixels


def _implied_syntax(data: Dataset) -> Any:
    from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

    implicit, _ = data.original_encoding
    return ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
