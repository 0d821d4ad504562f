"""`brainmets evaluate`, `brainmets compare` and `brainmets split`."""

from __future__ import annotations

import json
import math
from pathlib import Path  # noqa: TC003 - typer reads annotations
from typing import TYPE_CHECKING, Annotated

import typer

from brainmets.cli.progress import shown
from brainmets.domain import RESEARCH_USE_ONLY
from brainmets.evaluation.regions import RegionScheme  # noqa: TC001
from brainmets.evaluation.scores import EmptyPolicy, ScorerName  # noqa: TC001

if TYPE_CHECKING:
    from brainmets.evaluation.records import ScoreRun
    from brainmets.workflows.compare import Comparison

__all__ = ["compare", "evaluate", "split"]

HEADLINES = {
    "brats-2023": ("lesionwise_dice", "lesionwise_hd95", "tp", "fn", "fp", "dice"),
    "brats-2024": (
        "lesionwise_dice",
        "lesionwise_nsd_1.0mm",
        "lesionwise_hd95",
        "tp",
        "fn",
        "fp",
        "dice",
    ),
    "brats-2026": (
        "lesionwise_dsc_mean",
        "lesionwise_nsd_mean",
        "lesionwise_hd95_mean",
        "small_instance_f1",
        "rq",
        "global_bin_dsc",
    ),
    "brainmets": ("dice", "nsd_1mm", "hd95_mm", "sensitivity", "precision", "f1", "fp"),
}
"""What is printed; the files hold every figure."""


def evaluate(
    *,
    reference: Annotated[
        Path, typer.Option(help="Expert masks: a file, or a folder with a file or folder a case.")
    ],
    prediction: Annotated[Path, typer.Option(help="The model's masks, laid out likewise.")],
    out: Annotated[Path, typer.Option(help="Folder for scores.json, scores.csv, lesions.csv.")],
    scorer: Annotated[
        ScorerName, typer.Option(help="Whose definition: see docs/concepts/scoring.md.")
    ] = "brainmets",
    regions: Annotated[
        RegionScheme | None,
        typer.Option(help="brats: ET, TC, WT, RC by label; binary: any label. Default: by scorer."),
    ] = None,
    empty: Annotated[
        EmptyPolicy,
        typer.Option(help="What a region scores that is empty in reference and prediction."),
    ] = "official",
    probability: Annotated[
        Path | None,
        typer.Option(help="Probability maps, paired by case, for the FROC curve."),
    ] = None,
    jobs: Annotated[int | None, typer.Option(help="Processes; one a core by default.")] = None,
    missing_as_empty: Annotated[
        bool,
        typer.Option(
            "--missing-as-empty", help="Score a reference without prediction as wholly missed."
        ),
    ] = False,
    header_spacing: Annotated[
        bool,
        typer.Option(
            "--header-spacing",
            help="brats-2026 only: measure thick slices right, unlike the official package.",
        ),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the summary as JSON for machines.")
    ] = False,
) -> None:
    """Score predicted masks against expert ones, paired by case.

    Ends with code 1 if a case was left unpaired or could not be scored.
    """
    from brainmets.evaluation.records import run_document
    from brainmets.workflows.evaluate import EvaluateOptions, write_scores
    from brainmets.workflows.evaluate import evaluate as score

    options = EvaluateOptions(
        scorer=scorer,
        regions=regions,
        empty=empty,
        missing="as-empty" if missing_as_empty else "report",
        probability=probability,
        spacing_order="header" if header_spacing else "official",
        jobs=jobs,
    )
    with shown("Scoring", hidden=as_json) as step:
        run = score(reference, prediction, options, step)
    write_scores(run, out)
    if as_json:
        document = run_document(run)
        wanted = ("scorer", "settings", "summary", "unpaired", "failed")
        typer.echo(json.dumps({name: document[name] for name in wanted}, ensure_ascii=False))
    else:
        _show(run)
        typer.echo(f"Written to {out}: scores.json, scores.csv, lesions.csv")
    whole = run.settings["missing"] == "as-empty" or not run.unpaired_reference
    if run.failed or run.unpaired_prediction or not whole:
        raise typer.Exit(1)


