"""From the lesions of each scan to lesions followed over all of them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from brainmets.domain.errors import OptionError
from brainmets.tracking.lesions import Sighting, TrackedLesion
from brainmets.tracking.matching import LastSeen, match
from brainmets.tracking.response import Response, assess
from brainmets.tracking.rules import DEFAULT_RULES, Rules
from brainmets.tracking.timepoint import Footprint

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from brainmets.domain import Lesion
    from brainmets.tracking.lesions import State
    from brainmets.tracking.timepoint import TimePoint

__all__ = ["Followup", "follow", "refuse_too_few"]

NOT_IMAGED = Sighting(state="not imaged", diameter_mm=None, across_mm=None, volume_mm3=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Followup:
    """Lesions followed over scans, and what RANO-BM says of each scan.

    `days` since the first scan, None where unknown. `responses` has an entry a scan; the first
    is the reference.
    """

    days: tuple[int | None, ...]
    lesions: tuple[TrackedLesion, ...]
    responses: tuple[Response, ...]
    rules: Rules


def follow(times: Sequence[TimePoint], rules: Rules = DEFAULT_RULES) -> Followup:
    """Follow every lesion through all scans, in the order given, the first being the reference.

    Numbers are given in the order of appearance, in each scan the largest first, and stay.

    Raises:
        OptionError: there are fewer than two scans, or their days do not rise.
    """
    days = tuple(time.days for time in times)
    _check(days)
    trails: list[_Trail] = []
    for number in range(len(times)):
        _advance(trails, times, number, rules)
    targets = _targets(trails, times[0], rules)
    lesions = tuple(trail.told(target=trail.id in targets) for trail in trails)
    responses = assess(lesions, days, rules, lambda scan, ids: times[scan].extent_mm(ids))
    return Followup(days=days, lesions=lesions, responses=responses, rules=rules)


@dataclass(slots=True, kw_only=True, eq=False)
class _Trail:
    """A lesion on its way through the scans; `seen` are the scans that show all of it.

    `is_speck` says that it began next to another lesion and has stayed too small to be called new.
    """

    id: int = 0
    last: LastSeen
    place_ras_mm: tuple[float, float, float]
    sightings: list[Sighting] = field(default_factory=list[Sighting])
    seen: list[LastSeen] = field(default_factory=list["LastSeen"])
    first_mm: float = 0.0
    smallest_mm: float = 0.0
    smallest_mm3: float = 0.0
    first_mm3: float = 0.0
    is_speck: bool = False
    merged: list[_Trail] = field(default_factory=list["_Trail"])
    into: _Trail | None = None

    @property
    def root(self) -> _Trail:
        """The lesion under whose number it is measured now."""
        return self if self.into is None else self.into.root

    @property
    def there(self) -> bool:
        """Whether it was seen when its place was last imaged."""
        known = [one for one in self.sightings if one.state != "not imaged"]
        return bool(known) and known[-1].seen

    def merge_into(self, other: _Trail) -> None:
        """Be measured under another's number from now on, which is compared with both.

        Sizes are added up to what both together measured in the scan where both were seen.
        """
        self.into = other
        other.first_mm = self._together(other, other.first_mm + self.first_mm, 0)
        other.smallest_mm = self._together(other, other.smallest_mm + self.smallest_mm, -1)
        other.smallest_mm3 += self.smallest_mm3
        other.first_mm3 += self.first_mm3
        other.merged += [self, *self.merged]

    def _together(self, other: _Trail, added_mm: float, place: int) -> float:
        """Return a sum of diameters up to their common extent, if one scan shows all of them."""
        every = [trail for trail in (other, *other.merged, self, *self.merged) if trail.seen]
        seen = [trail.seen[place] for trail in every]
        if not seen or any(one.time is not seen[0].time for one in seen):
            return added_mm
        ids = {number for one in seen for number in one.ids}
        return min(added_mm, seen[0].time.extent_mm(ids))

    def told(self, *, target: bool) -> TrackedLesion:
        """Return it as a plain value."""
        return TrackedLesion(
            id=self.id,
            target=target,
            place_ras_mm=self.place_ras_mm,
            sightings=tuple(self.sightings),
        )


def refuse_too_few(scans: int) -> None:
    """Refuse what is no follow-up, before any work is done.

    Raises:
        OptionError: there are fewer than two scans.
    """
    if scans < 2:
        raise OptionError(
            f"{scans} scan{'s' * (scans != 1)} to follow lesions over",
            expected="at least two scans of one patient",
            remedy="add an earlier or a later scan",
        )


def _check(days: tuple[int | None, ...]) -> None:
    refuse_too_few(len(days))
    known = [day for day in days if day is not None]
    rising = all(a < b for a, b in pairwise(known))
    if known and (len(known) != len(days) or not rising):
        raise OptionError(
            "scans whose days do not rise from one to the next",
            expected="a later day for each scan, or no days at all",
            remedy="correct the dates",
        )


def _advance(trails: list[_Trail], times: Sequence[TimePoint], number: int, rules: Rules) -> None:
    """Take the next scan in: add one sighting to every trail, and the trails that begin."""
    time = times[number]
    found = time.footprints()
    followed = [trail for trail in trails if trail.into is None]
    matches = match([trail.last for trail in followed], time, found, rules)
    parts: dict[int, list[Lesion]] = {place: [] for place in range(len(followed))}
    begun: list[Lesion] = []
    for lesion in _largest_first(time.lesions):
        owner = matches.owner[lesion.id]
        (begun if owner is None else parts[owner]).append(lesion)
    for place, over in matches.covered.items():  # before sizes are compared with the references
        if followed[place].there:
            followed[place].merge_into(followed[over])
    for place, trail in enumerate(followed):
        if parts[place]:
            footprint = _joined([found[lesion.id] for lesion in parts[place]])
            _see(trail, time, parts[place], footprint, rules)
        elif trail.into is None:
            _miss(trail, time, rules)
    for trail in trails:
        if trail.into is not None:
            trail.sightings.append(Sighting(state="merged", into=trail.root.id))
    for lesion in begun:
        known = times[: number + 1]
        place = matches.beside.get(lesion.id)
        neighbour = None if place is None else followed[place].root.id
        trail = _begin(known, lesion, found[lesion.id], neighbour, rules)
        trail.id = len(trails) + 1
        trails.append(trail)


def _see(
    trail: _Trail, time: TimePoint, parts: list[Lesion], footprint: Footprint, rules: Rules
) -> None:
    """Note how large it is; `parts` are the lesions that it is now, the largest first."""
    shown = time.imaged_share(trail.last.footprint.points_mm) >= rules.whole
    known = trail.last.time.imaged_share(footprint.points_mm) >= rules.whole
    diameter = _diameter(time, parts, rules)
    volume = sum(lesion.volume_mm3 for lesion in parts)
    returned = not trail.there
    ids = tuple(lesion.id for lesion in parts)
    state = _state(diameter, trail, rules)
    if returned:
        state = "returned"
    elif trail.is_speck:
        trail.is_speck = rules.is_speck(volume)
        state = "uncertain" if trail.is_speck else "new"
    elif not known or (not shown and state != "growing"):
        state = "partly imaged"  # what is cut off may have grown, not shrunk
    trail.sightings.append(
        Sighting(
            state=state,
            diameter_mm=diameter,
            across_mm=parts[0].perpendicular_mm,
            volume_mm3=volume,
            parts=ids,
            whole=shown and known,
            first_mm=trail.first_mm,
            smallest_mm=0.0 if returned else trail.smallest_mm,
            notes=_notes(volume, state, trail, rules) if known else (),
        )
    )
    trail.last = LastSeen(time=time, ids=ids, footprint=footprint)
    if not shown:
        return
    if returned or not known:
        trail.smallest_mm, trail.smallest_mm3 = diameter, volume
    trail.smallest_mm = min(trail.smallest_mm, diameter)
    trail.smallest_mm3 = min(trail.smallest_mm3, volume)
    trail.seen.append(trail.last)


def _diameter(time: TimePoint, parts: list[Lesion], rules: Rules) -> float:
    """Return the longest diameter; of several parts the sum, up to their common extent."""
    largest = parts[0].volume_mm3
    counted = [lesion for lesion in parts if lesion.volume_mm3 >= rules.crumb * largest]
    if len(counted) == 1:
        return counted[0].diameter_in_plane_mm
    added = sum(lesion.diameter_in_plane_mm for lesion in counted)
    return min(added, time.extent_mm([lesion.id for lesion in counted]))


def _notes(volume_mm3: float, state: State, trail: _Trail, rules: Rules) -> tuple[str, ...]:
    """Say what the diameter in the acquired slices does not show."""
    shrunk = trail.first_mm3 > 0 and rules.swelled(trail.first_mm3, volume_mm3)
    if state == "stable" and shrunk:
        share = volume_mm3 / trail.first_mm3
        return (f"its volume is {share:.2f} of its first: it has shrunk across the slices",)
    grown = trail.smallest_mm3 > 0 and rules.swelled(volume_mm3, trail.smallest_mm3)
    if state not in {"stable", "shrinking"} or not grown:
        return ()
    times = volume_mm3 / trail.smallest_mm3
    return (f"its volume is {times:.1f} times its smallest: it has grown across the slices",)


def _state(diameter_mm: float, trail: _Trail, rules: Rules) -> State:
    if rules.grew(diameter_mm, trail.smallest_mm, rules.change_mm):
        return "growing"
    if rules.shrank(diameter_mm, trail.first_mm, rules.change_mm):
        return "shrinking"
    return "stable"


def _miss(trail: _Trail, time: TimePoint, rules: Rules) -> None:
    """Note that it was not found, because it is gone or because nobody looked."""
    looked = time.imaged_share(trail.last.footprint.points_mm) >= rules.imaged
    sighting = Sighting(state="gone") if looked else NOT_IMAGED
    trail.sightings.append(
        replace(sighting, first_mm=trail.first_mm, smallest_mm=trail.smallest_mm)
    )


def _begin(
    times: Sequence[TimePoint],
    lesion: Lesion,
    footprint: Footprint,
    neighbour: int | None,
    rules: Rules,
) -> _Trail:
    """Begin to follow a lesion of the last of these scans."""
    earlier = [
        Sighting(state="absent")
        if time.imaged_share(footprint.points_mm) >= rules.imaged
        else NOT_IMAGED
        for time in times[:-1]
    ]
    new = any(sighting.state == "absent" for sighting in earlier)
    notes: list[str] = []
    speck = new and neighbour is not None and rules.is_speck(lesion.volume_mm3)
    if speck:
        notes.append(f"a speck next to lesion {neighbour}: not counted as new until it has grown")
    if new:
        notes += _suspicions(times[:-1], footprint)
    state: State = "first"
    if new:
        state = "uncertain" if notes else "new"
    x, y, z = footprint.points_mm.mean(axis=0).tolist()
    here = Sighting(
        state=state,
        diameter_mm=lesion.diameter_in_plane_mm,
        across_mm=lesion.perpendicular_mm,
        volume_mm3=lesion.volume_mm3,
        parts=(lesion.id,),
        notes=tuple(notes),
    )
    last = LastSeen(time=times[-1], ids=(lesion.id,), footprint=footprint)
    return _Trail(
        last=last,
        place_ras_mm=(x, y, z),
        sightings=[*earlier, here],
        seen=[last],
        first_mm=lesion.diameter_in_plane_mm,
        smallest_mm=lesion.diameter_in_plane_mm,
        smallest_mm3=lesion.volume_mm3,
        first_mm3=lesion.volume_mm3,
        is_speck=speck,
    )


def _suspicions(times: Sequence[TimePoint], footprint: Footprint) -> list[str]:
    """Say in which earlier scans the place of a lesion was suspicious already."""
    found: list[str] = []
    for number, time in enumerate(times, start=1):
        highest = time.highest_probability(footprint.points_mm)
        if highest is not None and highest >= time.suspicious:
            found.append(
                f"scan {number} had a probability of {highest:.2f} in its place: perhaps not new"
            )
    return found


def _targets(trails: list[_Trail], first: TimePoint, rules: Rules) -> frozenset[int]:
    """Choose the largest measurable lesions of the first scan."""
    fit = [
        (-(sighting.diameter_mm or 0.0), trail.id)
        for trail in trails
        if (sighting := trail.sightings[0]).seen
        and (sighting.diameter_mm or 0.0) >= rules.measurable_mm
        and (sighting.across_mm or 0.0) >= rules.across_mm
        and first.slices_of(sighting.parts[0]) >= rules.slices
    ]
    return frozenset(number for _, number in sorted(fit)[: rules.targets])


def _largest_first(lesions: Iterable[Lesion]) -> list[Lesion]:
    return sorted(lesions, key=lambda lesion: (-lesion.volume_mm3, lesion.id))


def _joined(parts: list[Footprint]) -> Footprint:
    return Footprint(
        points_mm=np.concatenate([part.points_mm for part in parts]),
        voxel_mm3=parts[0].voxel_mm3,
        half_mm=parts[0].half_mm,
    )
