"""Models against each other on the same patients and the same lesions."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from brainmets.domain.errors import OptionError
from brainmets.evaluation.cohort import RegionSummary, patient_means, summarise
from brainmets.evaluation.records import run_remarks
from brainmets.evaluation.statistics import (
    Interval,
    PairedTest,
    holm,
    paired_test,
    ratio_interval,
)
from brainmets.evaluation.strata import DIAMETER_BINS, SizeBin

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from brainmets.evaluation.records import ScoreRun
    from brainmets.evaluation.scores import CaseScore, LesionScore, ScorerName

__all__ = [
    "FIGURES",
    "Comparison",
    "DetectionRow",
    "FigureRow",
    "ModelResult",
    "PairResult",
    "compare_runs",
]

FIGURES: Mapping[ScorerName, tuple[str, ...]] = {
    "brats-2023": ("lesionwise_dice", "lesionwise_hd95", "dice", "hd95"),
    "brats-2024": ("lesionwise_dice", "lesionwise_nsd_1.0mm", "lesionwise_hd95", "dice"),
    "brats-2026": (
        "lesionwise_dsc_mean",
        "lesionwise_nsd_mean",
        "lesionwise_hd95_mean",
        "small_instance_f1",
        "rq",
    ),
    "brainmets": (
        "dice",
        "nsd_1mm",
        "hd95_mm",
        "sensitivity",
        "precision",
        "f1",
        "fp",
        "volume_error_mm3",
    ),
}
"""What is tested; more tests would cost each of them power."""

LOWER_IS_BETTER = ("hd95", "hd95_mm", "lesionwise_hd95", "lesionwise_hd95_mean", "fp")

SHAPE_NAMES = ("most irregular third", "middle third", "roundest third")


@dataclass(frozen=True, slots=True, kw_only=True)
class FigureRow:
    """One figure, paired by patient; `p_holm` is the sign-flip p corrected over the figures."""

    figure: str
    mean_a: float
    mean_b: float
    test: PairedTest
    p_holm: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectionRow:
    """Detection of the same reference lesions by two models, within one stratum.

    The interval is by patient, the p-value a sign-flip test of each patient's net gain.
    """

    stratum: str
    lesions: int
    found_a: int
    found_b: int
    only_a: int
    only_b: int
    difference: Interval
    p_flip: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PairResult:
    """Model `b` against model `a`."""

    a: str
    b: str
    rows: tuple[FigureRow, ...]
    by_size: tuple[DetectionRow, ...]
    by_shape: tuple[DetectionRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ModelResult:
    """One model over the cases that all models have."""

    name: str
    summary: RegionSummary
    cases: tuple[CaseScore, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Comparison:
    """Everything the report shows.

    Attributes:
        scorer: Whose definition.
        region: Which region.
        models: In the order given.
        pairs: Every later model against every earlier one.
        left_out: Cases that not every model has.
        remarks: What of a model's masks was not scored, or by a guess; a line each.
        worst: Case ids, the lowest mean headline figure over the models first.
        conclusions: What the tests say, one sentence a pair.
    """

    scorer: ScorerName
    region: str
    models: tuple[ModelResult, ...]
    pairs: tuple[PairResult, ...]
    left_out: tuple[str, ...]
    worst: tuple[str, ...]
    conclusions: tuple[str, ...]
    remarks: tuple[str, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether every case was scored for every model, and none by a guess."""
        return not self.left_out and not self.remarks


