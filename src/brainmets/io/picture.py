"""Decoding one PNG, JPEG or TIFF into its pages, with Pillow, or imagecodecs for deep pixels.

The declared size is checked before pixels are decoded.

Pillow shortens 16-bit colour to its upper 8 bits, which leaves 6 of an MR image's 739 grey levels,
reads signed 8-bit pixels as unsigned ones, and not TIFF in WebP, which the LGG data set has.
imagecodecs decodes such pages as they are.
"""

from __future__ import annotations

import warnings
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np

from brainmets.domain.errors import Bomb, BrokenImage, NonFinite, TooLarge
from brainmets.io.guard import guarded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray
    from PIL.Image import Image

    from brainmets.io.entries import Entry
    from brainmets.io.limits import Limits

__all__ = ["declared_size", "pages"]

FORMATS = ("PNG", "JPEG", "TIFF")
ALPHA_MODES = frozenset({"LA", "La", "PA", "RGBA", "RGBa"})
COLOUR_MODES = frozenset({"P", "CMYK", "YCbCr", "LAB", "HSV", "RGBX"})

PNG_DEPTH = 24
"""Where a PNG says how many bits a sample has; Pillow spreads fewer than 8 over 8."""


def declared_size(entry: Entry, limits: Limits) -> tuple[int, int, int]:
    """Return columns, rows and pages as declared, decoding no pixels.

    Raises:
        BrokenImage: the header cannot be read.
    """
    content = entry.read()
    with guarded(_fault(entry.name, content)), _opened(content) as image:
        count = getattr(image, "n_frames", 1) if image.format == "TIFF" else 1
        return image.width, image.height, min(count, limits.max_slices)
    raise _fault(entry.name)


def pages(content: bytes, name: str, limits: Limits) -> Iterator[NDArray[Any]]:
    """Yield each page as it is meant to be seen: (row, column) grey or (row, column, 3).

    EXIF orientation is applied, what is transparent becomes black, and white is the highest value.
    Only TIFF has further pages.

    Raises:
        BrokenImage: the image cannot be decoded, or its pixels are of a kind that is not read.
        TooLarge, Bomb: a page declares more pixels than `limits` allow.
        NonFinite: a float TIFF holds NaN or infinity.
    """
    with guarded(_fault(name, content)):
        image = _opened(content)
    fault = _fault(name)
    with image:
        _refuse_animation(image, name)
        for number in range(limits.max_slices + 1):
            with guarded(fault):
                if not _turn_to(image, number):
                    return
                _check_size(image, len(content), name, limits)
                page = deep_pixels(image, content, number)
                if page is None:
                    page = _pixels(image, content)
            if page.dtype.kind == "f" and not np.isfinite(page).all():
                raise NonFinite(
                    f"{name} has pixels that are NaN or infinite",
                    expected="finite pixels",
                    remedy="replace them and save the image again",
                )
            yield page


def _fault(name: str, content: bytes = b"") -> BrokenImage:
    kind = _kind_of(content)
    if kind:
        return BrokenImage(
            f"{name} has {kind}",
            expected="8 or 16-bit pixels, grey or colour, or 32-bit grey, black as 0",
            remedy="save the image again, for instance as a 16-bit grey PNG, or give the volume",
        )
    return BrokenImage(
        f"{name} cannot be decoded as an image",
        expected="a complete PNG, JPEG or TIFF",
        remedy="save the image again, for instance as PNG",
    )


