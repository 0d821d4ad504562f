"""Use case: choose a network's operating points, and a rejector if it pays, on validation data."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from brainmets.domain import silent
from brainmets.domain.errors import OptionError
from brainmets.evaluation.statistics import bootstrap_counts
from brainmets.evaluation.tuning import (
    GROWS,
    Choice,
    best_point,
    candidates_of,
    detection,
    figures_at,
    grid,
)
from brainmets.inference import OperatingPoint, Predictor, Rejector, revise_bundle
from brainmets.inference.lesions import find_components
from brainmets.inference.rejector import component_features
from brainmets.reporting.tuning_text import tuning_section
from brainmets.workflows.bundle_scores import counted_labels
from brainmets.workflows.documents import plain
from brainmets.workflows.reference_cases import (
    case_of_head,
    held_out,
    sources_for,
    sources_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from brainmets.domain import Progress, Volume
    from brainmets.evaluation.tuning import CaseCandidates, PointFigures
    from brainmets.inference import Bundle, PointName
    from brainmets.workflows.reference_cases import ReferenceCase

__all__ = ["MOST_FALSE_ALARMS", "TuneOptions", "tune"]

MOST_FALSE_ALARMS: Mapping[int, Mapping[PointName, float]] = {
    3: {"sensitive": 4.0, "balanced": 1.0, "specific": 0.25},
    2: {"sensitive": 1.0, "balanced": 0.3, "specific": 0.05},
}
"""False positives a scan, or a slice, that each point allows on the validation cases."""

FEWEST_COMPONENTS = 20
"""Of both kinds, to fit a rejector at all."""

IN_PLAY = 4.0
"""A rejector is fitted to the components that would be kept at so many times the balanced point's
false positives: what no point would keep has nothing to teach."""

RATES = (0.5, 1.0, 2.0)
"""Of the balanced point's false positives: where what is found with and without it is compared."""

RESAMPLES = 400

