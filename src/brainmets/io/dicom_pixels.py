"""Decoding DICOM pixels, compressed or not, without letting a hostile frame decide on memory."""

from __future__ import annotations

import hashlib
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np

from brainmets.domain.errors import DicomPixels, NonFinite, VoxelType
from brainmets.io.dicom_decoders import decoder_of, encoded_size, is_complete
from brainmets.io.guard import guarded

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from brainmets.io.dicom_scan import Frame
    from brainmets.io.dicom_stack import Stack

__all__ = ["decode_stack"]

TAGS = [
    "SamplesPerPixel", "PhotometricInterpretation", "Rows", "Columns", "BitsAllocated",
    "BitsStored", "HighBit", "PixelRepresentation", "NumberOfFrames", "PixelData",
    "PlanarConfiguration", "ExtendedOffsetTable", "ExtendedOffsetTableLengths",
]  # fmt: skip

INVERTED = "MONOCHROME1"


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
    reader: _File | None = None
    for number, frame in enumerate(stack.frames):
        if reader is None or reader.frame.entry is not frame.entry:
            reader = _File(frame)
            digests.add(hashlib.sha256(reader.content).digest())
        with guarded(reader.fault):
            planes[number] = reader.pixels(frame.index) * (frame.slope or 1.0) + frame.intercept
    if not np.isfinite(planes).all():
        raise NonFinite(
            "rescaled DICOM pixels that are not finite",
            expected="finite voxels",
            remedy="export the series again",
        )
    if first.pixels.photometric == INVERTED:
        np.subtract(planes.max(), planes, out=planes)
    return planes.transpose(2, 1, 0), hashlib.sha256(b"".join(sorted(digests))).hexdigest()


class _File:
    """One DICOM file's frames; `frame` is any of them and gives their layout."""

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self.fault = DicomPixels(
            f"{frame.entry.name} has pixels that cannot be decoded",
            expected="complete pixel data in a standard transfer syntax",
            remedy="export the series again, uncompressed if need be",
        )
        _check_layout(frame)
        self.content = frame.entry.read()
        self._data: Any = None

    def pixels(self, index: int) -> NDArray[np.float64]:
        """Return frame `index` as stored (row, column)."""
        found = self._decoded(index) if self.frame.pixels.compressed else self._native(index)
        if found.shape != (self.frame.rows, self.frame.columns):
            raise self.fault
        return found.astype(np.float64)

    def _native(self, index: int) -> NDArray[np.integer]:
        layout = self.frame.pixels
        width = layout.bits_allocated // 8
        order, sign = "<>"[layout.big_endian], "ui"[layout.signed]
        count = self.frame.rows * self.frame.columns
        pixels = np.frombuffer(
            self.content,
            dtype=np.dtype(f"{order}{sign}{width}"),
            count=count,
            offset=layout.at + index * count * width,
        ).reshape(self.frame.rows, self.frame.columns)
        if layout.bits_stored == layout.bits_allocated:
            return pixels
        # Old files keep overlays in the spare bits: shift them out, and the sign back in.
        above = layout.bits_allocated - 1 - layout.high_bit
        return (pixels << above) >> (layout.bits_allocated - layout.bits_stored)

    def _decoded(self, index: int) -> NDArray[np.integer]:
        from pydicom import dcmread
        from pydicom.encaps import get_frame

        if self._data is None:
            self._data = dcmread(BytesIO(self.content), force=True, specific_tags=TAGS)
        syntax = self._data.file_meta.TransferSyntaxUID
        if not syntax.is_encapsulated:  # deflated: the data set was inflated while parsing
            return self._data.pixel_array
        offsets = [self._data.get(f"ExtendedOffsetTable{part}") for part in ("", "Lengths")]
        encoded = get_frame(
            self._data.PixelData,
            index,
            number_of_frames=int(self._data.get("NumberOfFrames") or 1),
            extended_offsets=(offsets[0], offsets[1]) if all(offsets) else None,
        )
        declared = encoded_size(encoded)
        if declared is not None and declared != (self.frame.rows, self.frame.columns):
            raise self.fault
        if not is_complete(encoded):
            raise self.fault
        decoder, plugin = decoder_of(syntax)
        pixels, _ = decoder.as_array(self._data, index=index, raw=True, decoding_plugin=plugin)
        return pixels


def _check_layout(frame: Frame) -> None:
    layout, name = frame.pixels, frame.entry.name
    if layout.samples != 1 or not layout.photometric.startswith("MONOCHROME"):
        raise VoxelType(
            f"{name} holds colours",
            expected="grey-valued MR images",
            remedy="choose the original series",
        )
    if layout.bits_allocated not in {8, 16, 32}:
        raise VoxelType(
            f"{name} has {layout.bits_allocated} bits a pixel",
            expected="8, 16 or 32",
            remedy="choose the original series",
        )
    if not 0 < layout.bits_stored <= layout.high_bit + 1 <= layout.bits_allocated:
        raise DicomPixels(
            f"{name} stores bits that its pixels do not have",
            expected="a high bit within the pixel",
            remedy="export the series again",
        )
