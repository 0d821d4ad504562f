"""From case scores to the table of a paper: means over patients, lesions pooled, intervals."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from brainmets.evaluation.froc import Froc, froc_curve
from brainmets.evaluation.statistics import Interval, mean_interval
from brainmets.evaluation.strata import DIAMETER_BINS, VOLUME_BINS, StratumScore, score_strata

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from brainmets.evaluation.scores import CaseScore, LesionScore, RegionScore

__all__ = ["RegionSummary", "patient_means", "summarise"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RegionSummary:
    """One region over all cases.

    Attributes:
        means: Each figure averaged first within, then over patients.
        by_diameter: Detection by longest diameter, "all" first; empty unless measured.
        by_volume: Detection by volume, "all" first; empty unless measured.
        froc: None without probabilities.
    """

    region: str
    cases: int
    patients: int
    means: Mapping[str, Interval]
    by_diameter: tuple[StratumScore, ...]
    by_volume: tuple[StratumScore, ...]
    froc: Froc | None


def summarise(cases: Sequence[CaseScore], *, seed: int = 0) -> tuple[RegionSummary, ...]:
    """Summarise the cases of one scorer, region by region.

    By-size counts are given for the brainmets scorer, which measures diameters. The others'
    definitions of a lesion differ too much to be pooled by size.
    """
    names = {region.region: None for case in cases for region in case.regions}
    return tuple(_summarise_region(name, cases, seed) for name in names)


def patient_means(cases: Sequence[CaseScore], region: str, figure: str) -> dict[str, float]:
    """Return one figure by patient, averaged over the patient's scans; NaN scans left out."""
    values: defaultdict[str, list[float]] = defaultdict(list)
    for case in cases:
        score = _region_of(case, region)
        if score is not None and figure in score.values:
            values[case.patient].append(score.values[figure])
    return {patient: _mean(scans) for patient, scans in sorted(values.items())}


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")


def _region_of(case: CaseScore, region: str) -> RegionScore | None:
    return next((one for one in case.regions if one.region == region), None)


def _summarise_region(name: str, cases: Sequence[CaseScore], seed: int) -> RegionSummary:
    scored = [(case, one) for case in cases for one in case.regions if one.region == name]
    figures = dict.fromkeys(figure for _, one in scored for figure in one.values)
    lesions: defaultdict[str, list[LesionScore]] = defaultdict(list)
    scans: defaultdict[str, int] = defaultdict(int)
    for case, one in scored:
        lesions[case.patient] += one.lesions
        scans[case.patient] += 1
    rows, counts = list(lesions.values()), list(scans.values())
    by_diameter: tuple[StratumScore, ...] = ()
    by_volume: tuple[StratumScore, ...] = ()
    froc: Froc | None = None
    if all(case.scorer == "brainmets" for case, _ in scored):
        by_diameter = score_strata(rows, counts, DIAMETER_BINS, _diameter, seed=seed)
        by_volume = score_strata(rows, counts, VOLUME_BINS, _volume, seed=seed)
        froc = froc_curve([row for one in rows for row in one], len(scored))
    return RegionSummary(
        region=name,
        cases=len(scored),
        patients=len(scans),
        means={
            figure: mean_interval(list(patient_means(cases, name, figure).values()), seed=seed)
            for figure in figures
        },
        by_diameter=by_diameter,
        by_volume=by_volume,
        froc=froc,
    )


def _diameter(lesion: LesionScore) -> float:
    return lesion.diameter_mm


def _volume(lesion: LesionScore) -> float:
    return lesion.volume_mm3
