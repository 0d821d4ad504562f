"""Every pixel meaning of PNG, TIFF and JPEG is honoured, or refused by its name."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from brainmets.domain.errors import BrokenImage
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
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_by_its_name(name: str, tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(REFUSED[name]())
    with pytest.raises(BrokenImage, match=name):
        read_case(path)
