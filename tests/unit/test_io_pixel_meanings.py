"""Every pixel meaning of PNG, TIFF and JPEG is honoured, or refused by its name.

47 variants honoured, 16 orientations of deep pixels, 16 kinds refused with their true reason.
"""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from typing import TYPE_CHECKING, Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from brainmets.domain.errors import BrokenImage, UnknownFormat
from brainmets.io import read_case

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

GREY = np.random.default_rng(0).integers(1, 740, (30, 40)).astype(np.uint16)
"""Grey levels of an MR image: 739 of 65,536."""
DIM = (GREY // 3).astype(np.uint8)
COLOUR = np.dstack([GREY, GREY[::-1], GREY[:, ::-1]])
OPAQUE = np.full_like(GREY, 65535)
HOLE = np.where(np.arange(40) < 5, 0, 65535).astype(np.uint16) + np.zeros_like(GREY)


def grey_png(key: int | None = None, **options: Any) -> bytes:
    stream = BytesIO()
    extra = {} if key is None else {"transparency": key}
    Image.fromarray(GREY).save(stream, "PNG", **extra, **options)
    return stream.getvalue()


def tiff(pixels: np.ndarray, **options: Any) -> bytes:
    stream = BytesIO()
    options.setdefault("photometric", "minisblack")
    tifffile.imwrite(stream, pixels, **options)
    return stream.getvalue()


def jpeg(mode: str) -> bytes:
    stream = BytesIO()
    Image.fromarray(DIM).convert("RGB").convert(mode).save(stream, "JPEG", quality=100)
    return stream.getvalue()


def rgb(*planes: np.ndarray) -> np.ndarray:
    return np.dstack(planes)


def raw_png(bits: int, colours: int, packed: list[bytes], width: int, *chunks: bytes) -> bytes:
    """A PNG of packed rows, with chunks between header and pixels."""
    header = struct.pack(">IIBBBBB", width, len(packed), bits, colours, 0, 0, 0)
    rows = zlib.compress(b"".join(b"\0" + row for row in packed))
    parts = [chunk(b"IHDR", header), *chunks, chunk(b"IDAT", rows), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def chunk(name: bytes, content: bytes) -> bytes:
    check = struct.pack(">I", zlib.crc32(name + content))
    return struct.pack(">I", len(content)) + name + content + check


def deep_grey(*chunks: bytes, by: int = 1) -> bytes:
    return raw_png(16, 0, [(row * by).astype(">u2").tobytes() for row in GREY], 40, *chunks)


FOUR, TWO, BIT = DIM % 16, DIM % 4, DIM % 2
PACKED_4 = [(row[0::2] << 4 | row[1::2]).tobytes() for row in FOUR]
PACKED_2 = [(row[0::4] << 6 | row[1::4] << 4 | row[2::4] << 2 | row[3::4]).tobytes() for row in TWO]


def key(value: int) -> bytes:
    return chunk(b"tRNS", struct.pack(">H", value))


def interlaced(pixels: np.ndarray, colours: int, *chunks: bytes) -> bytes:
    """A 16-bit PNG in Adam7 order."""
    height, width = pixels.shape[:2]
    deep = pixels.astype(">u2").reshape(height, width, -1)
    passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2)]
    rows = [
        b"\0" + row.tobytes()
        for x, y, right, down in [*passes, (0, 1, 1, 2)]
        for row in deep[y::down, x::right]
    ]
    header = struct.pack(">IIBBBBB", width, height, 16, colours, 0, 0, 1)
    parts = [chunk(b"IHDR", header), *chunks, chunk(b"IDAT", zlib.compress(b"".join(rows)))]
    return b"\x89PNG\r\n\x1a\n" + b"".join([*parts, chunk(b"IEND", b"")])


