"""What RANO-BM says of each scan, as far as images can tell.

Lin et al. 2015, "Response assessment criteria for brain metastases: proposal from the RANO
group", Lancet Oncol 16(6):e270-e278. Lesions that split, merge or return are counted as RECIST 1.1
does (Eisenhauer et al. 2009, Eur J Cancer 45:228, and EORTC's clarifications). Corticosteroids,
the clinical state and FLAIR belong to the full criteria and are not known here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from brainmets.tracking.lesions import share_of_change
from brainmets.tracking.rules import JUST_MM

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from brainmets.tracking.lesions import TrackedLesion
    from brainmets.tracking.rules import Rules

__all__ = ["CATEGORIES", "Category", "Response", "assess"]

Category = Literal["CR", "PR", "SD", "PD", "non-CR/non-PD", "NE"]
"""Complete and partial response, stable and progressive disease; without targets neither CR nor
PD; not evaluable."""

CATEGORIES: tuple[Category, ...] = get_args(Category)

AS_GOOD: dict[Category, frozenset[Category]] = {
    "CR": frozenset({"CR"}),
    "PR": frozenset({"PR", "CR"}),
}
"""What an earlier scan must have shown for a response to have stood since."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """The response category of one scan; `category` is None for the first, which is the reference.

    `sum_mm` adds the longest diameters of the targets, None where one was not (wholly) imaged;
    `first_mm` and `smallest_mm` are the same lesions' sums in the first scan and at their smallest
    before this one. `confirmed` tells of CR and PR whether they have stood for four weeks; None
    where days are unknown or it does not apply. `reasons` are clauses for a reader.
    """

    category: Category | None
    sum_mm: float | None
    first_mm: float | None = None
    smallest_mm: float | None = None
    confirmed: bool | None = None
    reasons: tuple[str, ...] = ()

    @property
    def change_from_first(self) -> float | None:
        """Change of the sum as a share."""
        return share_of_change(self.sum_mm, self.first_mm)

    @property
    def change_from_smallest(self) -> float | None:
        """The same against the smallest sum before."""
        return share_of_change(self.sum_mm, self.smallest_mm)


Extent = Callable[[int, tuple[int, ...]], float]
"""The longest diameter, in mm, of several parts of a scan (by its place, from 0) together."""


def assess(
    lesions: Sequence[TrackedLesion],
    days: Sequence[int | None],
    rules: Rules,
    extent: Extent | None = None,
) -> tuple[Response, ...]:
    """Return the response category of every scan, assessed with what was known by then.

    Lesions that have merged are compared with the sum of their diameters before, up to what
    `extent` says they measured together.
    """
    targets = frozenset(lesion.id for lesion in lesions if lesion.target)
    burden = _Burden(lesions, extent)
    responses = [Response(category=None, sum_mm=burden.sum_mm(targets, 0))]
    for scan in range(1, len(days)):
        counted = burden.counted_with(targets, scan)
        sums_before = [burden.sum_mm(counted, i, joined=scan) for i in range(scan)]
        before = [total for total in sums_before if total is not None]
        sums = _Sums(
            now=burden.sum_mm(targets, scan),
            first=burden.sum_mm(counted, 0, joined=scan),
            smallest=min(before, default=None),
        )
        worse = _progression(
            burden, scan, targets, sums, rules, after_cr=responses[-1].category == "CR"
        )
        category, reason = ("PD", "") if worse else _otherwise(burden, scan, targets, sums, rules)
        responses.append(
            Response(
                category=category,
                sum_mm=sums.now,
                first_mm=sums.first,
                smallest_mm=sums.smallest,
                confirmed=_confirmed(category, responses, days, scan, rules),
                reasons=(*(worse or [reason]), *_notes(lesions, scan)),
            )
        )
    return tuple(responses)


def _notes(lesions: Sequence[TrackedLesion], scan: int) -> list[str]:
    """Return what is noted of single lesions, for a reader to weigh."""
    return [
        f"note: lesion {lesion.id}, {note}"
        for lesion in lesions
        for note in lesion.sightings[scan].notes
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sums:
    now: float | None
    first: float | None
    smallest: float | None


class _Burden:
    """Looks up sizes by lesion and scan, merged lesions under the number that carries them."""

    def __init__(self, lesions: Sequence[TrackedLesion], extent: Extent | None) -> None:
        self.lesions = lesions
        self._extent = extent
        self._by_id = {lesion.id: lesion for lesion in lesions}

    def carrier(self, lesion: int, scan: int) -> int:
        """Under which number a lesion is measured in a scan."""
        into = self._by_id[lesion].sightings[scan].into
        return lesion if into is None else into

    def counted_with(self, targets: Collection[int], scan: int) -> frozenset[int]:
        """Return all lesions inside the targets' diameters of a scan, merged ones included."""
        carriers = {self.carrier(target, scan) for target in targets}
        every = (lesion.id for lesion in self.lesions)
        return frozenset(one for one in every if self.carrier(one, scan) in carriers)

    def sum_mm(
        self, counted: Collection[int], scan: int, *, joined: int | None = None
    ) -> float | None:
        """Return the sum of longest diameters, each merged lesion once.

        What has merged by the scan `joined` counts up to its common extent.
        """
        groups: dict[int, set[int]] = {}
        for one in counted:
            over = self.carrier(one, scan if joined is None else joined)
            groups.setdefault(over, set()).add(self.carrier(one, scan))
        sizes = [self._group_mm(sorted(groups[over]), scan) for over in sorted(groups)]
        known = [size for size in sizes if size is not None]
        return sum(known) if len(known) == len(sizes) else None

    def _group_mm(self, carriers: Sequence[int], scan: int) -> float | None:
        sightings = [self._by_id[carrier].sightings[scan] for carrier in carriers]
        sizes = [one.diameter_mm for one in sightings if one.whole and one.diameter_mm is not None]
        if len(sizes) < len(sightings):
            return None
        parts = tuple(part for one in sightings for part in one.parts)
        if self._extent is None or sum(size > 0 for size in sizes) < 2:
            return float(sum(sizes))
        return min(float(sum(sizes)), self._extent(scan, parts))

    def gained_mm(self, carrier: int, scan: int) -> float:
        """Return by how much a lesion, with all merged into it, exceeds its smallest before."""
        counted = self.counted_with({carrier}, scan)
        sums = [self.sum_mm(counted, i, joined=scan) for i in range(scan)]
        before = [total for total in sums if total is not None]
        now = self.sum_mm(counted, scan)
        return 0.0 if now is None or not before else now - min(before)


