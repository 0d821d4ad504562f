"""What an upload offers to choose from, told without anything that names the patient."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from brainmets.domain.errors import NoDicom, SeveralSeries, UnknownSeries
from brainmets.io.dicom_stack import DUPLICATE_WITHIN, positions_along_normal
from brainmets.io.sequences import guess_from_hints

if TYPE_CHECKING:
    from collections.abc import Iterable
    from collections.abc import Sequence as Ordered

    from brainmets.domain.case import Sequence
    from brainmets.io.dicom_scan import Frame
    from brainmets.io.limits import Limits

__all__ = ["DicomSeries", "SeriesInfo", "choose", "group_series"]

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


@dataclass(frozen=True, slots=True, kw_only=True)
class DicomSeries:
    """The frames of one volume and what to show of them."""

    info: SeriesInfo
    frames: tuple[Frame, ...]


def group_series(frames: Iterable[Frame], limits: Limits) -> tuple[DicomSeries, ...]:
    """Group frames into volumes: by series, and within one by echo, image type or time point.

    Localisers, and series of fewer slices than a head has, are left out where anything else
    remains.

    Raises:
        NoDicom: there is no frame at all.
    """
    by_uid: dict[str, list[Frame]] = defaultdict(list)
    for frame in frames:
        by_uid[frame.series_uid].append(frame)
    volumes = [volume for series in by_uid.values() for volume in _volumes(series)]
    if not volumes:
        raise NoDicom(
            "no MR image series among the DICOM files",
            expected="an MR series",
            remedy="give the folder or zip of the original MR images",
        )
    proper = [volume for volume in volumes if not all(frame.localiser for frame in volume)]
    long = [volume for volume in proper or volumes if len(volume) >= limits.min_slices]
    kept = sorted(
        long or proper or volumes,
        key=lambda volume: (volume[0].series_number, volume[0].series_uid, volume[0].facets),
    )
    return tuple(
        DicomSeries(info=_info(index, volume), frames=tuple(volume))
        for index, volume in enumerate(kept, start=1)
    )


def choose(offered: Ordered[SeriesInfo], wanted: str | None, name: str) -> int:
    """Return the position of the wanted series, by UID, index (from 1) or series number.

    Raises:
        SeveralSeries: nothing is wanted and there is more than one.
        UnknownSeries: what is wanted is not there.
    """
    if wanted is None:
        if len(offered) == 1:
            return 0
        raise SeveralSeries(
            f"{name} holds {len(offered)} series ({_listed(offered)})",
            expected="one",
            remedy="choose one by its index, with --series on the command line",
        )
    for fits in (
        [info.uid == wanted for info in offered],
        [str(info.index) == wanted for info in offered],
        [str(info.number) == wanted for info in offered],
    ):
        if sum(fits) == 1:
            return fits.index(True)
    raise UnknownSeries(
        f"the chosen series is not one of the {len(offered)} in {name} ({_listed(offered)})",
        expected="an index, series number or UID from this list",
        remedy="choose one of them",
    )


def _listed(offered: Ordered[SeriesInfo]) -> str:
    shown = [f"{info.index}: {info.description}" for info in offered[:SHOWN_CHOICES]]
    return ", ".join([*shown, "and more"] if len(offered) > SHOWN_CHOICES else shown)


def _volumes(frames: list[Frame]) -> list[list[Frame]]:
    """Split a series that holds several volumes, if one facet explains all that coincides."""
    if not _coincide(frames):
        return [frames]
    for facet, _ in frames[0].facets:
        parts: dict[str, list[Frame]] = defaultdict(list)
        for frame in frames:
            parts[dict(frame.facets)[facet]].append(frame)
        alike = len({len(part) for part in parts.values()}) == 1
        if len(parts) > 1 and alike and not any(_coincide(part) for part in parts.values()):
            return list(parts.values())
    return [frames]


def _coincide(frames: list[Frame]) -> bool:
    along = positions_along_normal(frames)
    if along is None or len(along) < 2:
        return False
    gaps = np.diff(np.sort(along))
    typical = float(np.median(gaps[gaps > 1e-3])) if (gaps > 1e-3).any() else 0.0
    return bool((gaps <= DUPLICATE_WITHIN * typical).any())


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
