"""What a bundle does on cases whose truth is known, by the shipped predictor and scorer."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from brainmets.domain import Mask, silent
from brainmets.evaluation.label_schemes import REGION_SCHEMES
from brainmets.evaluation.own import score_brainmets
from brainmets.evaluation.records import ScoreRun
from brainmets.evaluation.scores import CaseScore
from brainmets.inference import Predictor, find_lesions

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from brainmets.domain import Progress, Volume
    from brainmets.inference import Bundle, OperatingPoint
    from brainmets.workflows.reference_cases import ReferenceCase

__all__ = [
    "ASIDE",
    "BundleScores",
    "counted_labels",
    "distinct",
    "predict_case",
    "score_bundle",
]

ASIDE = "false_components"
"""Figure by case: predicted components that touch no lesion. The scorer's own `fp` also counts a
second component on a lesion that has a better partner."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BundleScores:
    """One bundle's scores over many cases.

    Attributes:
        run: At the bundle's operating point.
        candidates: The same cases with every component of the growing threshold kept, whatever
            its peak: what the FROC curve runs over. Empty unless asked for; without surfaces.
        groups: Group by case id, where there is any.
        seconds: Spent in preparation and network, all cases together.
    """

    bundle: Bundle
    run: ScoreRun
    candidates: ScoreRun
    groups: dict[str, str]
    seconds: float


def score_bundle(
    bundle: Bundle,
    cases: Iterable[ReferenceCase],
    *,
    count: int | None = None,
    engine: str = "openvino",
    threads: int | None = None,
    surfaces: bool = True,
    curve: bool = False,
    progress: Progress = silent,
) -> BundleScores:
    """Predict and score every case on its own grid; memory is that of one case.

    Voxels that count neither way are cut from both masks first. `count`, where known, makes
    progress (stage "score") tell the share that is done. Without `surfaces` NSD and HD95 are
    NaN and scoring several times faster; with `curve` every case is scored once more, for the
    FROC curve.
    """
    predictor = Predictor(bundle, engine, threads=threads)
    point = bundle.operating_point
    loose = point.model_copy(update={"peak": point.threshold})
    at_point: list[CaseScore] = []
    candidates: list[CaseScore] = []
    groups: dict[str, str] = {}
    spent = 0.0
    for number, case in enumerate(cases):
        progress("score", number / count if count else 0.0)
        started = time.perf_counter()
        probability = predict_case(predictor, case)
        spent += time.perf_counter() - started
        at_point.append(_scored(case, probability, point, surfaces=surfaces))
        if curve:
            candidates.append(_scored(case, probability, loose, surfaces=False))
        if case.group:
            groups[case.case.case_id] = case.group
    progress("score", 1.0)
    settings = {"model": bundle.name, "sha256": bundle.sha256, "regions": "binary"}
    return BundleScores(
        bundle=bundle,
        run=_run(at_point, settings),
        candidates=_run(candidates, settings | {"peak": "any"}),
        groups=groups,
        seconds=spent,
    )


def distinct(names: Sequence[str]) -> list[str]:
    """Return the names, numbered where one comes twice, as those of folds and seeds do."""
    if len(set(names)) == len(names):
        return list(names)
    return [f"{name}-{number}" for number, name in enumerate(names, start=1)]


def predict_case(predictor: Predictor, case: ReferenceCase) -> Volume:
    """Return the lesion probability on the case's own grid, as `brainmets segment` computes it."""
    bundle = predictor.bundle
    prepared = bundle.plan.apply(case.case)
    return bundle.to_native(prepared, predictor.predict(prepared))


def counted_labels(case: ReferenceCase, labels: NDArray[np.integer]) -> NDArray[np.integer]:
    """Return numbered components without what counts neither way.

    A component that touches ignored voxels and no lesion is left out whole: what spills over the
    edge of an ignored tumour is no false positive. Elsewhere only the ignored voxels are cut.
    """
    if case.ignored is None:
        return labels
    touching = np.unique(labels[case.ignored])
    hitting = np.unique(labels[case.truth.data > 0])
    excused = np.setdiff1d(touching, hitting)
    return np.where(case.ignored | np.isin(labels, excused[excused > 0]), 0, labels)


def _scored(
    case: ReferenceCase, probability: Volume, point: OperatingPoint, *, surfaces: bool
) -> CaseScore:
    mask, _ = find_lesions(probability, point, kind=case.case.kind)
    labels = counted_labels(case, mask.data)
    predicted = Mask(data=(labels > 0).astype(np.uint8), geometry=mask.geometry)
    touching = np.unique(labels[case.truth.foreground])
    aside = np.setdiff1d(np.unique(labels), [0, *touching])
    geometry = case.truth.geometry
    (region,) = score_brainmets(
        case.truth.data,
        predicted.data,
        geometry.spacing_mm,
        REGION_SCHEMES["binary"],
        probability=probability.data,
        slice_axis=geometry.slice_axis,
        surfaces=surfaces,
    )
    region = replace(region, values={**region.values, ASIDE: float(len(aside))})
    if case.ignored is not None and not case.truth.foreground.any():
        # nothing of this case's tumour counts, so there is no overlap to speak of
        unknown = dict.fromkeys(("dice", "nsd_1mm", "hd95_mm", "f1"), float("nan"))
        region = replace(region, values={**region.values, **unknown})
    return CaseScore(
        case_id=case.case.case_id, patient=case.patient, scorer="brainmets", regions=(region,)
    )


def _run(cases: list[CaseScore], settings: dict[str, str]) -> ScoreRun:
    return ScoreRun(scorer="brainmets", settings=settings, cases=tuple(cases), failed={})
