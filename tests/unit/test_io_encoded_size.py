"""The size a compressed frame declares is read as its own encoder wrote it."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.encaps import get_frame

from brainmets.io.dicom_decoders import encoded_size, is_complete
from tests.unit.io_files import JPEG_2000, JPEG_LS, RLE, head, write_dicom

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}])
def test_jpeg(options: dict[str, int]) -> None:
    buffer = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 255, (37, 53), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, format="JPEG", comment=b"\xff\xc0 no marker", **options)
    assert encoded_size(buffer.getvalue()) == (37, 53)


@pytest.mark.parametrize("boxed", [False, True])
def test_jpeg_2000(boxed: bool) -> None:
    buffer = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 255, (37, 53), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, format="JPEG2000", no_jp2=not boxed)
    assert encoded_size(buffer.getvalue()) == (37, 53)


@pytest.mark.parametrize(
    ("syntax", "size"), [(JPEG_LS, (48, 40)), (JPEG_2000, (48, 40)), (RLE, None)]
)
def test_frames_of_dicom(tmp_path: Path, syntax: str, size: tuple[int, int] | None) -> None:
    data = pydicom.dcmread(write_dicom(tmp_path, head(), syntax=syntax)[0])
    assert encoded_size(get_frame(data.PixelData, 0, number_of_frames=1)) == size


@pytest.mark.parametrize(
    "frame", [b"", b"\xff\xd8", b"\xff\xd8\xff", b"\xff\xd8" + b"\xff" * 40, b"\xff\x4f\xff\x51"]
)
def test_garbage_declares_nothing(frame: bytes) -> None:
    assert encoded_size(frame) is None


@pytest.mark.parametrize(
    ("frame", "complete"),
    [
        (b"\xff\xd8..\xff\xda....\xff\xd9", True),
        (b"\xff\xd8..\xff\xda....\xff\xd9\0", True),
        (b"\xff\xd8..\xff\xda....\xff\xda..\xff\xd9", True),
        (b"\xff\xd8..\xff\xda....", False),
        (b"\xff\xd8..\xff\xda....\xff", False),
        (b"\xff\xd8 thumbnail \xff\xd9 \xff\xda....", False),
        (b"\xff\x4f\xff\x51 JPEG 2000 reports it itself", True),
    ],
)
def test_the_end_of_a_frame(frame: bytes, complete: bool) -> None:
    assert is_complete(frame) == complete
