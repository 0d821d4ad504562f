"""A lesion's number in every study of its patient, from what a follow-up says of two or three."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from brainmets.api.followup_schemas import FollowupView
    from brainmets.network.inbox import Keys
    from brainmets.network.study_list import Study
    from brainmets.tracking import TrackedLesion

__all__ = ["Names", "first_names", "followed_names", "tracking_uid"]

NO_LONGER = frozenset({"gone", "merged"})
"""States of a lesion that the earlier scan shows and this one does not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """Each lesion's number, by its id in this study.

    `changes` say what became of it; `gone` are numbers of earlier lesions, with the same.
    """

    numbers: dict[int, int]
    changes: dict[int, str] = field(default_factory=dict[int, str])
    gone: dict[int, str] = field(default_factory=dict[int, str])


def first_names(lesions: Iterable[int], taken: int) -> Names:
    """Number lesions that are compared with none, from the first free number on."""
    return Names(numbers={one: taken + n for n, one in enumerate(sorted(lesions), start=1)})


def followed_names(
    study: Study,
    lesions: Iterable[int],
    view: FollowupView,
    earlier: Sequence[Study],
    taken: int,
) -> Names:
    """Number lesions as earlier studies do, the latest of them first; new ones get new numbers.

    Of a lesion that is in several parts now, the largest keeps the number.
    """
    places = {scan.job: place for place, scan in enumerate(view.scans)}
    here = places[study.job or ""]
    known = {places[one.job]: one.names for one in earlier if one.job in places}
    order = [places[one.job] for one in earlier if one.job in places]
    numbers, changes, gone = dict[int, int](), dict[int, str](), dict[int, str]()
    wanted = set(lesions)
    for lesion in view.lesions:
        number = _number(lesion, order, known)
        seen = lesion.sightings[here]
        parts = [part for part in seen.parts if part in wanted and part not in numbers]
        if parts:
            if number is not None and number not in numbers.values():
                numbers[parts[0]] = number
            changes |= dict.fromkeys(parts, seen.state)
        elif number is not None and seen.state in NO_LONGER and _was_there(lesion, order):
            gone[number] = seen.state
    free = max([taken, *numbers.values()])
    for one in sorted(wanted - set(numbers)):
        free += 1
        numbers[one] = free
    for number in numbers.values():
        gone.pop(number, None)
    return Names(numbers=numbers, changes=changes, gone=gone)


def tracking_uid(keys: Keys, patient: str, number: int) -> str:
    """Return the UID of a patient's lesion: the same in every study, meaningless elsewhere."""
    from pydicom.uid import generate_uid

    return str(generate_uid(entropy_srcs=[keys.salt.hex(), patient, str(number)]))


def _number(
    lesion: TrackedLesion, order: Sequence[int], known: Mapping[int, Mapping[int, int]]
) -> int | None:
    for place in order:
        for part in lesion.sightings[place].parts:
            if part in known[place]:
                return known[place][part]
    return None


def _was_there(lesion: TrackedLesion, order: Sequence[int]) -> bool:
    """Whether the latest earlier scan shows it: what was gone before is not gone again."""
    return bool(order) and bool(lesion.sightings[order[0]].parts)
