"""What a file is, told from its first bytes and never from its name."""

from __future__ import annotations

import re
from typing import Literal

__all__ = ["SNIFF_BYTES", "Kind", "sniff"]

Kind = Literal[
    "gzip", "nifti", "analyze", "dicom", "zip", "png", "jpeg", "tiff", "nrrd", "metaimage", "mgh",
    "minc", "tar", "gif", "webp", "jpeg2000", "pdf", "text", "unknown",
]  # fmt: skip

SNIFF_BYTES = 352
"""Enough for a NIfTI-1 magic (byte 344) and the DICOM prefix (byte 128)."""

STARTS: tuple[tuple[bytes, Kind], ...] = (
    (b"\x1f\x8b", "gzip"),
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),  # an archive without members
    (b"NRRD000", "nrrd"),
    (b"\x89HDF\r\n\x1a\n", "minc"),
    (b"CDF\x01", "minc"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"II*\x00", "tiff"),
    (b"MM\x00*", "tiff"),
    (b"II+\x00", "tiff"),  # BigTIFF
    (b"MM\x00+", "tiff"),
    (b"GIF8", "gif"),
    (b"\0\0\0\x0cjP  ", "jpeg2000"),
    (b"%PDF-", "pdf"),
)

META_FIRST = re.compile(rb"(ObjectType|NDims|Comment|ObjectSubType)\s*=\s*\S")

NIFTI_SIZES = (b"\x5c\x01\0\0", b"\0\0\x01\x5c", b"\x1c\x02\0\0", b"\0\0\x02\x1c")
"""`sizeof_hdr` 348 and 540, little and big-endian."""


def sniff(head: bytes) -> Kind:
    """Name the format that begins with `head`, at least `SNIFF_BYTES` of it where there are."""
    if head[128:132] == b"DICM":  # first: a preamble may look like the start of another format
        return "dicom"
    for start, kind in STARTS:
        if head.startswith(start):
            return kind
    if _bare_dicom(head):
        return "dicom"
    if head[:4] in NIFTI_SIZES:
        named = head[344:347] in {b"n+1", b"ni1"} or head[4:7] in {b"n+2", b"ni2"}
        return "nifti" if named else "analyze"
    return _by_content(head)


def _by_content(head: bytes) -> Kind:
    if head[257:262] == b"ustar":
        return "tar"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if _is_mgh(head):
        return "mgh"
    if META_FIRST.match(head):
        return "metaimage"
    return "text" if head and _is_text(head) else "unknown"


def _is_mgh(head: bytes) -> bool:
    """Recognise FreeSurfer's header: version 1, four sizes, a type, all big-endian."""
    version, *sizes, kind = (int.from_bytes(head[at : at + 4], "big") for at in range(0, 24, 4))
    return version == 1 and all(0 < n < 2**16 for n in sizes) and kind in {0, 1, 3, 4}


def _bare_dicom(head: bytes) -> bool:
    """Recognise a DICOM data set without preamble: it opens with a small group-0008 element."""
    if len(head) < 16 or head[:2] != b"\x08\x00" or int.from_bytes(head[2:4], "little") > 0x0020:
        return False
    explicit = head[4:6] in {b"UL", b"CS", b"UI", b"DA", b"TM", b"SH"}
    return explicit or int.from_bytes(head[4:8], "little") <= 64


def _is_text(head: bytes) -> bool:
    printable = sum(byte in b"\t\n\r\f" or 32 <= byte < 127 for byte in head)
    return printable >= 0.95 * len(head)
