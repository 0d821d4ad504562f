"""Use case: every figure a network is judged by, from bundles and data no training has touched."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from brainmets.domain import RESEARCH_USE_ONLY, silent
from brainmets.evaluation.statistics import Interval, mean_interval, ratio_interval
from brainmets.inference import revise_bundle
from brainmets.reporting.measured_text import measured_markdown, measured_section
from brainmets.workflows.benchmark import BenchmarkOptions, benchmark, find_label_maps
from brainmets.workflows.bundle_scores import ASIDE, distinct, score_bundle
from brainmets.workflows.documents import plain, write_files
from brainmets.workflows.reference_cases import (
    NOT_ENHANCING,
    held_out,
    sources_for,
    sources_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from brainmets.domain import Progress
    from brainmets.evaluation.scores import CaseScore
    from brainmets.inference import Bundle
    from brainmets.workflows.bundle_scores import BundleScores

__all__ = ["BARS", "MeasureOptions", "measure"]

SCHEMA = "brainmets-measured/1"

BARS: Mapping[str, float] = {
    "slice_dice": 0.75,
    "core_dice": 0.60,
    "false_components": 3.0,
    "healthy_components": 1.0,
}
"""What issue 3 asks of a network; the benchmark has its own."""

HEALTHY = "mprage-dicom.zip"
RING_CASE = "met-00110/BraTS-MET-00110-000-t1c.nii.gz"
LABEL_MAPS = "label-maps"
SECTIONS = re.compile(r"\n## (?:Measured|Held-out test)\n.*?(?=\n## |\Z)", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasureOptions:
    """What to measure on.

    Attributes:
        data_root: Folder that recipes' paths start from; also holds the healthy head, the case
            with rings and the benchmark's label maps. What is not there is left out.
        recipe: Recipe that says what was held out, where a bundle does not.
        with_benchmark: Whether to run the synthetic benchmark, for 3-D networks.
        engine: What runs the networks.
        write_cards: Whether each bundle's card gets the figures, in place of earlier ones.
    """

    data_root: Path
    recipe: Path | None = None
    with_benchmark: bool = True
    engine: str = "openvino"
    write_cards: bool = False


def measure(
    bundles: Sequence[Bundle],
    out: Path,
    options: MeasureOptions,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Measure bundles and write `measured.json`, `measured.md` and pictures; return the document.

    Held-out slices and volumes as each bundle's recipe says; 3-D networks also on the healthy head
    and the ring case, both pictured, and on the benchmark. Bundles of one network whose held-out
    volumes are others are folds: their cases are pooled as well.

    Raises:
        OptionError: a bundle does not say what was held out.
        DatasetLayout: the held-out data are not where the recipe says.
    """
    out.mkdir(parents=True, exist_ok=True)
    measured: list[dict[str, Any]] = []
    volumes: dict[str, list[BundleScores]] = {}
    labels = distinct([bundle.name for bundle in bundles])
    for number, (label, bundle) in enumerate(zip(labels, bundles, strict=True)):

        def step(stage: str, done: float, /, _n: int = number) -> None:
            progress(stage, (_n + done) / len(bundles))

        scored = _held_out_scores(bundle, options, step)
        one: dict[str, Any] = {
            "name": label,
            "sha256": bundle.sha256,
            "network": bundle.architecture.name,
            "dims": bundle.plan.dims,
            "operating_point": bundle.operating_point.model_dump(),
            "held_out": _figures(scored),
        }
        if bundle.plan.dims == 3:
            volumes.setdefault(bundle.architecture.name, []).append(scored)
            one["healthy"] = _looked_at(bundle, options, HEALTHY, out / f"healthy-{label}.png")
            one["ring_case"] = _looked_at(bundle, options, RING_CASE, out / f"ring-{label}.png")
        measured.append(one)
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "notice": RESEARCH_USE_ONLY,
        "bars": dict(BARS),
        "bundles": measured,
        "cross_validated": [
            {"network": network, "bundles": distinct([one.bundle.name for one in folds])}
            | _pooled(folds)
            for network, folds in volumes.items()
            if _are_folds(folds)
        ],
        "benchmark": _benchmark(bundles, out, options, progress),
    }
    document = plain(document)
    write_files(
        {
            "measured.json": json.dumps(document, indent=1, ensure_ascii=False).encode() + b"\n",
            "measured.md": measured_markdown(document).encode(),
        },
        out,
    )
    if options.write_cards:
        for label, bundle in zip(labels, bundles, strict=True):
            _write_card(bundle, label, document)
    return document


def _write_card(bundle: Bundle, label: str, document: Mapping[str, Any]) -> None:
    """Put the figures into the card, where those of training or of an earlier run stood."""
    card = SECTIONS.sub("", bundle.card).rstrip() + "\n"
    section = measured_section(document, label)
    place = card.find("\n## Limits")
    card = card + section if place < 0 else card[:place] + section + card[place:]
    revise_bundle(bundle, bundle.root, card=card, rejector=bundle.rejector)