SECTION = re.compile(r"\n## Operating points\n.*?(?=\n## |\Z)", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class TuneOptions:
    """What to choose on, and what is allowed.

    Attributes:
        data_root: Folder that recipes' paths start from; the validation part is taken.
        recipe: Recipe that says what that is, where the bundle does not.
        heads: Synthetic heads to choose on as well, for 3-D networks; from label maps the network
            was trained on, by seeds that neither training nor the benchmark draws.
        most_false_alarms: A scan, at the balanced point; None for the usual.
        rejector: Whether to try one.
        engine: What runs the network.
    """

    data_root: Path
    recipe: Path | None = None
    heads: int = 16
    most_false_alarms: float | None = None
    rejector: bool = True
    engine: str = "openvino"


def tune(
    bundle: Bundle, out: Path, options: TuneOptions, progress: Progress = silent
) -> tuple[Bundle, dict[str, Any]]:
    """Write the bundle into `out` with operating points chosen on its validation cases.

    The growing threshold, the peak and the smallest volume are searched over a grid: `balanced`
    is the point of highest mean of Dice and sensitivity within its false positives, `specific` the
    same with fewer, `sensitive` the one that finds most within more. A rejector is fitted to
    other patients than it is judged on, and kept only if it is shown to find more lesions for as
    many false positives (95 % interval over patients above 0). Test cases are never read. Returns
    the bundle and what was found.

    Progress comes as stage "score".

    Raises:
        OptionError: the bundle does not say what it was validated on, or there is nothing.
        DatasetLayout: the data are not where the recipe says.
    """
    limits = dict(MOST_FALSE_ALARMS[bundle.plan.dims])
    if options.most_false_alarms is not None:
        limits["balanced"] = options.most_false_alarms
        limits["sensitive"] = max(limits["sensitive"], options.most_false_alarms)
        limits["specific"] = min(limits["specific"], options.most_false_alarms)
    table = _tabulate(bundle, options, progress)
    choices = list(grid())
    before = _as_choice(bundle.operating_point)
    chosen = best_point(table, choices, most_false_alarms=limits["balanced"])
    rejector, tried = (None, None)
    judged = table
    if options.rejector:
        rejector, judged, tried = _try_rejector(table, limits["balanced"], chosen)
    if rejector is not None:
        choices = list(grid((rejector.grow,), least_peak=rejector.floor))
    points: dict[PointName, OperatingPoint] = {}
    found: dict[str, Any] = {}
    for name, limit in limits.items():
        choice, at_point = best_point(
            judged, choices, most_false_alarms=limit, by_sensitivity=name == "sensitive"
        )
        points[name] = OperatingPoint(
            threshold=choice.grow if rejector is None else rejector.floor,
            peak=choice.peak,
            min_volume_mm3=choice.min_volume_mm3,
        )
        found[name] = {"allowed": limit, **asdict(choice), **asdict(at_point)}
    document: dict[str, Any] = plain(
        {
            "cases": _counted(table),
            "before": {**asdict(before), **_before(table, before, bundle.rejector)},
            "points": found,
            "rejector": tried,
        }
    )
    unit = "slice" if bundle.plan.dims == 2 else "scan"
    card = SECTION.sub("", bundle.card).rstrip() + "\n"
    section = tuning_section(document, unit)
    place = card.find("\n## Limits")
    card = card + section if place < 0 else card[:place] + section + card[place:]
    tuned = revise_bundle(
        bundle,
        out,
        operating_point=points["balanced"],
        points=points,
        rejector=rejector,
        card=card,
        extra={"tuning": document},
    )
    return tuned, document


def _tabulate(bundle: Bundle, options: TuneOptions, progress: Progress) -> list[CaseCandidates]:
    """Predict every validation case once and tabulate its components at every threshold."""
    predictor = Predictor(bundle, options.engine)
    table: list[CaseCandidates] = []
    progress("score", 0.0)
    for number, (source, case) in enumerate(_cases(bundle, options)):
        prepared = bundle.plan.apply(case.case)
        native = prepared.to_native(predictor.predict(prepared))
        table += [_candidates(native, case, source, number, grow) for grow in GROWS]
    progress("score", 1.0)
    if not table:
        raise OptionError(
            f"no validation case for {bundle.name}",
            expected="a recipe with validation cases or blocks, or heads to make",
            remedy="add validation cases to the recipe, or raise --heads",
        )
    return table


def _cases(bundle: Bundle, options: TuneOptions) -> Iterator[tuple[str, ReferenceCase]]:
    from brainmets.synthesis import VALIDATION_SEED
    from brainmets.training.sources import SyntheticSource
    from brainmets.workflows.benchmark_heads import synthetic_heads

    sources = sources_of(bundle, options.recipe)
    real = sources_for(bundle, sources)
    for case in held_out(real, options.data_root, "validation", bundle.plan):
        yield "real", case
    made = [source for source in sources if isinstance(source, SyntheticSource)]
    if bundle.plan.dims == 3 and made and options.heads:
        maps = [options.data_root / made[0].root / name for name in made[0].maps]
        for head in synthetic_heads(maps, options.heads, first_seed=VALIDATION_SEED):
            yield "made", case_of_head(head)


def _candidates(
    native: Volume, case: ReferenceCase, source: str, number: int, grow: float
) -> CaseCandidates:
    kind = case.case.kind
    components = find_components(native.data >= np.float32(grow), native.data, kind)
    labels = np.zeros(native.data.shape, dtype=np.int32)
    for index, component in enumerate(components, start=1):
        labels[tuple(component.voxels.T)] = index
    labels = counted_labels(case, labels)
    left = np.unique(labels[labels > 0])
    renumber = np.zeros(len(components) + 1, dtype=np.int32)
    renumber[left] = np.arange(1, len(left) + 1)
    features = component_features(components, native.geometry, kind=kind)
    return candidates_of(
        native.data,
        case.truth.foreground,
        renumber[labels],
        features[left - 1],
        number=number,
        patient=case.patient,
        source=source,
        grow=grow,
        voxel_mm3=native.geometry.voxel_volume_mm3,
    )


def _try_rejector(
    table: Sequence[CaseCandidates], limit: float, without: tuple[Choice, PointFigures]
) -> tuple[Rejector | None, Sequence[CaseCandidates], dict[str, Any]]:
    """Fit a rejector at the chosen threshold; judge each patient by one fitted to the others.

    Returns it, the table by which to choose its points, and the record; None and the table as it
    was where it does not pay.
    """
    grow = without[0].grow
    cases = [one for one in table if one.grow == grow]
    real = np.concatenate([one.real for one in cases])
    record: dict[str, Any] = {"kept": False, "real": int(real.sum()), "false": int((~real).sum())}
    if min(record["real"], record["false"]) < FEWEST_COMPONENTS:
        because = f"fewer than {FEWEST_COMPONENTS} components of a kind"
        return None, table, record | {"because": because}
    least = _in_play(cases, IN_PLAY * limit)
    judged = _out_of_fold(cases, grow, least)
    rejector = _fitted(cases, grow, least)
    rates = [rate * limit for rate in RATES]
    low, gain, high = _gain(cases, judged, rates)
    record |= {
        "in_play": least,
        "rates": rates,
        "found_without": detection(cases, rates),
        "found_with": detection(judged, rates),
        "gain": {"value": gain, "low": low, "high": high},
    }
    if low <= 0:
        because = "its gain on patients it was not fitted to is not shown"
        return None, table, record | {"because": because}
    return rejector, judged, record | {"kept": True, "because": "its gain is shown"}


def _in_play(cases: Sequence[CaseCandidates], rate: float) -> float:
    """Return the peak above which there are so many false components a scan, all sources alike."""
    peaks = np.sort(np.concatenate([one.peak[~one.real] for one in cases]))[::-1]
    last = int(rate * len(cases))
    return float(peaks[last]) if last < len(peaks) else 0.0


def _out_of_fold(
    cases: Sequence[CaseCandidates], grow: float, least: float
) -> list[CaseCandidates]:
    """Judge each patient's components by a rejector that never saw the patient; ten folds."""
    patients = sorted({one.patient for one in cases})
    fold_of = {patient: n % 10 for n, patient in enumerate(patients)}
    judged: list[CaseCandidates] = []
    for fold in sorted(set(fold_of.values())):
        others = [one for one in cases if fold_of[one.patient] != fold]
        rejector = _fitted(others or cases, grow, least)
        judged += [
            replace(one, peak=rejector.likelihood(one.features))
            for one in cases
            if fold_of[one.patient] == fold
        ]
    return judged


def _fitted(cases: Sequence[CaseCandidates], grow: float, least: float) -> Rejector:
    features = np.concatenate([one.features for one in cases])
    real = np.concatenate([one.real for one in cases])
    in_play = np.concatenate([one.peak for one in cases]) >= least
    return Rejector.fit(features[in_play], real[in_play], grow=grow)


def _gain(
    without: Sequence[CaseCandidates], judged: Sequence[CaseCandidates], rates: Sequence[float]
) -> tuple[float, float, float]:
    """Return how many more lesions are found, and its interval over patients (low, value, high)."""
    patients = sorted({one.patient for one in without})
    drawn: NDArray[np.float64] = bootstrap_counts(len(patients), resamples=RESAMPLES)
    gains = [
        detection(judged, rates, weights=weights) - detection(without, rates, weights=weights)
        for row in drawn
        for weights in (dict(zip(patients, row.tolist(), strict=True)),)
    ]
    low, high = np.nanquantile(gains, (0.025, 0.975))
    return float(low), detection(judged, rates) - detection(without, rates), float(high)


def _as_choice(point: OperatingPoint) -> Choice:
    return Choice(grow=point.threshold, peak=point.peak, min_volume_mm3=point.min_volume_mm3)


def _before(
    table: Sequence[CaseCandidates], before: Choice, rejector: Rejector | None
) -> dict[str, Any]:
    """Return what the earlier point did, where its threshold was tabulated."""
    if rejector is not None or before.grow not in {one.grow for one in table}:
        return {}
    return asdict(figures_at(table, before))


def _counted(table: Sequence[CaseCandidates]) -> dict[str, Any]:
    """Return how many cases, patients and lesions of each source were chosen on."""
    first = table[0].grow
    cases = [one for one in table if one.grow == first]
    return {
        source: {
            "cases": sum(one.source == source for one in cases),
            "patients": len({one.patient for one in cases if one.source == source}),
            "lesions": sum(one.lesions for one in cases if one.source == source),
        }
        for source in sorted({one.source for one in cases})
    }