def _kind_of(content: bytes) -> str:
    """Name the pixels of a TIFF header that is complete; else nothing."""
    from PIL import TiffImagePlugin

    big = content[:4] in {b"II+\0", b"MM\0+"}
    if content[:4] not in {b"II*\0", b"MM\0*"} and not big:
        return ""
    if content[:4] == b"MM\0+":  # Pillow reads little-endian ones only
        return "the pixels of a big-endian BigTIFF"
    try:
        tags: Any = TiffImagePlugin.ImageFileDirectory_v2(content[: 16 if big else 8])
        stream = BytesIO(content)
        stream.seek(tags.next)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tags.load(stream)
        bits, samples = max(tags.get(BITS, (1,))), int(tags.get(SAMPLES, 1))
        kind = {1: "whole-number", 2: "signed", 3: "float"}.get(max(tags.get(FORMAT, (1,))), "")
    except Exception:  # noqa: BLE001 - a broken header, whatever its fault, names no kind
        return ""
    words = [
        f"{bits}-bit {kind} pixels" + (f" in {samples} channels" if samples > 1 else ""),
        *(["big-endian"] if content[:2] == b"MM" else []),
        *(["as a BigTIFF"] if big else []),
        *(["where 0 is white"] if tags.get(PHOTOMETRIC) == 0 else []),
    ]
    return ", ".join(words)


def _refuse_animation(image: Image, name: str) -> None:
    count = getattr(image, "n_frames", 1)
    if image.format == "PNG" and count > 1:
        raise BrokenImage(
            f"{name} is an animation of {count} pictures",
            expected="one slice a file, or a TIFF of several pages",
            remedy="save each picture as a file, and give the folder",
        )


def _opened(content: bytes) -> Image:
    from PIL import Image

    with warnings.catch_warnings():
        # The limit on the declared size follows; Pillow's error above it still applies.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        return Image.open(BytesIO(content), formats=FORMATS)


def _turn_to(image: Image, page: int) -> bool:
    if page and image.format != "TIFF":
        return False
    try:
        image.seek(page)
    except EOFError:
        return False
    return True


def _check_size(image: Image, stored: int, name: str, limits: Limits) -> None:
    if image.width * image.height > limits.max_image_pixels:
        raise TooLarge(
            f"{name} declares {image.width:,} × {image.height:,} pixels",
            expected=f"at most {limits.max_image_pixels:,}",
            remedy="give the slice at its original size",
        )
    decoded = image.width * image.height * len(image.getbands())
    if decoded > max(limits.ratio_floor_bytes, limits.max_ratio * stored):
        raise Bomb(
            f"{name} declares {decoded:,} pixel values out of {stored:,} bytes",
            expected=f"at most {limits.max_ratio} for each byte",
            remedy="give the original slice",
        )
    tiles: list[Any] = getattr(image, "tile", [])
    tags: Any = getattr(image, "tag_v2", {})
    rows = image.width if tags.get(ORIENTATION, 1) >= 5 else image.height  # lying on its side
    if tiles and max(tile[1][3] for tile in tiles) != rows:
        raise _fault(name)  # strips that leave rows out, which Pillow would show as black


def _pixels(image: Image, content: bytes) -> NDArray[Any]:
    from PIL import ImageOps

    picture = ImageOps.exif_transpose(image)
    if picture.mode[0] in "IL" and isinstance(key := picture.info.get("transparency"), int):
        deepest = 2 ** content[PNG_DEPTH] - 1 if picture.mode == "L" else 1
        return without_transparency(
            np.asarray(picture), key * 255 // deepest if picture.mode == "L" else key
        )
    if picture.mode in ALPHA_MODES or "transparency" in picture.info:
        picture = _over_black(picture)
    elif picture.mode in COLOUR_MODES:
        picture = picture.convert("RGB")
    elif picture.mode == "1":
        picture = picture.convert("L")
    pixels = np.asarray(picture)
    return pixels.astype(pixels.dtype.newbyteorder("="), copy=False)


def _over_black(picture: Image) -> Image:
    from PIL import Image

    colours = picture.convert("RGBA")
    black = Image.new("RGBA", colours.size, (0, 0, 0, 255))
    return Image.alpha_composite(black, colours).convert("RGB")


BITS, PHOTOMETRIC, ORIENTATION, SAMPLES, PLANAR = 258, 262, 274, 277, 284
EXTRA_SAMPLES, FORMAT = 338, 339
"""TIFF tags."""

