"""What an upload offers to choose from, told without anything that names the patient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from brainmets.domain.errors import NoDicom, SeveralSeries, UnknownSeries
from brainmets.io.dicom_groups import Group, distinct_instances, joined_series, left_aside, split
from brainmets.io.dicom_stack import positions_along_normal
from brainmets.io.entries import natural_order
from brainmets.io.sequences import guess_from_hints

if TYPE_CHECKING:
    from collections.abc import Sequence as Ordered

    from brainmets.domain.case import Sequence
    from brainmets.domain.errors import DicomHeader
    from brainmets.io.dicom_scan import Frame, Scan
    from brainmets.io.limits import Limits

__all__ = ["DicomSeries", "SeriesInfo", "choose", "choose_series", "group_series"]

SHOWN_CHOICES = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesInfo:
    """One thing to choose in an upload.

    `index` counts from 1 and is what a user types; `uid` is the DICOM Series Instance UID, or the
    file name for NIfTI and slice images. `description` is made of modality, size and spacing,
    never of text from the header. `shape` and `spacing_mm` are (column, row, slice); None where
    the header does not say. `guess` is the likely sequence, for the user to confirm.
    """

    index: int
    uid: str
    number: int | None
    modality: str
    description: str
    slices: int
    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float] | None
    guess: Sequence | None

    @property
    def choice(self) -> str:
        """What chooses this one and no other, whatever the series numbers."""
        return f"line:{self.index}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DicomSeries:
    """The frames of one volume, what to show of them, and what was done to find them.

    `faults` are those of files that may be slices of this series: it must not be read without
    them.
    """

    info: SeriesInfo
    frames: tuple[Frame, ...]
    notes: tuple[str, ...] = ()
    faults: tuple[DicomHeader, ...] = ()


def group_series(found: Scan, limits: Limits) -> tuple[DicomSeries, ...]:
    """Group frames into volumes: by series UID and number, and within one by what tells them apart.

    Copies of one instance count once. Localisers and projections among slices, and series of
    fewer slices than a head has, are left out where anything else remains. Slices that each have
    a series of their own are joined.

    Raises:
        NoDicom: there is no MR image at all.
        DicomHeader: there is one, but it cannot be read.
    """
    frames, notes = distinct_instances(found.frames)
    volumes = [volume for group in joined_series(frames, limits) for volume in split(group)]
    if not volumes:
        for _, fault in found.broken:
            raise fault
        raise NoDicom(
            "no MR image series among the DICOM files",
            expected="an MR series",
            remedy="give the folder or zip of the original MR images",
        )
    proper = [one for one in volumes if not all(frame.localiser for frame in one.frames)]
    long = [one for one in proper or volumes if len(one.frames) >= limits.min_slices]
    kept = sorted(long or proper or volumes, key=_order)
    others = (*notes, *left_aside(found.aside))
    return tuple(_series(index, one, found, others) for index, one in enumerate(kept, start=1))


def _order(group: Group) -> tuple[object, ...]:
    first = group.frames[0]
    facets = tuple(natural_order(value) for _, value in first.facets)
    return first.series_number, first.series_uid, facets


def _series(index: int, group: Group, found: Scan, notes: tuple[str, ...]) -> DicomSeries:
    frames = list(group.frames)
    uids = {None, *(frame.series_uid for frame in frames)}
    return DicomSeries(
        info=_info(index, frames),
        frames=group.frames,
        notes=(*group.notes, *notes),
        faults=tuple(fault for uid, fault in found.broken if uid in uids),
    )


def choose_series(offered: Ordered[DicomSeries], wanted: str | None, name: str) -> DicomSeries:
    """Return the wanted series.

    Raises:
        SeveralSeries, UnknownSeries: see `choose`.
        DicomHeader: a file that may belong to it cannot be read.
    """
    chosen = offered[choose([one.info for one in offered], wanted, name)]
    for fault in chosen.faults:
        raise fault
    return chosen


def choose(offered: Ordered[SeriesInfo], wanted: str | None, name: str) -> int:
    """Return the position of the wanted series.

    That is a UID, a series number, an index (from 1) where no series has that number, or
    `line:` and an index.

    Raises:
        SeveralSeries: nothing is wanted and there is more than one, or several have that number.
        UnknownSeries: what is wanted is not there.
    """
    if wanted is None:
        if len(offered) == 1:
            return 0
        raise SeveralSeries(
            f"{name} holds {len(offered)} series ({_listed(offered)})",
            expected="one",
            remedy="choose one by its series number or line, with --series on the command line",
        )
    for fits in (
        [info.choice == wanted for info in offered],
        [info.uid == wanted for info in offered],
        [str(info.number) == wanted for info in offered],
        [str(info.index) == wanted for info in offered],
    ):
        if sum(fits) == 1:
            return fits.index(True)
        if any(fits):
            same = [info for info, fit in zip(offered, fits, strict=True) if fit]
            raise SeveralSeries(
                f"{name} holds {len(same)} volumes under that series ({_listed(same)})",
                expected="one",
                remedy=f"choose one by its line, for instance --series {same[0].choice}",
            )
    raise UnknownSeries(
        f"the chosen series is not one of the {len(offered)} in {name} ({_listed(offered)})",
        expected="an index, series number or UID from this list",
        remedy="choose one of them",
    )


def _listed(offered: Ordered[SeriesInfo]) -> str:
    shown = [
        f"{info.index}: {info.description}"
        + (f", series {info.number}" if info.number is not None else "")
        for info in offered[:SHOWN_CHOICES]
    ]
    return ", ".join([*shown, "and more"] if len(offered) > SHOWN_CHOICES else shown)


def _info(index: int, frames: list[Frame]) -> SeriesInfo:
    first = frames[0]
    shape = (first.columns, first.rows, len(frames))
    spacing = _spacing(frames)
    guess = guess_from_hints(first.hints)
    parts = [f"MR {' × '.join(map(str, shape))}"]
    if spacing:
        parts.append(f"at {' × '.join(f'{mm:.3g}' for mm in spacing)} mm")
    if guess:
        parts.append(f"looks like {guess}")
    return SeriesInfo(
        index=index,
        uid=first.series_uid,
        number=first.series_number,
        modality="MR",
        description=" ".join(parts),
        slices=len(frames),
        shape=shape,
        spacing_mm=spacing,
        guess=guess,
    )


def _spacing(frames: list[Frame]) -> tuple[float, float, float] | None:
    along = positions_along_normal(frames)
    row_mm, column_mm = frames[0].spacing_mm
    if along is None or len(along) < 2 or not (row_mm > 0 and column_mm > 0):
        return None
    return column_mm, row_mm, float(np.median(np.diff(np.sort(along))))
