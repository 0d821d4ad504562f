"""What a compressed frame declares inside itself, read without decoding it: its size and its end.

A decoder allocates what the code stream says, whatever the DICOM header says; comparing the two
first keeps a 200-byte frame from asking for gigabytes. JPEG decoders fill what is cut off with
grey and do not report it, and CharLS 2.4.3 may never return from a JPEG-LS frame without an end:
so the end is looked for too.
"""

from __future__ import annotations

__all__ = ["encoded_size", "is_complete"]

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