COMPRESSION = 259
MIN_IS_WHITE, WEBP = 0, 50_001
SIGNED = 2
PREMULTIPLIED, ALPHA = 1, 2
"""What an extra sample is; anything else says nothing of the pixels and is left out."""

DEEP = frozenset({16, 32})
"""Bits that imagecodecs decodes: Pillow swaps the bytes of some big-endian pixels."""

PLANES_APART = 2

TURNS: Mapping[int, Callable[[NDArray[Any]], NDArray[Any]]] = {
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a.swapaxes(0, 1)[:, ::-1],
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: a.swapaxes(0, 1)[::-1],
}  # fmt: skip
"""What makes an array of rows and columns upright, by EXIF orientation."""


def deep_pixels(image: Image, content: bytes, page: int) -> NDArray[Any] | None:
    """Return a page that Pillow would misread, (row, column[, 3]), upright; None for others.

    What is transparent becomes black, and white the highest value.
    """
    if image.format == "PNG":
        return _upright(image, _png(content)) if _is_deep_png(content) else None
    tags: Any = getattr(image, "tag_v2", None)
    if tags is None:
        return None
    bits, samples = max(tags.get(BITS, (1,))), int(tags.get(SAMPLES, 1))
    kind = max(tags.get(FORMAT, (1,)))
    inverted = tags.get(PHOTOMETRIC) == MIN_IS_WHITE and bits > 8
    webp = tags.get(COMPRESSION) == WEBP
    if not (inverted or bits in DEEP or kind == SIGNED or webp or (bits > 8 and samples > 1)):
        return None
    import imagecodecs

    pixels = np.asarray(imagecodecs.tiff_decode(content, index=page))
    if samples > 1 and tags.get(PLANAR) == PLANES_APART:
        pixels = np.moveaxis(pixels, 0, -1)
    if tags.get(PHOTOMETRIC) == MIN_IS_WHITE:
        whole = pixels.dtype.kind == "u"
        pixels = (2**bits - 1 if whole else pixels.max()) - pixels
    extra = tags.get(EXTRA_SAMPLES, (ALPHA,))
    kind_of_extra = extra[0] if len(extra) == 1 else None
    if kind_of_extra != ALPHA and pixels.ndim == 3:
        pixels = pixels[..., : samples - len(extra)]
        pixels = pixels[..., 0] if pixels.shape[2] == 1 else pixels
    return _upright(image, _without_alpha(pixels))


def _is_deep_png(content: bytes) -> bool:
    """Whether the header chunk says 16 bits of colour, or of grey with alpha."""
    depth, colours = content[24], content[25]
    return depth == 16 and colours != 0


def _png(content: bytes) -> NDArray[Any]:
    import imagecodecs

    return _without_alpha(np.asarray(imagecodecs.png_decode(content)))


def _without_alpha(pixels: NDArray[Any]) -> NDArray[Any]:
    """Return grey or three channels; what is transparent becomes black."""
    if pixels.ndim == 2 or pixels.shape[2] == 3:
        return pixels
    if pixels.shape[2] not in {2, 4}:
        raise ValueError(pixels.shape)
    seen, alpha = pixels[..., :-1], pixels[..., -1:]
    opaque = float(np.iinfo(pixels.dtype).max)  # an error for floats: they have no such value
    blended = np.rint(seen * (alpha / opaque)).astype(pixels.dtype)
    return blended[..., 0] if blended.shape[2] == 1 else blended


def without_transparency(pixels: NDArray[Any], key: int) -> NDArray[Any]:
    """Return grey with the value that stands for transparent made black."""
    return np.where(pixels == key, pixels.dtype.type(0), pixels)


def _upright(image: Image, pixels: NDArray[Any]) -> NDArray[Any]:
    """Turn an array as the image's EXIF orientation says."""
    turn = TURNS.get(image.getexif().get(ORIENTATION, 1))
    return pixels if turn is None else np.ascontiguousarray(turn(pixels))