def _progression(
    burden: _Burden,
    scan: int,
    targets: frozenset[int],
    sums: _Sums,
    rules: Rules,
    *,
    after_cr: bool,
) -> list[str]:
    """Return every reason for PD, none where there is none."""
    reasons: list[str] = []
    carriers = {burden.carrier(target, scan) for target in targets}
    for lesion in burden.lesions:
        here = lesion.sightings[scan]
        was_new = any(one.state == "new" for one in lesion.sightings[: scan + 1])
        if was_new and here.state != "gone":
            since = " since the first scan" * (here.state != "new")
            size = f" ({here.diameter_mm:.1f} mm)" if here.diameter_mm else ""
            reasons.append(f"lesion {lesion.id} is new{since}{size}")
            continue
        if here.state == "returned" and after_cr:
            reasons.append(f"lesion {lesion.id} has returned after a complete response")
        if lesion.id in carriers or here.diameter_mm is None or here.smallest_mm is None:
            continue
        grown = rules.grew(here.diameter_mm, here.smallest_mm, rules.progression_mm)
        if grown and here.state not in {"returned", "uncertain", "partly imaged"}:
            reasons.append(f"lesion {lesion.id}, not a target, has clearly grown")
    if (
        sums.now is not None
        and sums.smallest is not None
        and rules.grew(sums.now, sums.smallest, 0.0)
        and sums.now > 0.0
        and any(burden.gained_mm(one, scan) >= rules.progression_mm - JUST_MM for one in carriers)
    ):
        change = share_of_change(sums.now, sums.smallest)
        above = "" if change is None else f", {change:.0%} above the smallest before"
        reasons.append(f"the sum is {sums.now:.1f} mm{above}")
    return reasons


def _otherwise(
    burden: _Burden, scan: int, targets: frozenset[int], sums: _Sums, rules: Rules
) -> tuple[Category, str]:
    """Return the category of a scan without progression, and why."""
    there = [one for one in burden.lesions if one.sightings[0].seen]
    left = [o for o in burden.lesions if o.sightings[scan].state not in {"gone", "absent"}]
    if not there:
        return "NE", "there was no lesion in the first scan"
    if not left:
        return "CR", "no lesion is left"
    if not targets:
        return "non-CR/non-PD", "no lesion of the first scan was large enough for a target"
    if sums.now is None or sums.first is None:
        return "NE", "a target is at least partly outside the imaged field"
    change = share_of_change(sums.now, sums.first)
    amount = "" if change is None else f" ({change:+.0%} against the first)"
    if rules.shrank(sums.now, sums.first, 0.0):
        return "PR", f"the sum is {sums.now:.1f} mm{amount}"
    return "SD", f"the sum is {sums.now:.1f} mm{amount}"


def _confirmed(
    category: Category | None,
    responses: Sequence[Response],
    days: Sequence[int | None],
    scan: int,
    rules: Rules,
) -> bool | None:
    """Say whether a response has stood, unbroken, since a scan four weeks before."""
    as_good = AS_GOOD.get(category, frozenset()) if category else frozenset[Category]()
    today = days[scan]
    if not as_good or today is None:
        return None
    for earlier in range(scan - 1, 0, -1):
        day = days[earlier]
        if responses[earlier].category not in as_good or day is None:
            return False
        if today - day >= rules.confirm_days:
            return True
    return False
