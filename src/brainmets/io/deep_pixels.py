"""What Pillow reads as less than is stored, or not: 16-bit colour, signed, inverted pixels, WebP.

Pillow shortens 16-bit colour to its upper 8 bits, which leaves 6 of an MR image's 739 grey levels,
reads signed 8-bit pixels as unsigned ones, and not TIFF in WebP, which the LGG data set has.
imagecodecs decodes such pages as they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray
    from PIL.Image import Image

__all__ = [
    "BITS",
    "FORMAT",
    "ORIENTATION",
    "PHOTOMETRIC",
    "SAMPLES",
    "deep_pixels",
    "without_transparency",
]

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