def compare_runs(
    runs: Sequence[ScoreRun], names: Sequence[str], *, region: str | None = None, seed: int = 0
) -> Comparison:
    """Compare runs of one scorer over the cases they share.

    Raises:
        OptionError: fewer than two runs, different scorers, no shared case, no such region, or
            references that differ.
    """
    scorer = _one_scorer(runs)
    shared = set.intersection(*({case.case_id for case in run.cases} for run in runs))
    every = {case.case_id for run in runs for case in run.cases}
    every = every.union(*(run.unpaired_reference for run in runs), *(run.failed for run in runs))
    if not shared:
        raise OptionError(
            "no case that all models were scored on",
            expected="the same cases in every folder",
            remedy="score every model against the same reference folder",
        )
    chosen = region or runs[0].cases[0].regions[0].region
    models = tuple(
        ModelResult(
            name=name,
            summary=_summary(run, shared, chosen),
            cases=tuple(case for case in run.cases if case.case_id in shared),
        )
        for name, run in zip(names, runs, strict=True)
    )
    _check_references(models, chosen)
    pairs = tuple(
        _compare_pair(one, other, scorer, chosen, seed) for one, other in combinations(models, 2)
    )
    return Comparison(
        scorer=scorer,
        region=chosen,
        models=models,
        pairs=pairs,
        left_out=tuple(sorted(every - shared)),
        worst=_worst(models, scorer, chosen),
        conclusions=tuple(_conclusion(pair) for pair in pairs),
        remarks=tuple(
            f"{name}: {line}"
            for name, run in zip(names, runs, strict=True)
            if not run.is_whole
            for line in run_remarks(run)
        ),
    )


def _one_scorer(runs: Sequence[ScoreRun]) -> ScorerName:
    scorers: set[ScorerName] = {run.scorer for run in runs}
    if len(runs) < 2 or len(scorers) != 1:
        raise OptionError(
            f"{len(runs)} models scored by {', '.join(sorted(scorers)) or 'nothing'}",
            expected="at least two models and one scorer",
            remedy="score them again with one --scorer",
        )
    return next(iter(scorers))


def _summary(run: ScoreRun, shared: set[str], region: str) -> RegionSummary:
    for one in summarise([case for case in run.cases if case.case_id in shared]):
        if one.region == region:
            return one
    known = ", ".join(one.region for one in run.cases[0].regions)
    raise OptionError(f"region {region}", expected=known, remedy="choose one of these")


def _lesions(model: ModelResult, region: str) -> dict[tuple[str, int], tuple[str, LesionScore]]:
    """Return the counted reference lesions by case and id, with their patient."""
    return {
        (case.case_id, row.reference_id): (case.patient, row)
        for case in model.cases
        for one in case.regions
        if one.region == region
        for row in one.lesions
        if row.outcome != "false positive" and row.counted
    }


def _check_references(models: Sequence[ModelResult], region: str) -> None:
    sizes = [
        {key: row.voxels for key, (_, row) in _lesions(model, region).items()} for model in models
    ]
    if any(one != sizes[0] for one in sizes):
        raise OptionError(
            "models that were scored against different references",
            expected="one reference for all",
            remedy="score them again with the same --reference",
        )


def _compare_pair(
    one: ModelResult, other: ModelResult, scorer: ScorerName, region: str, seed: int
) -> PairResult:
    tests: list[tuple[str, float, float, PairedTest]] = []
    for figure in FIGURES[scorer]:
        if figure not in one.summary.means:
            continue
        a, b = (patient_means(model.cases, region, figure) for model in (one, other))
        patients = sorted(set(a) & set(b))
        test = paired_test([a[p] for p in patients], [b[p] for p in patients], seed=seed)
        tests.append(
            (figure, one.summary.means[figure].value, other.summary.means[figure].value, test)
        )
    adjusted = holm([test.p_flip for *_, test in tests])
    by_size: tuple[DetectionRow, ...] = ()
    by_shape: tuple[DetectionRow, ...] = ()
    if scorer == "brainmets":
        every = SizeBin(name="all", low=0.0, high=float("inf"))
        by_size = _detection(one, other, region, (every, *DIAMETER_BINS), size=_diameter, seed=seed)
        by_shape = _detection(
            one, other, region, _shape_bins(one, region), size=_sphericity, seed=seed
        )
    return PairResult(
        a=one.name,
        b=other.name,
        rows=tuple(
            FigureRow(figure=figure, mean_a=mean_a, mean_b=mean_b, test=test, p_holm=p)
            for (figure, mean_a, mean_b, test), p in zip(tests, adjusted, strict=True)
        ),
        by_size=by_size,
        by_shape=by_shape,
    )


