"""Two kinds of network against each other, several seeds each, on the same lesions.

A seed is one training of a network. Figures are averaged over the seeds of a network; intervals
come from the bootstrap over patients and, at the same time and apart for each network, over its
seeds, so that they tell how another training on another cohort might come out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from brainmets.domain.errors import OptionError
from brainmets.evaluation.statistics import RESAMPLES, Interval, bootstrap_counts
from brainmets.evaluation.strata import DIAMETER_BINS, SizeBin

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from brainmets.evaluation.records import ScoreRun
    from brainmets.evaluation.scores import LesionScore

__all__ = ["FEWEST_VOXELS", "FigureName", "NetworkComparison", "NetworkRow", "compare_networks"]

FigureName = Literal["case dice", "lesion dice", "sensitivity", "false positives per scan"]

SizeFigure = Literal["diameter_mm", "equivalent_mm"]

FEWEST_VOXELS = 27
"""Below this, a lesion's shape is that of the grid: it counts in no third by shape."""

THIRDS = {
    "size": ("smallest third", "middle third", "largest third"),
    "sphericity": ("least spherical third", "middle third", "most spherical third"),
    "solidity": ("most indented third", "middle third", "most solid third"),
}

SMALL = (
    SizeBin(name="<5 mm", low=0.0, high=5.0),
    SizeBin(name="<10 mm", low=0.0, high=10.0),
)