def _held_out_scores(bundle: Bundle, options: MeasureOptions, progress: Progress) -> BundleScores:
    sources = sources_for(bundle, sources_of(bundle, options.recipe))
    cases = held_out(sources, options.data_root, "test", bundle.plan)
    return score_bundle(bundle, cases, engine=options.engine, surfaces=False, progress=progress)


def _figures(scored: BundleScores) -> dict[str, Any]:
    cases = scored.run.cases
    figures = _summary(cases, scored.groups)
    groups = sorted(set(scored.groups.values()))
    figures["groups"] = {
        group: _summary([c for c in cases if scored.groups.get(c.case_id) == group], {})
        for group in groups
    }
    if scored.bundle.plan.dims == 3:
        figures["case_by_case"] = _rows(cases, scored.groups)
    return figures


def _summary(cases: Sequence[CaseScore], groups: Mapping[str, str]) -> dict[str, Any]:
    """Return mean Dice over the cases that count, and false components a case over all."""
    counted = [case for case in cases if not np.isnan(_value(case, "dice"))]
    counted = [case for case in counted if _value(case, "n_reference") > 0]
    return {
        "cases": len(cases),
        "with_lesion": len(counted),
        "not_enhancing": sum(group == NOT_ENHANCING for group in groups.values()),
        "patients": len({case.patient for case in cases}),
        "dice": asdict(_mean_by_patient(counted, "dice")),
        "false_components": asdict(_mean_by_patient(cases, ASIDE)),
        "without_overlap": sum(_value(case, "dice") == 0 for case in counted),
        "lesions": int(sum(_value(case, "n_reference") for case in counted)),
        "sensitivity": asdict(
            ratio_interval(_sums(counted, "tp"), np.add(_sums(counted, "tp"), _sums(counted, "fn")))
        ),
    }


def _mean_by_patient(cases: Sequence[CaseScore], figure: str) -> Interval:
    """Return the mean over cases; the interval resamples patients (or blocks) whole."""
    patients = sorted({case.patient for case in cases})
    if len(patients) == len(cases):
        return mean_interval([_value(case, figure) for case in cases])
    counts = [sum(case.patient == patient for case in cases) for patient in patients]
    return ratio_interval(_sums(cases, figure), np.asarray(counts, float))


def _sums(cases: Sequence[CaseScore], figure: str) -> list[float]:
    patients = sorted({case.patient for case in cases})
    return [sum(_value(c, figure) for c in cases if c.patient == patient) for patient in patients]


def _value(case: CaseScore, figure: str) -> float:
    return case.regions[0].values[figure]


def _rows(cases: Iterable[CaseScore], groups: Mapping[str, str]) -> list[dict[str, Any]]:
    return [
        {
            "case": case.case_id,
            "group": groups.get(case.case_id, ""),
            "dice": _value(case, "dice"),
            "components": int(_value(case, "n_prediction")),
            "false": int(_value(case, ASIDE)),
        }
        for case in cases
    ]


def _are_folds(folds: Sequence[BundleScores]) -> bool:
    names = [case.case_id for one in folds for case in one.run.cases]
    return len(folds) > 1 and len(set(names)) == len(names)


def _pooled(folds: Sequence[BundleScores]) -> dict[str, Any]:
    cases = [case for one in folds for case in one.run.cases]
    groups = {name: group for one in folds for name, group in one.groups.items()}
    return {"held_out": _summary(cases, groups) | {"case_by_case": _rows(cases, groups)}}


def _looked_at(
    bundle: Bundle, options: MeasureOptions, name: str, picture: Path
) -> dict[str, Any] | None:
    """Segment one scan without a truth as a user would, draw it, and say what was found."""
    from brainmets.inference import Predictor
    from brainmets.io import read_case
    from brainmets.reporting.side_by_side import draw_side_by_side
    from brainmets.workflows.segment import Segmenter, SegmentOptions

    path = options.data_root / name
    if not path.exists():
        return None
    segmenter = Segmenter(SegmentOptions(engine=options.engine))
    report = segmenter.report(read_case(path), Predictor(bundle, options.engine))
    draw_side_by_side(report).save(picture, optimize=True)
    lesions = report.prediction.lesions
    return {
        "input": path.name,
        "picture": picture.name,
        "components": len(lesions),
        "volume_ml": sum(lesion.volume_mm3 for lesion in lesions) / 1000,
        "highest": max((lesion.peak_probability for lesion in lesions), default=None),
        "lesions": [
            {
                "volume_mm3": round(lesion.volume_mm3, 1),
                "diameter_mm": round(lesion.diameter_3d_mm, 1),
                "peak": round(lesion.peak_probability, 3),
                "centroid_ras_mm": [round(value, 1) for value in lesion.centroid_ras_mm],
            }
            for lesion in lesions
        ],
    }


def _benchmark(
    bundles: Sequence[Bundle], out: Path, options: MeasureOptions, progress: Progress
) -> dict[str, Any] | None:
    deep = [bundle for bundle in bundles if bundle.plan.dims == 3]
    folder = options.data_root / LABEL_MAPS
    if not deep or not options.with_benchmark or not folder.is_dir():
        return None
    maps = find_label_maps(folder)
    settings = BenchmarkOptions(label_maps=maps, engine=options.engine)
    return benchmark(deep, out / "benchmark", settings, progress)
