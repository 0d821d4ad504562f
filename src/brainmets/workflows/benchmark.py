"""Use case: measure networks on the fixed synthetic benchmark; tables, curves, targets met."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from brainmets.domain import RESEARCH_USE_ONLY, silent
from brainmets.domain.errors import FileMissing, OutputExists
from brainmets.evaluation.froc import by_size, confidence_at_rate, froc_curve
from brainmets.evaluation.records import LESION_COLUMNS, lesion_rows
from brainmets.evaluation.strata import VOLUME_BINS
from brainmets.reporting.benchmark_report import benchmark_markdown, froc_pictures
from brainmets.workflows.benchmark_heads import benchmark_heads, heads_sha256
from brainmets.workflows.bundle_scores import distinct, score_bundle
from brainmets.workflows.documents import csv_text, plain, write_files
from brainmets.workflows.reference_cases import case_of_head

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from brainmets.domain import Progress
    from brainmets.evaluation.strata import StratumScore
    from brainmets.inference import Bundle
    from brainmets.workflows.bundle_scores import BundleScores

__all__ = ["ALLOWED_FALSE_ALARMS", "BARS", "BenchmarkOptions", "benchmark", "find_label_maps"]

SCHEMA = "brainmets-benchmark/1"

BARS = {"≥10 mm": 0.95, "5–10 mm": 0.85, "3–5 mm": 0.60}
"""Sensitivity by longest diameter that a network should reach."""

ALLOWED_FALSE_ALARMS = 2.0
"""False positives a scan at which the bars hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkOptions:
    """How to run.

    Attributes:
        label_maps: Label maps for the heads; without any, heads are made from formulas.
        heads: How many of the benchmark's heads; None means all.
        engine: What runs the network.
        threads: Processors to use; None means all that the process may.
    """

    label_maps: tuple[Path, ...] = ()
    heads: int | None = None
    engine: str = "openvino"
    threads: int | None = None


def find_label_maps(folder: Path) -> tuple[Path, ...]:
    """Return the benchmark's four label maps in a folder.

    Raises:
        FileMissing: one of them is not there.
    """
    from brainmets.synthesis import BENCHMARK_MAPS

    found = tuple(folder / name for name in BENCHMARK_MAPS)
    for path in found:
        if not path.is_file():
            raise FileMissing(
                f"no {path.name} in {folder.name}",
                expected=f"{', '.join(BENCHMARK_MAPS)} of SynthSeg's training label maps",
                remedy="point --labels to their folder, or leave it out for heads from formulas",
            )
    return found