EVERY = SizeBin(name="all", low=-np.inf, high=np.inf)


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkRow:
    """One figure within one stratum: both networks and their difference.

    Attributes:
        by: What the strata divide: `all`, `size`, `small`, `size third`,
            `sphericity` or `solidity`.
        lesions: Reference lesions in the stratum; cases for the case Dice.
        a: First network, mean over its seeds.
        b: Second network.
        difference: b minus a.
    """

    by: str
    stratum: str
    figure: FigureName
    lesions: int
    a: Interval
    b: Interval
    difference: Interval


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NetworkComparison:
    """Everything compared; `a` and `b` name the networks, `seeds_*` their trainings."""

    a: str
    b: str
    seeds_a: tuple[str, ...]
    seeds_b: tuple[str, ...]
    size: SizeFigure
    cases: int
    patients: int
    rows: tuple[NetworkRow, ...]
    by_seed: Mapping[str, float] = field(default_factory=dict[str, float])
    """Mean case Dice of each training."""

    def row(self, by: str, stratum: str, figure: FigureName) -> NetworkRow | None:
        """Return one row; None where the stratum is empty."""
        for row in self.rows:
            if (row.by, row.stratum, row.figure) == (by, stratum, figure):
                return row
        return None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Runs:
    """One network's seeds over the shared cases, patients in order."""

    runs: tuple[ScoreRun, ...]
    patients: tuple[str, ...]
    shared: frozenset[str]

    def sums(
        self, value: Callable[[LesionScore], float], keep: Callable[[LesionScore], bool]
    ) -> NDArray[np.float64]:
        """Return the sum of a value over the kept lesions, (patients, seeds)."""
        place = {patient: n for n, patient in enumerate(self.patients)}
        table = np.zeros((len(self.patients), len(self.runs)))
        for seed, run in enumerate(self.runs):
            for case in run.cases:
                if case.case_id not in self.shared:
                    continue
                kept = (row for row in case.regions[0].lesions if keep(row))
                table[place[case.patient], seed] += sum(value(row) for row in kept)
        return table

    def case_dice(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the sum of case Dice (patients, seeds), and cases that have one (patients,)."""
        place = {patient: n for n, patient in enumerate(self.patients)}
        table = np.zeros((len(self.patients), len(self.runs)))
        cases = np.zeros((len(self.patients), len(self.runs)))
        for seed, run in enumerate(self.runs):
            for case in run.cases:
                dice = case.regions[0].values["dice"]
                if case.case_id in self.shared and not np.isnan(dice):
                    table[place[case.patient], seed] += dice
                    cases[place[case.patient], seed] += 1
        return table, cases[:, 0]


def compare_networks(
    a: tuple[str, Sequence[tuple[str, ScoreRun]]],
    b: tuple[str, Sequence[tuple[str, ScoreRun]]],
    *,
    size: SizeFigure = "diameter_mm",
    seed: int = 0,
) -> NetworkComparison:
    """Compare two networks, each a name and its (seed's name, run), over the cases all share.

    Args:
        a: The first network.
        b: The second; differences are b minus a.
        size: Longest diameter, or that of the ball (in slices the disc) of equal size.
        seed: Of the bootstrap.

    Raises:
        OptionError: no shared case, or references that differ.
    """
    every = [run for _, run in (*a[1], *b[1])]
    shared = frozenset.intersection(*(frozenset(c.case_id for c in run.cases) for run in every))
    if not shared:
        raise OptionError(
            "no case that all networks were scored on",
            expected="the same cases for every network",
            remedy="score every network on the same data",
        )
    _check_references(every, shared)
    patients = tuple(sorted({c.patient for c in every[0].cases if c.case_id in shared}))
    first, second = (
        _Runs(runs=tuple(run for _, run in one[1]), patients=patients, shared=shared)
        for one in (a, b)
    )
    scans = np.zeros(len(patients))
    for case in every[0].cases:
        if case.case_id in shared:
            scans[patients.index(case.patient)] += 1
    boot = _Bootstrap(len(patients), (len(first.runs), len(second.runs)), seed)
    rows = [_case_row(first, second, boot)]
    for by, figure, bins in _strata(every[0], shared, size):
        for stratum in bins:
            rows += _lesion_rows(
                first, second, boot, scans=scans, by=by, figure=figure, stratum=stratum
            )
    return NetworkComparison(
        a=a[0],
        b=b[0],
        seeds_a=tuple(name for name, _ in a[1]),
        seeds_b=tuple(name for name, _ in b[1]),
        size=size,
        cases=len(shared),
        patients=len(patients),
        rows=tuple(rows),
        by_seed={
            name: float(table[:, n].sum() / max(cases.sum(), 1))
            for one, (table, cases) in ((a, first.case_dice()), (b, second.case_dice()))
            for n, (name, _) in enumerate(one[1])
        },
    )


class _Bootstrap:
    """The same resamples of patients and seeds for every figure."""

    def __init__(self, patients: int, seeds: tuple[int, int], seed: int) -> None:
        self.patients = bootstrap_counts(patients, seed=seed)
        rng = np.random.default_rng((seed, 1))
        self.seeds = [
            rng.multinomial(n, np.full(n, 1 / n), size=RESAMPLES).astype(float) / n for n in seeds
        ]

    def compare(
        self, tops: tuple[NDArray[np.float64], NDArray[np.float64]], bottom: NDArray[np.float64]
    ) -> tuple[Interval, Interval, Interval]:
        """Return Σ top / Σ bottom for both networks, and the difference, with intervals."""
        total, below = float(bottom.sum()), self.patients @ bottom
        if total == 0:
            nothing = Interval(value=np.nan, low=np.nan, high=np.nan, n=len(bottom))
            return nothing, nothing, nothing
        values = [float(top.mean(axis=1).sum()) / total for top in tops]
        drawn = [
            np.sum((self.patients @ top) * weights, axis=1)[below > 0] / below[below > 0]
            for top, weights in zip(tops, self.seeds, strict=True)
        ]
        values.append(values[1] - values[0])
        drawn.append(drawn[1] - drawn[0])
        spans = [np.quantile(one, (0.025, 0.975)) for one in drawn]
        one, other, difference = (
            Interval(value=value, low=float(low), high=float(high), n=len(bottom))
            for value, (low, high) in zip(values, spans, strict=True)
        )
        return one, other, difference


def _check_references(runs: Sequence[ScoreRun], shared: frozenset[str]) -> None:
    """Refuse runs that were scored against different lesions."""
    sizes = [
        {
            (case.case_id, row.reference_id): row.voxels
            for case in run.cases
            if case.case_id in shared
            for row in case.regions[0].lesions
            if row.outcome != "false positive"
        }
        for run in runs
    ]
    if any(one != sizes[0] for one in sizes):
        raise OptionError(
            "networks that were scored against different references",
            expected="one reference for all",
            remedy="score them again on the same data",
        )


def _strata(
    run: ScoreRun, shared: frozenset[str], size: SizeFigure
) -> list[tuple[str, str, tuple[SizeBin, ...]]]:
    """Return what is divided, by which figure of a lesion, into which bins."""
    lesions = [
        row
        for case in run.cases
        if case.case_id in shared
        for row in case.regions[0].lesions
        if row.outcome != "false positive"
    ]
    shaped = [row for row in lesions if row.voxels >= FEWEST_VOXELS]
    return [
        ("all", size, (EVERY,)),
        ("size", size, DIAMETER_BINS),
        ("small", size, SMALL),
        ("size third", size, _thirds([getattr(row, size) for row in lesions], THIRDS["size"])),
        *(
            (name, name, _thirds([getattr(row, name) for row in shaped], THIRDS[name]))
            for name in ("sphericity", "solidity")
        ),
    ]


def _thirds(values: Sequence[float], names: Sequence[str]) -> tuple[SizeBin, ...]:
    known = [value for value in values if not np.isnan(value)]
    if len(known) < len(names):
        return ()
    first, second = np.quantile(known, (1 / 3, 2 / 3))
    edges = (-np.inf, float(first), float(second), np.inf)
    return tuple(
        SizeBin(name=name, low=low, high=high)
        for name, low, high in zip(names, edges, edges[1:], strict=False)
    )


def _case_row(a: _Runs, b: _Runs, boot: _Bootstrap) -> NetworkRow:
    (top_a, cases), (top_b, _) = a.case_dice(), b.case_dice()
    one, other, difference = boot.compare((top_a, top_b), cases)
    return NetworkRow(
        by="all", stratum="all", figure="case dice", lesions=int(cases.sum()),
        a=one, b=other, difference=difference,
    )  # fmt: skip


def _lesion_rows(
    a: _Runs,
    b: _Runs,
    boot: _Bootstrap,
    *,
    scans: NDArray[np.float64],
    by: str,
    figure: str,
    stratum: SizeBin,
) -> list[NetworkRow]:
    """Return Dice, sensitivity and false positives within one stratum."""
    by_shape = figure in ("sphericity", "solidity")

    def within(row: LesionScore) -> bool:
        if by_shape and row.voxels < FEWEST_VOXELS:
            return False
        return stratum is EVERY or stratum.holds(getattr(row, figure))

    def real(row: LesionScore) -> bool:
        return row.outcome != "false positive" and within(row)

    def alarm(row: LesionScore) -> bool:
        return row.outcome == "false positive" and within(row)

    lesions = a.sums(lambda _: 1.0, real)[:, 0]
    measured: dict[FigureName, tuple[Callable[[LesionScore], float], Callable[..., bool]]] = {
        "lesion dice": (lambda row: row.dice, real),
        "sensitivity": (lambda row: float(row.outcome == "found"), real),
        "false positives per scan": (lambda _: 1.0, alarm),
    }
    rows: list[NetworkRow] = []
    for name, (value, keep) in measured.items():
        bottom = scans if name == "false positives per scan" else lesions
        one, other, difference = boot.compare((a.sums(value, keep), b.sums(value, keep)), bottom)
        rows.append(
            NetworkRow(
                by=by,
                stratum=stratum.name,
                figure=name,
                lesions=int(lesions.sum()),
                a=one,
                b=other,
                difference=difference,
            )
        )
    return rows