def compare(
    models: Annotated[
        list[Path],
        typer.Argument(help="Folders written by evaluate, or masks if --reference is given."),
    ],
    *,
    out: Annotated[Path, typer.Option(help="Folder for comparison.json, .html and .pdf.")],
    reference: Annotated[
        Path | None, typer.Option(help="Expert masks: score the models first, as evaluate does.")
    ] = None,
    images: Annotated[
        Path | None, typer.Option(help="Scans to show the worst cases on, paired by case.")
    ] = None,
    region: Annotated[
        str | None, typer.Option(help="Which region to compare; the first one by default.")
    ] = None,
    names: Annotated[
        str | None, typer.Option(help="Names for the report, separated by commas.")
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(help="Processes for scoring masks; one a core by default.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the comparison as JSON for machines.")
    ] = False,
) -> None:
    """Compare models on the same patients: paired tests, effect sizes, a report to print."""
    from brainmets.workflows.compare import CompareOptions, comparison_document
    from brainmets.workflows.compare import compare as run_comparison
    from brainmets.workflows.evaluate import EvaluateOptions

    options = CompareOptions(
        reference=reference,
        images=images,
        region=region,
        names=tuple(name.strip() for name in names.split(",")) if names else (),
        scoring=EvaluateOptions(jobs=jobs),
    )
    with shown("Comparing", hidden=as_json) as step:
        comparison, files = run_comparison(tuple(models), out, options, step)
    if as_json:
        typer.echo(json.dumps(comparison_document(comparison), ensure_ascii=False))
        return
    _show_comparison(comparison)
    typer.echo(f"Written to {out}: {', '.join(path.name for path in files)}")


def split(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The data set to divide.")],
    *,
    out: Annotated[Path, typer.Option(help="File to write, such as splits.json.")],
    layout: Annotated[
        str, typer.Option(help="Its layout; see docs/reference/datasets.md.")
    ] = "auto",
    folds: Annotated[int, typer.Option(min=2, help="Parts for cross-validation.")] = 5,
    test: Annotated[
        float, typer.Option(min=0.0, max=0.9, help="Share of patients that no fold may see.")
    ] = 0.0,
    seed: Annotated[int, typer.Option(help="The same seed gives the same split.")] = 0,
) -> None:
    """Divide a data set by patient, with even lesion burden; the file is signed."""
    from brainmets.workflows.splits import split_dataset, write_splits

    with shown(folder.name) as step:
        splits = split_dataset(
            folder, layout=layout, folds=folds, test_share=test, seed=seed, progress=step
        )
    write_splits(splits, out)
    for number, fold in enumerate(splits.folds):
        typer.echo(f"fold {number}: {len(fold)} cases")
    if splits.test:
        typer.echo(f"test: {len(splits.test)} cases")
    typer.echo(f"{out.name} sha256 {splits.sha256}")


def _show(run: ScoreRun) -> None:
    from brainmets.evaluation.cohort import summarise

    for one in summarise(run.cases):
        typer.echo(f"{one.region}: {one.cases} cases of {one.patients} patients, {run.scorer}")
        for name in HEADLINES[run.scorer]:
            if name in one.means:
                mean = one.means[name]
                typer.echo(f"  {name:22} {_interval(mean.value, mean.low, mean.high)}")
        if one.by_diameter:
            typer.echo(f"  {'longest diameter':18} lesions  sensitivity           precision")
        for stratum in one.by_diameter:
            found, real = stratum.sensitivity, stratum.precision
            typer.echo(
                f"  {stratum.name:18} {stratum.tp + stratum.fn:7}  "
                f"{_interval(found.value, found.low, found.high):21} "
                f"{_interval(real.value, real.low, real.high)}"
            )
    for title, cases in (
        ("No prediction for", run.unpaired_reference),
        ("No reference for", run.unpaired_prediction),
    ):
        if cases:
            typer.echo(f"{title} {', '.join(cases)}", err=True)
    for case, line in run.failed.items():
        typer.echo(f"{case}: {line}", err=True)
    typer.echo(RESEARCH_USE_ONLY)


def _show_comparison(comparison: Comparison) -> None:
    for pair in comparison.pairs:
        typer.echo(f"{pair.b} minus {pair.a}, paired by patient")
        typer.echo(f"  {'':22} {'difference [95 %]':28} p (Holm)       dz     n")
        for row in pair.rows:
            change = row.test.difference
            typer.echo(
                f"  {row.figure:22} {_interval(change.value, change.low, change.high):28} "
                f"{_number(row.p_holm):>8} {_number(row.test.cohen_dz):>8} {change.n:5}"
            )
        for row in pair.by_size:
            typer.echo(
                f"  {row.stratum:12} {row.lesions:5} lesions: {pair.a} found {row.found_a}, "
                f"{pair.b} {row.found_b}"
            )
    for line in comparison.verdicts:
        typer.echo(line)
    typer.echo(RESEARCH_USE_ONLY)


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3g}"


def _interval(value: float, low: float, high: float) -> str:
    if math.isnan(value):
        return "–"
    return f"{value:.3f} [{low:.3f}, {high:.3f}]"
