"""The other images of an examination, brought onto the grid of the one that was segmented."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from brainmets.domain import RigidMotion, Volume
from brainmets.domain.errors import BrainmetsError, Mirrored, NotAligned
from brainmets.io import list_series, read_case
from brainmets.registration import align
from brainmets.registration.resampled import resampled

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from brainmets.domain import Geometry, Sequence
    from brainmets.io import SeriesInfo

__all__ = ["MOST_SHOWN", "OtherSequence", "Placing", "other_sequences"]

MOST_SHOWN = 3
"""Besides the segmented one: what fits next to each other on a screen."""

LEAST_SLICES = 5

SAME_VOXEL = 0.1
"""How far a voxel may be from one of the other grid, in its widths, to be the same one."""

MOST_TURN_DEG, MOST_SHIFT_MM = 20.0, 30.0
"""Further no head moves between two series of one examination: such a fit is chance."""

Placing = Literal["same grid", "registered", "header"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OtherSequence:
    """One more image of the examination.

    Attributes:
        info: What the input says of it.
        sequence: What it is, as the user or its header says; None where neither does.
        volume: On the grid that was asked for; None where it cannot be read.
        placing: How its place was found: it has the same voxels, it was registered, or its
            header alone says where it is.
        similarity: Of the registration, as `Alignment.similarity`; None without one.
        problem: Why it cannot be shown.
    """

    info: SeriesInfo
    sequence: Sequence | None
    volume: Volume | None = None
    placing: Placing = "header"
    similarity: float | None = None
    problem: BrainmetsError | None = None


def other_sequences(
    path: Path, main: Volume, *, segmented: str | None, named: tuple[Sequence, ...] = ()
) -> Iterator[OtherSequence]:
    """Read what else `path` holds, likely sequences first, each on the grid of `main`.

    Images with other voxels are registered to `main`; where that fails, as between contrasts
    that are too different, the header's own place is taken.

    Args:
        path: the input as `read_case` takes it.
        main: the image that was segmented, on the grid that is wanted.
        segmented: the `choice` of that image among those of the input.
        named: the sequence of each file, where the user has said.
    """
    offered = list_series(path)
    if len(offered) < 2:
        return
    others: list[tuple[SeriesInfo, Sequence | None]] = [
        (info, named[number] if len(named) == len(offered) else info.guess)
        for number, info in enumerate(offered)
        if info.choice != segmented and info.modality != "image" and info.slices >= LEAST_SLICES
    ]
    others.sort(key=lambda one: (one[1] is None, -one[0].slices))
    for info, sequence in others[:MOST_SHOWN]:
        try:
            case = read_case(path, series=info.choice, sequence=sequence or "t1c")
            image = next(iter(case.images.values()))
            volume, placing, similarity = _placed(image, main)
        except BrainmetsError as error:
            yield OtherSequence(info=info, sequence=sequence, problem=error)
        else:
            yield OtherSequence(
                info=info,
                sequence=sequence,
                volume=volume,
                placing=placing,
                similarity=similarity,
            )


def _placed(image: Volume, main: Volume) -> tuple[Volume, Placing, float | None]:
    grid, motion = main.geometry, RigidMotion.identity()
    placing: Placing = "same grid"
    similarity: float | None = None
    if not _same_voxels(image.geometry, grid):
        placing = "header"
        try:
            found = align(main, image)
        except (NotAligned, Mirrored):
            found = None
        if found is not None and _is_small(found.motion, grid):
            motion, placing, similarity = found.motion, "registered", found.similarity
    data = resampled(image.data, image.geometry, motion, grid, order=1)
    return Volume(data=np.asarray(data, dtype=np.float32), geometry=grid), placing, similarity


def _same_voxels(own: Geometry, grid: Geometry) -> bool:
    """Whether every voxel of `grid` is one of `own`."""
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in grid.shape])).reshape(3, -1).T
    there = own.to_voxel(grid.to_ras_mm(corners))
    inside = (there > -SAME_VOXEL) & (there < np.array(own.shape) - 1 + SAME_VOXEL)
    return bool(inside.all() and (np.abs(there - np.rint(there)) < SAME_VOXEL).all())


def _is_small(motion: RigidMotion, grid: Geometry) -> bool:
    middle = grid.to_ras_mm((np.array(grid.shape) - 1) / 2)
    shift = float(np.linalg.norm(motion.apply(middle) - middle))
    return motion.angle_deg <= MOST_TURN_DEG and shift <= MOST_SHIFT_MM
