"""Slice images: PNG, JPEG and TIFF, one or many, grey or in three channels.

Pixels come to lie at `data[column, row, slice]` with columns running to the patient's left and
rows to the back, the radiological display. Nothing in such a file says otherwise, and resolution
tags are not believed: screen programs write 72 dpi into everything. Units are therefore "px".

Colour images follow the convention of the LGG set (Buda 2019): T1 before contrast, FLAIR, T1 after
contrast. Where all channels agree the image is grey.
"""

from __future__ import annotations

import hashlib
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np

from brainmets.domain.errors import (
    BrokenImage,
    MissingSequence,
    MixedSlices,
    NonFinite,
    TooLarge,
)
from brainmets.domain.geometry import Geometry
from brainmets.domain.volume import Volume
from brainmets.io.dicom_scan import guarded
from brainmets.io.entries import safe_stem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from collections.abc import Sequence as Ordered

    from numpy.typing import NDArray
    from PIL.Image import Image

    from brainmets.domain.case import Sequence
    from brainmets.io.entries import Entry
    from brainmets.io.limits import Limits

__all__ = ["CHANNELS", "SliceStack", "read_slices", "slice_geometry", "stack_size"]

CHANNELS: Mapping[Sequence, int] = {"t1n": 0, "t2f": 1, "t1c": 2}
"""Channel of each sequence in a three-channel slice, by the convention of the LGG set."""

FORMATS = ("PNG", "JPEG", "TIFF")
GREY_WITHIN = 8
"""Of 255: JPEG's colour rounding stays below it."""

COLOURED_BEYOND = 0.05
"""Share of bright pixels that must be coloured for channels to be sequences, not annotations."""

LUMA = np.array([0.299, 0.587, 0.114])
"""ITU-R BT.601."""

WEBP_COMPRESSION = 50_001
TIFF_COMPRESSION, TIFF_STRIP_OFFSETS, TIFF_STRIP_BYTES = 259, 273, 279


class SliceStack:
    """Decoded slices with their names and the hash of their files."""

    __slots__ = ("names", "sha256", "volume")

    def __init__(self, volume: Volume, names: tuple[str, ...], sha256: str) -> None:
        self.volume = volume
        self.names = names
        self.sha256 = sha256


def slice_geometry(columns: int, rows: int, slices: int) -> Geometry:
    """Return the grid of slice images: one "mm" a pixel, columns to the left, rows to the back."""
    affine = np.diag([-1.0, -1.0, -1.0, 1.0])
    return Geometry(shape=(columns, rows, slices), affine=affine, units="px")


def read_slices(
    entries: Ordered[Entry], sequence: Sequence, limits: Limits, *, channel: int | None = None
) -> SliceStack:
    """Read slice images, and every page of TIFF stacks, into one stack in the order given.

    `channel` picks a channel of colour images; by default it follows from `sequence`.

    Raises:
        BrokenImage: an image cannot be decoded.
        TooLarge: an image, or all together, exceed `limits`.
        MixedSlices: the images differ in size.
        MissingSequence: the images are colour and have no channel for the sequence.
        NonFinite: a float TIFF holds NaN or infinity.
    """
    planes: list[NDArray[np.float32]] = []
    names: list[str] = []
    digest = hashlib.sha256()
    for entry in entries:
        content = entry.read()
        digest.update(hashlib.sha256(content).digest())
        pages = list(_pages(content, entry.name, limits))
        stem = safe_stem(entry.name, "slice")
        for number, page in enumerate(pages, start=1):
            planes.append(_grey(page, sequence, channel, entry.name))
            names.append(stem if len(pages) == 1 else f"{stem}-{number:04d}")
        _check_total(planes, limits)
    sizes = {plane.shape for plane in planes}
    if len(sizes) > 1:
        shown = ", ".join(f"{columns} × {rows}" for rows, columns in sorted(sizes)[:4])
        raise MixedSlices(
            f"slice images of different sizes ({shown})",
            expected="one size",
            remedy="give the slices of one series, without their masks or previews",
        )
    stack = np.stack(planes)
    rows, columns = planes[0].shape
    return SliceStack(
        Volume(data=stack.transpose(2, 1, 0), geometry=slice_geometry(columns, rows, len(planes))),
        _unique(names),
        digest.hexdigest(),
    )


def stack_size(entries: Ordered[Entry], limits: Limits) -> tuple[int, int, int]:
    """Return columns, rows of the first image and the number of slices, decoding no pixels.

    Raises:
        BrokenImage: an image's header cannot be read.
    """
    from PIL import Image

    slices = 0
    size = (0, 0)
    for entry in entries:
        fault = _fault(entry.name)
        with guarded(fault), Image.open(BytesIO(entry.read()), formats=FORMATS) as image:
            size = size if slices else image.size
            pages = getattr(image, "n_frames", 1) if image.format == "TIFF" else 1
        slices += min(pages, limits.max_slices)
    return size[0], size[1], slices


def _fault(name: str) -> BrokenImage:
    return BrokenImage(
        f"{name} cannot be decoded as an image",
        expected="a complete PNG, JPEG or TIFF",
        remedy="save the image again, for instance as PNG",
    )