def _diameter(lesion: LesionScore) -> float:
    return lesion.diameter_mm


def _sphericity(lesion: LesionScore) -> float:
    return lesion.sphericity


def _shape_bins(model: ModelResult, region: str) -> tuple[SizeBin, ...]:
    """Cut the reference lesions into thirds by sphericity."""
    values = [row.sphericity for _, row in _lesions(model, region).values()]
    known = [value for value in values if not np.isnan(value)]
    if len(known) < 3:
        return ()
    first, second = np.quantile(known, (1 / 3, 2 / 3))
    edges = (0.0, float(first), float(second), float("inf"))
    return tuple(
        SizeBin(name=name, low=low, high=high)
        for name, low, high in zip(SHAPE_NAMES, edges, edges[1:], strict=False)
    )


def _detection(
    one: ModelResult,
    other: ModelResult,
    region: str,
    bins: Sequence[SizeBin],
    *,
    size: Callable[[LesionScore], float],
    seed: int,
) -> tuple[DetectionRow, ...]:
    lesions_a, lesions_b = _lesions(one, region), _lesions(other, region)
    rows: list[DetectionRow] = []
    for stratum in bins:
        counts: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0, 0])
        for key, (patient, a) in lesions_a.items():
            if not stratum.holds(size(a)):
                continue
            _, b = lesions_b[key]
            hit_a, hit_b = a.outcome == "found", b.outcome == "found"
            outcome = (1, hit_a, hit_b, hit_a and not hit_b, hit_b and not hit_a)
            counts[patient] = [n + int(m) for n, m in zip(counts[patient], outcome, strict=True)]
        table = np.array([counts[patient] for patient in sorted(counts)], float).reshape(-1, 5)
        net = table[:, 4] - table[:, 3]
        total = table.sum(axis=0)
        rows.append(
            DetectionRow(
                stratum=stratum.name,
                lesions=int(total[0]),
                found_a=int(total[1]),
                found_b=int(total[2]),
                only_a=int(total[3]),
                only_b=int(total[4]),
                difference=ratio_interval(net, table[:, 0], seed=seed),
                p_flip=paired_test(np.zeros(len(net)), net, seed=seed).p_flip,
            )
        )
    return tuple(rows)


def _worst(models: Sequence[ModelResult], scorer: ScorerName, region: str) -> tuple[str, ...]:
    """Order the cases by the mean over models of the first figure, NaN last."""
    headline = FIGURES[scorer][0]
    scores: defaultdict[str, list[float]] = defaultdict(list)
    for model in models:
        for case in model.cases:
            for one in case.regions:
                if one.region == region:
                    scores[case.case_id].append(one.values.get(headline, float("nan")))
    means = {case: float(np.mean(values)) for case, values in scores.items()}
    known = [case for case, value in means.items() if not np.isnan(value)]
    return tuple(sorted(known, key=lambda case: (means[case], case)))


def _conclusion(pair: PairResult) -> str:
    """Say in a sentence what the tests show, and only that."""
    shown: list[str] = []
    for row in pair.rows:
        if not row.p_holm < 0.05:
            continue
        change = row.test.difference
        higher = change.value > 0
        if row.figure == "volume_error_mm3":
            better = pair.b if abs(row.mean_b) < abs(row.mean_a) else pair.a
        else:
            better = pair.b if higher != (row.figure in LOWER_IS_BETTER) else pair.a
        shown.append(
            f"{better} is better in {row.figure} "
            f"(difference {change.value:+.3g} [{change.low:+.3g}, {change.high:+.3g}], "
            f"p = {row.p_holm:.2g})"
        )
    patients = pair.rows[0].test.difference.n if pair.rows else 0
    if not shown:
        return (
            f"{pair.b} against {pair.a}: no difference shown in any figure after Holm's "
            f"correction ({patients} patients)."
        )
    return f"{pair.b} against {pair.a} ({patients} patients): {'; '.join(shown)}."
