"""pydicom's decoder plug-in for compressed frames, on imagecodecs (ADR 27).

Before that, what a compressed frame declares inside itself, its size and its end, is read without
decoding it. A decoder allocates what the code stream says, whatever the DICOM header says;
comparing the two first keeps a 200-byte frame from asking for gigabytes. JPEG decoders fill what is
cut off with grey and do not report it, and CharLS 2.4.3 may never return from a JPEG-LS frame
without an end: so the end is looked for too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydicom.pixels.decoders.base import Decoder, DecodeRunner

__all__ = [
    "DECODER_DEPENDENCIES",
    "decode_frame",
    "decoder_of",
    "encoded_size",
    "is_available",
    "is_complete",
]

LABEL = "brainmets"
"""The plug-in's name in pydicom's tables."""

JPEG = (
    "1.2.840.10008.1.2.4.50",  # baseline, 8 bits
    "1.2.840.10008.1.2.4.51",  # extended, 8 or 12 bits
    "1.2.840.10008.1.2.4.57",  # lossless, any predictor
    "1.2.840.10008.1.2.4.70",  # lossless, first predictor
)
JPEG_LS = (
    "1.2.840.10008.1.2.4.80",  # lossless
    "1.2.840.10008.1.2.4.81",  # near-lossless
)
JPEG_2000 = (
    "1.2.840.10008.1.2.4.90",  # lossless
    "1.2.840.10008.1.2.4.91",  # lossy allowed
    "1.2.840.10008.1.2.4.201",  # high-throughput, lossless
    "1.2.840.10008.1.2.4.202",  # high-throughput, lossless, by resolution
    "1.2.840.10008.1.2.4.203",  # high-throughput
)
DECODER_DEPENDENCIES = dict.fromkeys((*JPEG, *JPEG_LS, *JPEG_2000), ("imagecodecs",))
"""What pydicom asks of a plug-in: transfer syntax to packages."""


def is_available(uid: str) -> bool:
    """Return whether this plug-in decodes the transfer syntax."""
    return uid in DECODER_DEPENDENCIES


def decoder_of(syntax: str) -> tuple[Decoder, str]:
    """Return pydicom's decoder of a transfer syntax and the plug-in to use; pydicom's own for RLE.

    Raises:
        NotImplementedError: nothing decodes the syntax.
    """
    from pydicom.pixels.decoders.base import get_decoder

    decoder = get_decoder(syntax)
    if not is_available(syntax):
        return decoder, "pydicom"
    if LABEL not in decoder.available_plugins:
        decoder.add_plugin(LABEL, (__name__, decode_frame.__name__))
    return decoder, LABEL


def decode_frame(src: bytes, runner: DecodeRunner) -> bytes:
    """Return one frame's pixels as bytes, and tell `runner` how wide they are.

    Raises:
        ValueError, RuntimeError, OSError: the frame is damaged.
    """
    from imagecodecs import jpeg2k_decode, jpeg8_decode, jpegls_decode

    decode = (
        jpeg8_decode
        if runner.transfer_syntax in JPEG
        else jpegls_decode
        if runner.transfer_syntax in JPEG_LS
        else jpeg2k_decode
    )
    pixels = decode(src)
    runner.set_option("bits_allocated", 8 * pixels.itemsize)
    return pixels.tobytes()


JPEG_START = b"\xff\xd8"
J2K_START = b"\xff\x4f\xff\x51"
JP2_SIGNATURE = b"\x00\x00\x00\x0cjP  "
FRAME_HEADERS = (
    *range(0xC0, 0xC4),
    *range(0xC5, 0xC8),
    *range(0xC9, 0xCC),
    *range(0xCD, 0xD0),
    0xF7,
)
"""Start-of-frame markers of JPEG (ITU-T T.81) and JPEG-LS (T.87)."""

START_OF_SCAN = b"\xff\xda"
JPEG_END = b"\xff\xd9"
"""Cannot occur inside a scan: there a byte 0 (JPEG) or below 128 (JPEG-LS) follows each 255."""

MARKERS_WITHOUT_LENGTH = (0x01, *range(0xD0, 0xD9))


def encoded_size(frame: bytes) -> tuple[int, int] | None:
    """Return (rows, columns) of a JPEG, JPEG-LS or JPEG 2000 frame, or None for other data."""
    if frame.startswith(JP2_SIGNATURE):
        start = frame.find(J2K_START)
        return _j2k(frame[start:]) if start >= 0 else None
    if frame.startswith(J2K_START):
        return _j2k(frame)
    return _jpeg(frame) if frame.startswith(JPEG_START) else None


def is_complete(frame: bytes) -> bool:
    """Return False for a JPEG or JPEG-LS frame without an end after its last scan."""
    if not frame.startswith(JPEG_START):
        return True  # other decoders report what is cut off
    return frame.rfind(JPEG_END) > frame.rfind(START_OF_SCAN)


def _j2k(frame: bytes) -> tuple[int, int] | None:
    if len(frame) < 24:
        return None
    right, bottom, left, top = (int.from_bytes(frame[at : at + 4], "big") for at in (8, 12, 16, 20))
    return bottom - top, right - left


def _jpeg(frame: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 9 <= len(frame) and frame[at] == 0xFF:
        marker = frame[at + 1]
        if marker == 0xFF:
            at += 1
        elif marker in FRAME_HEADERS:
            return (
                int.from_bytes(frame[at + 5 : at + 7], "big"),
                int.from_bytes(frame[at + 7 : at + 9], "big"),
            )
        elif marker in MARKERS_WITHOUT_LENGTH:
            at += 2
        else:
            at += 2 + int.from_bytes(frame[at + 2 : at + 4], "big")
    return None
