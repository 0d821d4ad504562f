"""Compressed DICOM frames keep their pixels, to the bit, whatever decodes them.

`compressed_frames.json` holds one frame of a phantom for each kind, written by DCMTK, OpenJPEG,
OpenJPH, libjpeg-turbo and Pillow. Its pixels are those that pylibjpeg, pyjpegls and pydicom read
in November 2026, before imagecodecs replaced them; where a lossy cosine transform or a point
transform was used, they are those of DCMTK's dcmdjpeg (docs/adr/0027).
"""

from __future__ import annotations

import base64
import json
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate

from brainmets.domain.errors import DicomPixels
from brainmets.io import read_case
from brainmets.io.dicom_decoders import DECODER_DEPENDENCIES
from tests.unit.io_files import head, write_dicom

if TYPE_CHECKING:
    from collections.abc import Callable

FRAMES: dict[str, dict[str, Any]] = {
    one["name"]: one
    for one in json.loads(Path(__file__).with_name("compressed_frames.json").read_text("utf-8"))
}
RLE = "1.2.840.10008.1.2.5"
GUARDED = [name for name in FRAMES if not name.startswith("rle")]


def _series(folder: Path, kind: dict[str, Any], change: Callable[[bytes], bytes] = bytes) -> Path:
    """Three slices with the frame in each."""
    for path in write_dicom(folder, head((21, 18, 3))):
        data = pydicom.dcmread(path)
        data.file_meta.TransferSyntaxUID = kind["syntax"]
        data.BitsAllocated, data.BitsStored = kind["bits_allocated"], kind["bits_stored"]
        data.HighBit, data.PixelRepresentation = kind["bits_stored"] - 1, kind["signed"]
        frame = change(base64.b64decode(kind["frame"]))
        data.PixelData = encapsulate([frame + b"\0" * (len(frame) % 2)])
        data["PixelData"].is_undefined_length = True
        data.save_as(path)
    return folder


@pytest.mark.parametrize("name", FRAMES)
def test_pixels_are_those_of_the_former_decoders(name: str, tmp_path: Path) -> None:
    kind = FRAMES[name]
    stored = zlib.decompress(base64.b64decode(kind["pixels"]))
    expected = np.frombuffer(stored, "<i4").reshape(18, 21)
    assert np.ptp(expected) > 100

    read = read_case(_series(tmp_path / "s", kind)).images["t1c"].data

    assert all(np.array_equal(read[:, :, k].T, expected) for k in range(3))


def test_every_transfer_syntax_has_a_frame() -> None:
    assert {kind["syntax"] for kind in FRAMES.values()} == {*DECODER_DEPENDENCIES, RLE}


@pytest.mark.parametrize("name", GUARDED)
def test_a_frame_cut_short_is_refused(name: str, tmp_path: Path) -> None:
    folder = _series(tmp_path / "s", FRAMES[name], lambda frame: frame[: int(len(frame) * 0.9)])
    with pytest.raises(DicomPixels):
        read_case(folder)
