"""Slice images: PNG, JPEG and TIFF, one or many, grey or in three channels.

Pixels come to be at `data[column, row, slice]` with columns running to the patient's left and
rows to the back, the radiological display. Nothing in such a file says otherwise, and resolution
tags are not believed: screen programs write 72 dpi into everything. Units are therefore "px".

Colour images follow the convention of the LGG set (Buda et al. 2019): T1 before contrast, FLAIR, T1
after contrast. Where the channels agree the image is grey.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from brainmets.domain.errors import MissingSequence, MixedSlices, TooLarge
from brainmets.domain.geometry import Geometry
from brainmets.domain.volume import Volume
from brainmets.io.entries import safe_stem
from brainmets.io.picture import declared_size, pages

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Sequence as Ordered

    from numpy.typing import NDArray

    from brainmets.domain.case import Sequence
    from brainmets.io.entries import Entry
    from brainmets.io.limits import Limits

__all__ = ["CHANNELS", "SliceStack", "read_slices", "slice_geometry", "stack_size"]

CHANNELS: Mapping[Sequence, int] = MappingProxyType({"t1n": 0, "t2f": 1, "t1c": 2})
"""Channel of each sequence in a three-channel slice, by the convention of the LGG set."""

GREY_WITHIN = 8
"""Of 255: JPEG's colour rounding stays below it."""

COLOURED_BEYOND = 0.05
"""Share of bright pixels that must be coloured for channels to be sequences, not annotations."""

LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
"""ITU-R BT.601."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SliceStack:
    """Decoded slices with their names, the hash of their files and what was assumed."""

    volume: Volume
    names: tuple[str, ...]
    sha256: str
    notes: tuple[str, ...]


def slice_geometry(columns: int, rows: int, slices: int) -> Geometry:
    """Return the grid of slice images: one "mm" a pixel, columns to the left, rows to the back."""
    affine = np.diag([-1.0, -1.0, -1.0, 1.0])
    return Geometry(shape=(columns, rows, slices), affine=affine, units="px")


def stack_size(entries: Ordered[Entry], limits: Limits) -> tuple[int, int, int]:
    """Return columns and rows of the first image, and the number of slices, decoding no pixels.

    Raises:
        BrokenImage: an image's header cannot be read.
    """
    sizes = [declared_size(entry, limits) for entry in entries]
    return sizes[0][0], sizes[0][1], sum(count for _, _, count in sizes)


def read_slices(
    entries: Ordered[Entry], sequence: Sequence, limits: Limits, *, channel: int | None = None
) -> SliceStack:
    """Read slice images, and every page of TIFF stacks, into one stack in the order given.

    `channel` picks a channel of colour images; by default it follows from `sequence`.

    Raises:
        BrokenImage: an image cannot be decoded.
        TooLarge, Bomb: an image, or all together, exceed `limits`.
        MixedSlices: the images differ in size, or some are colour and some are not.
        MissingSequence: the images are colour and have no channel for the sequence.
        NonFinite: a float TIFF holds NaN or infinity.
    """
    planes: list[NDArray[Any]] = []
    names: list[str] = []
    digest = hashlib.sha256()
    for entry in entries:
        content = entry.read()
        digest.update(hashlib.sha256(content).digest())
        before = len(planes)
        for page in pages(content, entry.name, limits):
            planes.append(page)
            _check_total(planes, limits)
        stem, added = safe_stem(entry.name, "slice"), len(planes) - before
        names += [stem] if added == 1 else [f"{stem}-{page + 1:04d}" for page in range(added)]
    _check_alike(planes)
    grey, notes = _grey(planes, sequence, channel)
    rows, columns = planes[0].shape[:2]
    geometry = slice_geometry(columns, rows, len(planes))
    return SliceStack(
        volume=Volume(data=grey.transpose(2, 1, 0), geometry=geometry),
        names=_unique(names),
        sha256=digest.hexdigest(),
        notes=notes,
    )


def _check_total(planes: list[NDArray[Any]], limits: Limits) -> None:
    voxels = len(planes) * planes[-1].shape[0] * planes[-1].shape[1]
    if len(planes) > limits.max_slices or voxels > limits.max_voxels:
        raise TooLarge(
            f"more than {limits.max_slices:,} slice images or {limits.max_voxels:,} pixels",
            expected="the slices of one examination",
            remedy="give fewer slices",
        )
    if planes[-1].shape[:2] != planes[0].shape[:2]:
        _check_alike(planes)


def _check_alike(planes: list[NDArray[Any]]) -> None:
    sizes = {plane.shape[:2] for plane in planes}
    if len(sizes) > 1:
        shown = ", ".join(f"{columns} × {rows}" for rows, columns in sorted(sizes))
        raise MixedSlices(
            f"slice images of different sizes ({shown})",
            expected="one size",
            remedy="give the slices of one series, without their masks or previews",
        )


def _grey(
    planes: list[NDArray[Any]], sequence: Sequence, channel: int | None
) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """Return (slice, row, column) of one channel or of the grey values, and what was assumed."""
    grey = np.empty((len(planes), *planes[0].shape[:2]), dtype=np.float32)
    coloured = channel is not None or _is_coloured(planes)
    picked = _channel(sequence, channel) if coloured else -1
    for number, plane in enumerate(planes):
        if plane.ndim == 2:
            grey[number] = plane
        else:
            grey[number] = plane[..., picked] if coloured else plane.astype(np.float32) @ LUMA
    notes = _notes(planes, sequence, picked) if coloured and channel is None else ()
    return grey, notes


def _channel(sequence: Sequence, channel: int | None) -> int:
    if channel is None and sequence not in CHANNELS:
        raise MissingSequence(
            "colour slices, read as T1, FLAIR and T1 with contrast",
            expected=f"a channel for {sequence}",
            remedy="give that sequence as a grey image, or name the channel",
        )
    picked = CHANNELS[sequence] if channel is None else channel
    if picked not in range(3):
        raise MissingSequence(
            f"no channel {picked} in a colour image",
            expected="0, 1 or 2",
            remedy="choose another channel",
        )
    return picked


def _is_coloured(planes: list[NDArray[Any]]) -> bool:
    bright = coloured = 0
    for plane in planes:
        if plane.ndim == 3:
            highest = plane.max(axis=-1)
            spread = highest - plane.min(axis=-1)
            # of 255; deeper pixels may use a small part of their range
            within = GREY_WITHIN * (1 if plane.dtype == np.uint8 else float(highest.max()) / 255)
            bright += int(np.count_nonzero(highest > within))
            coloured += int(np.count_nonzero(spread > within))
    return coloured > COLOURED_BEYOND * bright


def _notes(planes: list[NDArray[Any]], sequence: Sequence, picked: int) -> tuple[str, ...]:
    first = (
        f"Colour slices: channel {picked + 1} of 3 was read as {sequence}, by the LGG set's order "
        "(T1, FLAIR, T1 with contrast)."
    )
    others = [
        other
        for other in range(3)
        if other != picked
        and all(plane.ndim == 3 and _equal(plane, picked, other) for plane in planes)
    ]
    if not others:
        return (first,)
    second = (
        f"Channel {picked + 1} repeats channel {others[0] + 1}: the LGG set puts FLAIR where a "
        f"sequence is missing, so this may not be {sequence}."
    )
    return first, second


def _equal(plane: NDArray[Any], one: int, other: int) -> bool:
    return bool((plane[..., one] == plane[..., other]).all())


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
