"""What Python users give, as cases and masks: a path, or a scan that is already in memory."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from brainmets.domain import Case, Mask, Source, Volume
from brainmets.domain.errors import ConstantImage, NonFinite, OptionError, VoxelType
from brainmets.io import DEFAULT_LIMITS, read_case, read_mask, read_volume, whole_labels
from brainmets.python.in_memory import (
    NOWHERE,
    Held,
    Placement,
    has_its_own,
    held_in_memory,
    is_bare,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    import SimpleITK
    import torch
    from nibabel.spatialimages import SpatialImage
    from numpy.typing import NDArray

    from brainmets.domain import Geometry, Sequence

    ScanLike = (
        str
        | os.PathLike[str]
        | NDArray[Any]
        | SpatialImage
        | SimpleITK.Image
        | torch.Tensor
        | Volume
        | Mask
    )
    """Everything that can be segmented or scored."""

__all__ = ["case_of", "mask_of", "volume_of"]


def case_of(
    x: ScanLike,
    place: Placement = NOWHERE,
    *,
    sequence: Sequence = "t1c",
    images: Mapping[Sequence, ScanLike] | None = None,
    series: str | None = None,
    channel: int | None = None,
) -> Case:
    """Return a scan as a case; `images` gives further sequences on the same grid.

    Raises:
        InputError: the scan cannot be used; each kind of fault has its own class and code.
        OptionError: `spacing` or `affine` for a scan that has its own, or one sequence twice.
    """
    others = dict(images or {})
    if sequence in others:
        raise OptionError(
            f"two images for the sequence {sequence}",
            expected="one image a sequence",
            remedy="leave one of them out",
        )
    main = _one_case(x, place, sequence=sequence, series=series, channel=channel)
    if not others:
        return main
    read: dict[Sequence, Case] = {sequence: main}
    for name, image in others.items():
        read[name] = _one_case(image, place, sequence=name)
    hashes = "".join(f"{name} {read[name].source.sha256}\n" for name in sorted(read))
    return Case(
        images={name: one.images[name] for name, one in read.items()},
        geometry=main.geometry,
        source=Source(
            format=main.source.format,
            sha256=hashlib.sha256(hashes.encode()).hexdigest(),
            slice_names=main.source.slice_names,
            notes=tuple(note for one in read.values() for note in one.source.notes),
        ),
        case_id=main.case_id,
        kind=main.kind,
    )


def volume_of(x: ScanLike, place: Placement = NOWHERE) -> Volume:
    """Return grey values or probabilities on their grid.

    Raises:
        InputError, OptionError: as `case_of`.
    """
    path = _path_of(x, place)
    if path is not None:
        return read_volume(path)
    if isinstance(x, Volume):
        return x
    held = held_in_memory(x, place, min_slices=1)
    return Volume(data=_grey(held), geometry=held.geometry)


def mask_of(x: ScanLike, place: Placement = NOWHERE, *, grid: Geometry | None = None) -> Mask:
    """Return labels on their grid; a bare array takes `grid`, that of the scan it belongs to.

    Raises:
        VoxelType: some values are negative or fractions.
        InputError, OptionError: as `case_of`.
    """
    path = _path_of(x, place)
    if path is not None:
        return read_mask(path)
    if isinstance(x, Mask):
        return x
    if grid is not None and not place.is_given and is_bare(x):
        place = Placement(affine=grid.affine)
    held = held_in_memory(x, place, min_slices=1)
    return Mask(data=_labels(held), geometry=held.geometry)


def _one_case(
    x: ScanLike,
    place: Placement,
    *,
    sequence: Sequence,
    series: str | None = None,
    channel: int | None = None,
) -> Case:
    path = _path_of(x, place)
    if path is not None:
        return read_case(path, series=series, sequence=sequence, channel=channel)
    if series is not None or channel is not None:
        raise OptionError(
            "series or channel for a scan in memory",
            expected="a path, where there is something to choose",
            remedy="leave them out",
        )
    held = held_in_memory(x, place, min_slices=DEFAULT_LIMITS.min_slices)
    grey = _grey(held)
    lowest, highest = float(grey.min()), float(grey.max())
    if lowest == highest:
        raise ConstantImage(
            f"{held.name} in which every voxel is {lowest:g}",
            expected="an image of a head",
            remedy="check that the right array was given",
        )
    digest = hashlib.sha256(grey.tobytes())
    digest.update(held.geometry.affine.tobytes())
    sha256 = digest.hexdigest()
    return Case(
        images={sequence: Volume(data=grey, geometry=held.geometry)},
        geometry=held.geometry,
        source=Source(format="array", sha256=sha256, notes=held.notes),
        case_id=f"array-{sha256[:12]}",
    )


def _path_of(x: object, place: Placement) -> Path | None:
    if not isinstance(x, (str, os.PathLike)):
        return None
    if place.is_given:
        raise has_its_own("a file")
    return Path(cast("str | os.PathLike[str]", x))


def _grey(held: Held) -> NDArray[np.float32]:
    if held.data.dtype.kind == "b":
        raise VoxelType(
            f"{held.name} holds true and false, as a mask does",
            expected="grey values",
            remedy="give the image, not the mask",
        )
    with np.errstate(over="ignore"):
        grey = held.data.astype(np.float32)
    if not np.isfinite(grey).all():
        raise NonFinite(
            f"{held.name} has voxels beyond {np.finfo(np.float32).max:.2g}",
            expected="values that 32-bit floats hold",
            remedy="rescale the image",
        )
    return grey


def _labels(held: Held) -> NDArray[np.unsignedinteger]:
    data = held.data.astype(np.uint8) if held.data.dtype.kind == "b" else held.data
    return whole_labels(data, held.name)