def benchmark(
    bundles: Sequence[Bundle],
    out: Path,
    options: BenchmarkOptions | None = None,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Run bundles over the benchmark and write its files into `out`; return the document.

    `benchmark.json` and `.md` hold the tables, `froc.svg`, `.png` and `.csv` the curves,
    `lesions.csv` every lesion and false positive. Progress has the stages "synthesize" and
    "score".

    Raises:
        OutputExists: `out` is a file.
        OptionError: the extra `report` is missing.
    """
    options = options or BenchmarkOptions()
    if out.exists() and not out.is_dir():
        raise OutputExists(
            f"{out.name} is a file", expected="a folder", remedy="name another folder"
        )
    heads = list(benchmark_heads(options.label_maps, heads=options.heads, progress=progress))
    cases = [case_of_head(head) for head in heads]
    scored = [
        score_bundle(
            bundle,
            cases,
            count=len(cases),
            engine=options.engine,
            threads=options.threads,
            surfaces=False,
            curve=True,
            progress=lambda stage, done, n=number: progress(stage, (n + done) / len(bundles)),
        )
        for number, bundle in enumerate(bundles)
    ]
    labels = distinct([bundle.name for bundle in bundles])
    suite = {"heads": [head.name for head in heads], "sha256": heads_sha256(heads)}
    document = _document(scored, labels, options, suite)
    svg, png = froc_pictures(document)
    write_files(
        {
            "benchmark.json": json.dumps(document, indent=1, ensure_ascii=False).encode() + b"\n",
            "benchmark.md": benchmark_markdown(document).encode(),
            "froc.svg": svg.encode(),
            "froc.png": png,
            "froc.csv": _froc_table(document).encode(),
            "lesions.csv": _lesion_table(scored, labels).encode(),
        },
        out,
    )
    return document


def _document(
    scored: Sequence[BundleScores],
    labels: Sequence[str],
    options: BenchmarkOptions,
    suite: dict[str, Any],
) -> dict[str, Any]:
    from brainmets.synthesis import BENCHMARK_VERSION

    return plain(
        {
            "schema": SCHEMA,
            "notice": RESEARCH_USE_ONLY,
            "benchmark": {
                "version": BENCHMARK_VERSION,
                **suite,
                "label_maps": [path.name for path in options.label_maps] or "formulas",
            },
            "allowed_false_alarms": ALLOWED_FALSE_ALARMS,
            "bundles": [
                {"name": label} | _of_bundle(one) for label, one in zip(labels, scored, strict=True)
            ],
        }
    )


def _of_bundle(one: BundleScores) -> dict[str, Any]:
    run, candidates = one.run.cases, one.candidates.cases
    rows = [row for case in candidates for row in case.regions[0].lesions]
    curve = froc_curve(rows, len(candidates))
    least = confidence_at_rate(candidates, ALLOWED_FALSE_ALARMS)
    at_point = by_size(run)
    dice = [case.regions[0].values["dice"] for case in run]
    return {
        "sha256": one.bundle.sha256,
        "network": one.bundle.architecture.name,
        "operating_point": one.bundle.operating_point.model_dump(),
        "seconds_a_scan": round(one.seconds / max(len(run), 1), 2),
        "dice": sum(dice) / len(dice),
        "at_operating_point": [asdict(stratum) for stratum in at_point],
        "by_volume": [
            asdict(stratum)
            for stratum in by_size(run, bins=VOLUME_BINS, size=lambda row: row.volume_mm3)
        ],
        "bars": _bars(at_point),
        "at_allowed_false_alarms": {
            "confidence": least,
            "strata": [asdict(stratum) for stratum in by_size(candidates, least=least)],
        },
        "froc": None
        if curve is None
        else {
            "score": curve.score,
            "thresholds": curve.thresholds.tolist(),
            "false_alarms_per_scan": curve.false_alarms_per_scan.tolist(),
            "sensitivity": curve.sensitivity.tolist(),
        },
    }


def _bars(strata: Sequence[StratumScore]) -> list[dict[str, Any]]:
    """Hold each bar against what the network does at its own operating point."""
    rate = strata[0].false_alarms_per_scan.value
    named = {stratum.name: stratum.sensitivity for stratum in strata}
    return [
        {
            "stratum": name,
            "bar": bar,
            "sensitivity": asdict(named[name]),
            "false_alarms_per_scan": rate,
            "met": named[name].value >= bar and rate <= ALLOWED_FALSE_ALARMS,
        }
        for name, bar in BARS.items()
    ]


def _froc_table(document: dict[str, Any]) -> str:
    rows = [
        {"model": one["name"], "confidence": t, "false_alarms_per_scan": f, "sensitivity": s}
        for one in document["bundles"]
        if one["froc"] is not None
        for t, f, s in zip(
            one["froc"]["thresholds"],
            one["froc"]["false_alarms_per_scan"],
            one["froc"]["sensitivity"],
            strict=True,
        )
    ]
    return csv_text(("model", "confidence", "false_alarms_per_scan", "sensitivity"), rows)


def _lesion_table(scored: Sequence[BundleScores], labels: Sequence[str]) -> str:
    rows = [
        {"model": label, **row}
        for label, one in zip(labels, scored, strict=True)
        for row in lesion_rows(one.run)
    ]
    return csv_text(("model", *LESION_COLUMNS), rows)