def pillow(picture: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    stream = BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


VARIANTS: dict[str, tuple[str, Callable[[], bytes], np.ndarray]] = {
    "PNG 16-bit grey": ("png", grey_png, GREY),
    "PNG 16-bit RGB": ("png", lambda: imagecodecs.png_encode(rgb(GREY, GREY, GREY)), GREY),
    "PNG 16-bit RGB, three sequences": (
        "png", lambda: imagecodecs.png_encode(COLOUR), COLOUR[..., 2],
    ),
    "PNG 16-bit RGBA": ("png", lambda: imagecodecs.png_encode(rgb(GREY, GREY, GREY, OPAQUE)), GREY),
    "PNG 16-bit RGBA, part transparent": (
        "png",
        lambda: imagecodecs.png_encode(rgb(GREY, GREY, GREY, HOLE)),
        np.where(HOLE > 0, GREY, 0),
    ),
    "PNG 16-bit grey and alpha": ("png", lambda: imagecodecs.png_encode(rgb(GREY, OPAQUE)), GREY),
    "PNG 16-bit grey with tRNS": ("png", lambda: grey_png(key=700), np.where(GREY == 700, 0, GREY)),
    "PNG 8-bit grey and alpha": (
        "png", lambda: imagecodecs.png_encode(rgb(DIM, np.full_like(DIM, 255))), DIM,
    ),
    "TIFF 16-bit MinIsBlack": ("tif", lambda: tiff(GREY), GREY),
    "TIFF 16-bit MinIsWhite": ("tif", lambda: tiff(GREY, photometric="miniswhite"), 65535 - GREY),
    "TIFF 16-bit MinIsWhite, Deflate": (
        "tif", lambda: tiff(GREY, photometric="miniswhite", compression="zlib"), 65535 - GREY,
    ),
    "TIFF 8-bit MinIsWhite": ("tif", lambda: tiff(DIM, photometric="miniswhite"), 255 - DIM),
    "TIFF float MinIsWhite": (
        "tif",
        lambda: tiff(GREY.astype("f4"), photometric="miniswhite"),
        GREY.max() - GREY.astype("f4"),
    ),
    "TIFF signed 8-bit": ("tif", lambda: tiff(DIM.astype("i2").astype("i1")), DIM.astype("i1")),
    "TIFF signed 16-bit": ("tif", lambda: tiff(GREY.astype("i2") - 300), GREY.astype("i2") - 300),
    "TIFF signed 32-bit": ("tif", lambda: tiff(GREY.astype("i4") - 300), GREY.astype("i4") - 300),
    "TIFF unsigned 32-bit": (
        "tif", lambda: tiff(GREY.astype("u4") * 4_000_000), GREY.astype("f8") * 4_000_000,
    ),
    "TIFF 32-bit float": ("tif", lambda: tiff(GREY.astype("f4") / 7), GREY.astype("f4") / 7),
    "TIFF 16-bit RGB": ("tif", lambda: tiff(COLOUR, photometric="rgb"), COLOUR[..., 2]),
    "TIFF 16-bit RGB, Deflate with predictor": (
        "tif",
        lambda: tiff(COLOUR, photometric="rgb", compression="zlib", predictor=True),
        COLOUR[..., 2],
    ),
    "TIFF 16-bit RGB in planes": (
        "tif",
        lambda: tiff(np.moveaxis(COLOUR, 2, 0), photometric="rgb", planarconfig="separate"),
        COLOUR[..., 2],
    ),
    "TIFF 8-bit RGB in planes": (
        "tif",
        lambda: tiff(np.stack([DIM, DIM, DIM]), photometric="rgb", planarconfig="separate"),
        DIM,
    ),
    "TIFF 16-bit RGBA": (
        "tif",
        lambda: tiff(rgb(GREY, GREY, GREY, HOLE), photometric="rgb", extrasamples=["unassalpha"]),
        np.where(HOLE > 0, GREY, 0),
    ),
    "TIFF 16-bit big-endian": ("tif", lambda: tiff(GREY, byteorder=">"), GREY),
    "PNG 16-bit interlaced": ("png", lambda: interlaced(GREY, 0), GREY),
    "PNG 16-bit RGB interlaced": ("png", lambda: interlaced(rgb(GREY, GREY, GREY), 2), GREY),
    "PNG 16-bit grey with tRNS, interlaced": (
        "png", lambda: interlaced(GREY, 0, key(700)), np.where(GREY == 700, 0, GREY),
    ),
    "PNG 16-bit with gAMA, which is of screens": (
        "png", lambda: deep_grey(chunk(b"gAMA", struct.pack(">I", 45_455))), GREY,
    ),
    "PNG 12 bits in 16 (sBIT)": (
        "png", lambda: deep_grey(chunk(b"sBIT", b"\x0c"), by=16), GREY * 16,
    ),
    "PNG 4-bit grey": ("png", lambda: raw_png(4, 0, PACKED_4, 40), FOUR * 17),
    "PNG 4-bit grey with tRNS": (
        "png", lambda: raw_png(4, 0, PACKED_4, 40, key(5)), np.where(FOUR == 5, 0, FOUR * 17),
    ),
    "PNG 2-bit grey with tRNS": (
        "png", lambda: raw_png(2, 0, PACKED_2, 40, key(2)), np.where(TWO == 2, 0, TWO * 85),
    ),
    "PNG 8-bit grey with tRNS": (
        "png",
        lambda: raw_png(8, 0, [row.tobytes() for row in DIM], 40, key(100)),
        np.where(DIM == 100, 0, DIM),
    ),
    "TIFF signed 16-bit big-endian, Deflate": (
        "tif",
        lambda: tiff(GREY.astype("i2") - 300, byteorder=">", compression="zlib"),
        GREY.astype("i2") - 300,
    ),
    "TIFF float big-endian, Deflate": (
        "tif",
        lambda: tiff(GREY.astype("f4") / 7, byteorder=">", compression="zlib"),
        GREY.astype("f4") / 7,
    ),
    "TIFF 16-bit tiled": ("tif", lambda: tiff(GREY, tile=(16, 16)), GREY),
    "TIFF 16-bit tiled, MinIsWhite": (
        "tif", lambda: tiff(GREY, tile=(16, 16), photometric="miniswhite"), 65535 - GREY,
    ),
    "BigTIFF 16-bit": ("tif", lambda: tiff(GREY, bigtiff=True), GREY),
    "TIFF 1-bit MinIsWhite": (
        "tif", lambda: tiff(BIT.astype(bool), photometric="miniswhite"), 255 - BIT * 255,
    ),
    "TIFF 16-bit RGB and a sample of its own": (
        "tif",
        lambda: tiff(rgb(GREY, GREY, GREY, GREY // 9), photometric="rgb", extrasamples=[0]),
        GREY,
    ),
    "TIFF 16-bit RGB multiplied by alpha": (
        "tif",
        lambda: tiff(rgb(GREY, GREY, GREY, HOLE), photometric="rgb", extrasamples=[1]),
        GREY,
    ),
    "TIFF CMYK": (
        "tif", lambda: pillow(Image.fromarray(DIM).convert("RGB").convert("CMYK"), "TIFF"), DIM,
    ),
    "TIFF group 4": (
        "tif",
        lambda: pillow(Image.fromarray(BIT * 255).convert("1"), "TIFF", compression="group4"),
        BIT * 255,
    ),
    "TIFF grey and alpha": ("tif", lambda: pillow(Image.fromarray(DIM).convert("LA"), "TIFF"), DIM),
    "JPEG grey": ("jpg", lambda: jpeg("L"), DIM),
    "JPEG CMYK": ("jpg", lambda: jpeg("CMYK"), DIM),
    "JPEG colour": ("jpg", lambda: jpeg("RGB"), DIM),
}  # fmt: skip


@pytest.mark.parametrize("name", VARIANTS)
def test_honoured(name: str, tmp_path: Path) -> None:
    suffix, make, meant = VARIANTS[name]
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(make())
    found = read_case(path).images["t1c"].data[:, :, 0].T
    off = 4 if suffix == "jpg" else np.abs(np.asarray(meant, dtype=np.float64)).max() * 1e-6
    assert np.abs(found - np.asarray(meant, dtype=np.float64)).max() <= off


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_deep_pixels_lie_as_shallow_ones(suffix: str, orientation: int, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    shallow = BytesIO()
    Image.fromarray((COLOUR // 3).astype(np.uint8)).save(
        shallow, "PNG" if suffix == "png" else "TIFF", exif=exif
    )
    (tmp_path / f"a.{suffix}").write_bytes(shallow.getvalue())
    if suffix == "tif":
        deep = tiff(COLOUR, photometric="rgb", extratags=[(274, 3, 1, orientation, True)])
    else:
        plain, chunk = imagecodecs.png_encode(COLOUR), shallow.getvalue()
        at = chunk.find(b"eXIf") - 4
        size = int.from_bytes(chunk[at : at + 4], "big") + 12
        deep = plain[:33] + (chunk[at : at + size] if at > 0 else b"") + plain[33:]
    (tmp_path / f"b.{suffix}").write_bytes(deep)
    first, second = (
        read_case(tmp_path / f"{name}.{suffix}").images["t1c"].data for name in ("a", "b")
    )
    assert np.array_equal(first, second // 3)


REFUSED = {
    "16-bit float": lambda: tiff(GREY.astype("f2")),
    "64-bit float": lambda: tiff(GREY.astype("f8")),
    "64-bit whole-number": lambda: tiff(GREY.astype("u8")),
    "32-bit float pixels in 3 channels": lambda: tiff(COLOUR.astype("f4"), photometric="rgb"),
    "16-bit signed pixels, where 0 is white": lambda: tiff(
        GREY.astype("i2") - 300, photometric="miniswhite"
    ),
    "8-bit signed pixels, where 0 is white": lambda: tiff(
        DIM.astype("i1"), photometric="miniswhite"
    ),
    "32-bit whole-number pixels, where 0 is white": lambda: tiff(
        GREY.astype("u4"), photometric="miniswhite"
    ),
    "16-bit whole-number pixels, big-endian, where 0 is white": lambda: tiff(
        GREY, photometric="miniswhite", byteorder=">"
    ),
    "32-bit whole-number pixels, big-endian": lambda: tiff(GREY.astype("u4"), byteorder=">"),
    "16-bit whole-number pixels in 2 channels": lambda: tiff(
        rgb(GREY, GREY), extrasamples=[0], planarconfig="contig"
    ),
    "a big-endian BigTIFF": lambda: tiff(GREY, bigtiff=True, byteorder=">"),
    "an animation of 2 pictures": lambda: pillow(
        Image.fromarray(DIM), save_all=True, append_images=[Image.fromarray(255 - DIM)]
    ),
}
OTHERS = {
    "a GIF picture": lambda: pillow(Image.fromarray(DIM), "GIF"),
    "a WebP picture": lambda: pillow(Image.fromarray(DIM), "WEBP", lossless=True),
    "a JPEG 2000 picture": lambda: pillow(Image.fromarray(DIM), "JPEG2000"),
    "a PDF document": lambda: b"%PDF-1.7 and so on",
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_by_its_name(name: str, tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(REFUSED[name]())
    with pytest.raises(BrokenImage, match=name):
        read_case(path)


@pytest.mark.parametrize("name", OTHERS)
def test_other_pictures_are_called_what_they_are(name: str, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(OTHERS[name]())
    with pytest.raises(UnknownFormat, match=name):
        read_case(path)