def _check_total(planes: list[NDArray[np.float32]], limits: Limits) -> None:
    voxels = sum(plane.size for plane in planes)
    if len(planes) > limits.max_slices or voxels > limits.max_voxels:
        raise TooLarge(
            f"more than {limits.max_slices:,} slice images or {limits.max_voxels:,} pixels",
            expected="the slices of one examination",
            remedy="give fewer slices",
        )


def _pages(content: bytes, name: str, limits: Limits) -> Iterator[NDArray[Any]]:
    """Yield each page as (row, column) or (row, column, 3)."""
    from PIL import Image

    fault = _fault(name)
    with guarded(fault):
        image = Image.open(BytesIO(content), formats=FORMATS)
    with image:
        for number in range(limits.max_slices + 1):
            with guarded(fault):
                if not _turn_to(image, number):
                    return
                _check_pixels(image, name, limits)
                page = _pixels(image, content)
            if page.dtype.kind == "f" and not np.isfinite(page).all():
                raise NonFinite(
                    f"{name} has pixels that are NaN or infinite",
                    expected="finite pixels",
                    remedy="replace them and save the image again",
                )
            yield page


def _turn_to(image: Image, page: int) -> bool:
    if page and image.format != "TIFF":
        return False
    try:
        image.seek(page)
    except EOFError:
        return False
    return True


def _check_pixels(image: Image, name: str, limits: Limits) -> None:
    columns, rows = image.size
    if columns * rows > limits.max_image_pixels:
        raise TooLarge(
            f"{name} declares {columns:,} × {rows:,} pixels",
            expected=f"at most {limits.max_image_pixels:,}",
            remedy="give the slice at its original size",
        )


def _pixels(image: Image, content: bytes) -> NDArray[Any]:
    from PIL import ImageOps

    picture = _webp_page(image, content) or image
    picture = ImageOps.exif_transpose(picture)
    if picture.mode in {"P", "PA", "CMYK", "YCbCr", "LAB", "HSV"}:
        picture = picture.convert("RGBA" if "transparency" in picture.info else "RGB")
    if picture.mode == "1":
        picture = picture.convert("L")
    if picture.mode in {"LA", "La", "RGBA", "RGBa", "RGBX"}:
        picture = _over_black(picture)
    pixels = np.asarray(picture)
    return pixels.astype(pixels.dtype.newbyteorder("="), copy=False)


def _over_black(picture: Image) -> Image:
    from PIL import Image

    colours = picture.convert("RGBA")
    black = Image.new("RGBA", colours.size, (0, 0, 0, 255))
    return Image.alpha_composite(black, colours).convert("RGB")


def _webp_page(image: Image, content: bytes) -> Image | None:
    """Decode a WebP-compressed TIFF page strip by strip.

    Pillow's libtiff is built without WebP, but Pillow itself reads WebP, and each strip of such
    a page is a complete WebP picture; so no further codec package is needed.
    """
    from PIL import Image

    tags: Any = getattr(image, "tag_v2", None)
    if tags is None or tags.get(TIFF_COMPRESSION) != WEBP_COMPRESSION:
        return None
    page = Image.new(image.mode, image.size)
    top = 0
    for offset, count in zip(tags[TIFF_STRIP_OFFSETS], tags[TIFF_STRIP_BYTES], strict=True):
        with Image.open(BytesIO(content[offset : offset + count]), formats=("WEBP",)) as strip:
            if strip.width != image.width or top + strip.height > image.height:
                raise ValueError(strip.size)
            page.paste(strip.convert(image.mode), (0, top))
            top += strip.height
    if top != image.height:
        raise ValueError(top)
    page.info = dict(image.info)
    return page


def _grey(
    page: NDArray[Any], sequence: Sequence, channel: int | None, name: str
) -> NDArray[np.float32]:
    if page.ndim == 2:
        return page.astype(np.float32)
    colours = page[..., :3].astype(np.float32)
    if channel is None and not _is_coloured(colours):
        return (colours @ LUMA).astype(np.float32)
    if channel is None and sequence not in CHANNELS:
        raise MissingSequence(
            f"{name} has three channels, read as T1, FLAIR and T1 with contrast",
            expected=f"a channel for {sequence}",
            remedy="give that sequence as a grey image, or name the channel",
        )
    picked = CHANNELS[sequence] if channel is None else channel
    if not 0 <= picked < colours.shape[2]:
        raise MissingSequence(
            f"{name} has no channel {picked}",
            expected=f"0 to {colours.shape[2] - 1}",
            remedy="choose another channel",
        )
    return np.ascontiguousarray(colours[..., picked])


def _is_coloured(colours: NDArray[np.float32]) -> bool:
    spread = colours.max(axis=-1) - colours.min(axis=-1)
    bright = colours.max(axis=-1) > GREY_WITHIN
    coloured = np.count_nonzero(spread > GREY_WITHIN)
    return bool(coloured > COLOURED_BEYOND * max(1, np.count_nonzero(bright)))


def _unique(names: list[str]) -> tuple[str, ...]:
    """Number repeated names, since results are written under them."""
    seen: set[str] = set()
    unique: list[str] = []
    for name in names:
        candidate, count = name, 1
        while candidate.casefold() in seen:
            count += 1
            candidate = f"{name}-{count}"
        seen.add(candidate.casefold())
        unique.append(candidate)
    return tuple(unique)
