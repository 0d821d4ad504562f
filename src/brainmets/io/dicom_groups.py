"""Which DICOM frames make one volume, however their series are numbered."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from brainmets.io.dicom_stack import DUPLICATE_WITHIN, positions_along_normal

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator
    from collections.abc import Sequence as Ordered

    from brainmets.io.dicom_scan import Frame
    from brainmets.io.limits import Limits

__all__ = ["Group", "distinct_instances", "joined_series", "left_aside", "split"]

SHOWN_FILES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Frames that belong together, and what was done to find them."""

    frames: tuple[Frame, ...]
    notes: tuple[str, ...] = ()


def left_aside(files: Ordered[tuple[str, str]]) -> tuple[str, ...]:
    """Name files that were not read and what they are."""
    if not files:
        return ()
    shown = [f"{name} ({what})" for name, what in files[:SHOWN_FILES]]
    more = len(files) - len(shown)
    return (f"Left aside: {', '.join(shown)}{f' and {more} more' if more else ''}.",)


def distinct_instances(frames: Ordered[Frame]) -> tuple[list[Frame], tuple[str, ...]]:
    """Drop copies: the same instance, in the same place, with the same pixels."""
    seen: dict[Hashable, list[Frame]] = defaultdict(list)
    digests: dict[int, bytes] = {}
    kept: list[Frame] = []
    for frame in frames:
        same = seen[
            frame.instance_uid, frame.index, frame.series_uid, frame.series_number,
            frame.orientation, frame.position, frame.rows, frame.columns, frame.facets,
        ]  # fmt: skip
        if any(_digest(other, digests) == _digest(frame, digests) for other in same):
            continue
        same.append(frame)
        kept.append(frame)
    dropped = len(frames) - len(kept)
    if not dropped:
        return kept, ()
    copies = "1 copy" if dropped == 1 else f"{dropped:,} copies"
    return kept, (f"{copies} of the same image {'was' if dropped == 1 else 'were'} read once.",)


def _digest(frame: Frame, digests: dict[int, bytes]) -> bytes:
    """Hash what follows the header of the frame's file."""
    key = id(frame.entry)
    if key not in digests:
        digests[key] = hashlib.sha256(frame.entry.read()[frame.pixels.at :]).digest()
    return digests[key]


def joined_series(frames: Ordered[Frame], limits: Limits) -> Iterator[Group]:
    """Group by series UID and number; join single slices that share one of them and a grid."""
    groups: dict[Hashable, list[Frame]] = defaultdict(list)
    for frame in frames:
        groups[frame.series_uid, frame.series_number].append(frame)
    for shared, by in (("series number", _by_number), ("series UID", _by_uid)):
        short = [key for key, group in groups.items() if len(group) < limits.min_slices]
        joint: dict[Hashable, list[Hashable]] = defaultdict(list)
        for key in short:
            joint[by(groups[key][0])].append(key)
        for keys in joint.values():
            together = [frame for key in keys for frame in groups[key]]
            if len(keys) > 1 and len(together) >= limits.min_slices:
                for key in keys:
                    del groups[key]
                note = f"{len(keys):,} series of one {shared} were read as one."
                yield Group(frames=tuple(together), notes=(note,))
    for group in groups.values():
        yield Group(frames=tuple(group))


def _by_number(frame: Frame) -> Hashable:
    return frame.series_number, _grid(frame)


def _by_uid(frame: Frame) -> Hashable:
    return frame.series_uid, _grid(frame)


def _grid(frame: Frame) -> Hashable:
    turned = tuple(round(one, 2) for one in frame.orientation or ())
    spacing = tuple(round(one, 3) for one in frame.spacing_mm)
    return frame.rows, frame.columns, turned, spacing, _other_plane(frame)


def split(group: Group) -> list[Group]:
    """Split a group that holds several volumes, if what tells its frames apart explains it.

    Single planes among the slices that are none, localisers and projections, are left aside.
    """
    slices, planes = _without_planes(group.frames)
    notes = (*group.notes, *planes)
    if not _coincide(slices):
        return [Group(frames=slices, notes=notes)]
    names = [name for name, _ in slices[0].facets]
    for count in range(1, len(names) + 1):
        for chosen in combinations(names, count):
            parts: dict[Hashable, list[Frame]] = defaultdict(list)
            for frame in slices:
                facets = dict(frame.facets)
                parts[tuple(facets[name] for name in chosen)].append(frame)
            alike = len({len(part) for part in parts.values()}) == 1
            if len(parts) > 1 and alike and not any(_coincide(part) for part in parts.values()):
                return [Group(frames=tuple(part), notes=notes) for part in parts.values()]
    return [Group(frames=slices, notes=notes)]


def _without_planes(frames: tuple[Frame, ...]) -> tuple[tuple[Frame, ...], tuple[str, ...]]:
    other = [_other_plane(frame) for frame in frames]
    if not any(other) or all(other):
        return frames, ()
    named = [(one.entry.name, what) for one, what in zip(frames, other, strict=True) if what]
    rest = tuple(one for one, what in zip(frames, other, strict=True) if not what)
    return rest, left_aside(named)


def _other_plane(frame: Frame) -> str:
    """Name a plane that is not a slice of a volume of MR images."""
    if frame.localiser:
        return "localiser"
    if frame.projection:
        return "projection through slices"
    return "secondary capture" if frame.capture else ""


def _coincide(frames: Ordered[Frame]) -> bool:
    along = positions_along_normal(frames)
    if along is None or len(along) < 2:
        return False
    gaps = np.diff(np.sort(along))
    typical = float(np.median(gaps[gaps > 1e-3])) if (gaps > 1e-3).any() else 0.0
    return bool((gaps <= DUPLICATE_WITHIN * typical).any())
