"""Archives and images made to harm, as one would send them to the service."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
import zipfile
import zlib
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from tests.unit.io_files import nifti_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["hostile_files"]

DATA = np.random.default_rng(0).integers(0, 900, (12, 14, 10)).astype("<i2")
NIFTI = bytes(nifti_bytes(DATA))
END_OF_DIRECTORY = b"PK\x05\x06"


def hostile_files(target: str) -> dict[str, bytes]:
    """Return contents by file name; those that try to escape would write to `target`."""
    made: dict[str, bytes] = {}
    for group in (_zips(target), _bent_zips(), _tars(target), _images()):
        made |= group
    return made


def _zip(*entries: tuple[str | zipfile.ZipInfo, bytes], level: int = 6) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED, compresslevel=level) as archive:
        for name, data in entries:
            archive.writestr(name, data)
    return content.getvalue()


def _link(name: str, target: str) -> tuple[zipfile.ZipInfo, bytes]:
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, 0o120777 << 16
    return info, target.encode()


def _zips(target: str) -> dict[str, bytes]:
    """Archives that are well formed, and mean harm."""
    up = "../" * 12
    inner = _zip(("a.nii", NIFTI))
    for depth in range(6):
        inner = _zip((f"level-{depth}.zip", inner))
    return {
        "slip.zip": _zip((f"{up}{target.lstrip('/')}", NIFTI)),
        "slip-next to-image.zip": _zip(("a.nii", NIFTI), (f"{up}{target.lstrip('/')}", NIFTI)),
        "slip-short.zip": _zip(("../escaped.nii", NIFTI)),
        "slip-inside.zip": _zip(("a/../../escaped.nii", NIFTI)),
        "slip-windows.zip": _zip(("..\\..\\..\\escaped.nii", NIFTI)),
        "absolute.zip": _zip((target, NIFTI)),
        "absolute-windows.zip": _zip(("C:\\escaped.nii", NIFTI)),
        "share.zip": _zip(("\\\\server\\share\\escaped.nii", NIFTI)),
        "link.zip": _zip(_link("a.nii", "/etc/passwd")),
        "link-to-folder.zip": _zip(_link("d", "/tmp"), ("d/escaped.nii", NIFTI)),  # noqa: S108
        "link-to-itself.zip": _zip(_link("a.nii", "a.nii")),
        "bomb.zip": _zip(("a.nii", bytes(300_000_000)), level=9),
        "bombs.zip": _zip(*((f"{n}.dcm", bytes(20_000_000)) for n in range(20)), level=9),
        "nested.zip": inner,
        "nested-bomb.zip": _zip(("b.zip", _zip(("a.nii", bytes(50_000_000)), level=9))),
        "long-name.zip": _zip(("n" * 60_000 + ".nii", NIFTI)),
        "deep-name.zip": _zip(("d/" * 8_000 + "a.nii", NIFTI)),
        "control-name.zip": _zip(("a\n\x1b[2J\x7f.nii", NIFTI)),
        "format-name.zip": _zip(("%s%n{0}$(id)`id`.nii", NIFTI)),
        "device-name.zip": _zip(("CON", b"x"), ("NUL.nii", NIFTI)),
        "duplicates.zip": _duplicates(),
        "many.zip": _zip(*((f"{n}", b"") for n in range(20_000)), level=0),
        "only-folders.zip": _zip(("a/", b""), ("a/b/", b"")),
        "empty.zip": _zip(),
        "nothing.zip": b"",
    }


def _duplicates() -> bytes:
    content = io.BytesIO()
    info = [zipfile.ZipInfo("a.nii") for _ in range(3)]
    with zipfile.ZipFile(content, "w") as archive:
        for number, one in enumerate(info):
            one.filename = f"a{number}nii"
            archive.writestr(one, NIFTI)
    return content.getvalue().replace(b"a1nii", b"a0nii").replace(b"a2nii", b"a0nii")


def _bent_zips() -> dict[str, bytes]:
    """Archives that are broken, or say of themselves what is not so."""
    plain = _zip(("a.nii", NIFTI))
    directory = plain.index(b"PK\x01\x02")
    end = plain.index(END_OF_DIRECTORY)

    def bent(at: int, kind: str, *values: int) -> bytes:
        content = bytearray(plain)
        struct.pack_into(kind, content, at, *values)
        return bytes(content)

    return {
        "cut.zip": plain[: len(plain) // 2],
        "cut-directory.zip": plain[: end + 4],
        "encrypted.zip": bent(directory + 8, "<H", 1),
        "wrong-crc.zip": bent(directory + 16, "<I", 0xDEADBEEF),
        "wrong-offset.zip": bent(end + 16, "<I", 0x7FFFFFFF),
        "negative-offset.zip": bent(end + 12, "<I", len(plain) * 2),
        "says-4-gb.zip": bent(directory + 24, "<I", 0xFFFFFFFE),
        "says-nothing.zip": bent(directory + 24, "<I", 0),
        "method-99.zip": bent(directory + 10, "<H", 99),
        "entry-far-away.zip": bent(directory + 42, "<I", 0x0FFFFFFF),
        "many-disks.zip": bent(end + 4, "<HH", 7, 9),
        "two-ends.zip": plain + b"comment " + plain[end:],
        "in-a-picture.png": _picture() + plain,
        "behind-a-program.zip": b"MZ" + bytes(5000) + plain,
    }


def _tars(target: str) -> dict[str, bytes]:
    def tar(*entries: tuple[str, bytes, bytes, str], mode: str = "w") -> bytes:
        content = io.BytesIO()
        with tarfile.open(fileobj=content, mode=mode) as archive:
            for name, data, kind, link in entries:
                info = tarfile.TarInfo(name)
                info.size, info.type, info.linkname = len(data), kind, link
                archive.addfile(info, io.BytesIO(data))
        return content.getvalue()

    slip = (f"../../../..{target}", NIFTI, tarfile.REGTYPE, "")
    through = (("d", b"", tarfile.SYMTYPE, "/tmp"), ("d/x", NIFTI, tarfile.REGTYPE, ""))  # noqa: S108
    return {
        "slip.tar": tar(slip),
        "slip.tar.gz": tar(slip, mode="w:gz"),
        "slip-named-nifti.nii.gz": tar(slip, mode="w:gz"),
        "through-a-link.tar": tar(*through),
        "hard-link.tar": tar(("a.nii", b"", tarfile.LNKTYPE, "/etc/passwd")),
        "device.tar": tar(("a.nii", b"", tarfile.CHRTYPE, "")),
        "in-a-zip.zip": _zip(("a.tar", tar(slip))),
    }


def _picture() -> bytes:
    content = io.BytesIO()
    Image.fromarray(np.arange(1200, dtype=np.uint8).reshape(30, 40)).save(content, "PNG")
    return content.getvalue()


def _images() -> dict[str, bytes]:
    """Images whose headers lie, bombs, and garbage behind the right first bytes."""
    noise = np.random.default_rng(1).bytes

    def header(at: int, kind: str, *values: float) -> bytes:
        raw = bytearray(NIFTI)
        struct.pack_into(kind, raw, at, *values)
        return bytes(raw)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    size = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    dicom = bytes(128) + b"DICM"
    endless = b"\xff\xff\xff\xff"
    nested = b"\x08\x00\x40\x11SQ\x00\x00" + endless + b"\xfe\xff\x00\xe0" + endless
    makers: dict[str, Callable[[], bytes]] = {
        "nothing.nii": lambda: b"",
        "one-byte.nii.gz": lambda: b"\x1f",
        "huge.nii": lambda: header(40, "<8h", 3, 3000, 3000, 6000, 1, 1, 1, 1),
        "negative.nii": lambda: header(40, "<8h", 3, -12, 14, 10, 1, 1, 1, 1),
        "seven-dimensions.nii": lambda: header(40, "<8h", 7, 12, 14, 10, 9, 9, 9, 9),
        "no-dimension.nii": lambda: header(40, "<8h", 0, 12, 14, 10, 1, 1, 1, 1),
        "offset-beyond.nii": lambda: header(108, "<f", 1e9),
        "offset-before.nii": lambda: header(108, "<f", -1e9),
        "offset-nan.nii": lambda: header(108, "<f", float("nan")),
        "affine-nan.nii": lambda: header(280, "<4f", *[float("nan")] * 4),
        "affine-huge.nii": lambda: header(280, "<4f", *[3e38] * 4),
        "scale-infinite.nii": lambda: header(112, "<2f", float("inf"), float("-inf")),
        "type-999.nii": lambda: header(70, "<h", 999),
        "bomb.nii.gz": lambda: (
            gzip.compress(header(40, "<8h", 3, 512, 512, 500, 1, 1, 1, 1))
            + 31 * gzip.compress(bytes(2**23))
        ),
        "gzip-in-gzip.nii.gz": lambda: gzip.compress(gzip.compress(gzip.compress(NIFTI))),
        "cut.nii.gz": lambda: gzip.compress(NIFTI)[:-100],
        "wrong-crc.nii.gz": lambda: gzip.compress(NIFTI)[:-8] + bytes(8),
        "garbage.dcm": lambda: dicom + noise(20_000),
        "endless-element.dcm": lambda: dicom + b"\x08\x00\x05\x00UN\x00\x00\xff\xff\xff\xff" * 50,
        "deep-sequence.dcm": lambda: dicom + nested * 3000,
        "garbage.zip": lambda: b"PK\x03\x04" + noise(20_000),
        "bomb.png": lambda: (
            b"\x89PNG\r\n\x1a\n"
            + chunk(b"IHDR", size)
            + chunk(b"IDAT", zlib.compress(bytes(40_000_000), 9))
            + chunk(b"IEND", b"")
        ),
        "round.tiff": lambda: b"II*\x00\x08\x00\x00\x00" + struct.pack("<HI", 0, 8) * 3,
        "garbage.jpg": lambda: b"\xff\xd8\xff\xe0" + noise(5000),
        "garbage.nii": lambda: noise(5000),
    }
    return {name: make() for name, make in makers.items()}
