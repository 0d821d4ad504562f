"""`brainmets evaluate` and `brainmets split`."""

from __future__ import annotations

import json
from pathlib import Path  # noqa: TC003 - typer reads annotations
from typing import TYPE_CHECKING, Annotated

import typer

from brainmets.cli.options import Cluster, Part, Resume  # noqa: TC001 - typer reads annotations
from brainmets.cli.progress import shown
from brainmets.domain import RESEARCH_USE_ONLY
from brainmets.evaluation.label_schemes import (
    LabelScheme,  # noqa: TC001
    RegionScheme,  # noqa: TC001
)
from brainmets.evaluation.scores import EmptyPolicy, ScorerName  # noqa: TC001

if TYPE_CHECKING:
    from brainmets.evaluation.records import ScoreRun

__all__ = ["evaluate", "split"]

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
    prediction: Annotated[Path, typer.Option(help="The model's masks, in the same layout.")],
    out: Annotated[Path, typer.Option(help="Folder for scores.json, scores.csv, lesions.csv.")],
    scorer: Annotated[
        ScorerName, typer.Option(help="Definition of the scores: see docs/concepts/scoring.md.")
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
    reference_labels: Annotated[
        LabelScheme,
        typer.Option(
            help="What labels mean: brats-mets (3 enhancing), brats-2021 (4 enhancing), lesions"
            " (every label is one). auto: brats-mets, refused where masks look otherwise."
        ),
    ] = "auto",
    prediction_labels: Annotated[
        LabelScheme, typer.Option(help="The same of the model's masks.")
    ] = "auto",
    jobs: Annotated[int | None, typer.Option(help="Processes; one a core by default.")] = None,
    original: Annotated[
        bool,
        typer.Option("--original", help="Results of brainmets: masks as found, not as reviewed."),
    ] = False,
    accept_guesses: Annotated[
        bool,
        typer.Option(
            "--accept-guesses", help="Pairs whose names are not equal are right: end with code 0."
        ),
    ] = False,
    missing_as_empty: Annotated[
        bool,
        typer.Option(
            "--missing-as-empty",
            help="Score a reference without prediction as an empty prediction.",
        ),
    ] = False,
    header_spacing: Annotated[
        bool,
        typer.Option(
            "--header-spacing",
            help="brats-2026 only: use the header's spacing, unlike the official package.",
        ),
    ] = False,
    resume: Resume = False,
    part: Part = None,
    cluster: Cluster = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the summary as JSON for machines.")
    ] = False,
) -> None:
    r"""Score predicted masks against expert ones, paired by case.

    Exits with 1 if a case has no partner, was paired by a guess or could not be scored.

    \b
    Examples:
      brainmets evaluate --reference expert --prediction masks --out scores
      brainmets evaluate --reference a.nii.gz --prediction b.nii.gz --scorer brats-2026 --out scores
    """
    from brainmets.cli.options import parse_part
    from brainmets.evaluation.records import run_document
    from brainmets.workflows.cohort import CohortOptions
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
        reference_labels=reference_labels,
        prediction_labels=prediction_labels,
        original=original,
        accept_guesses=accept_guesses,
    )
    cohort = CohortOptions(resume=resume, part=parse_part(part), cluster=cluster, jobs=jobs)
    with shown("Scoring", hidden=as_json) as step:
        run = score(reference, prediction, options, step, record=out, cohort=cohort)
    if run.unfinished:
        typer.echo(f"{len(run.unfinished)} cases left to other parts, or to --resume")
        return
    write_scores(run, out)
    if as_json:
        document = run_document(run)
        wanted = ("scorer", "settings", "summary", "unpaired", "failed", "left_aside", "notes")
        typer.echo(json.dumps({name: document[name] for name in wanted}, ensure_ascii=False))
    else:
        _show(run)
        typer.echo(f"Written to {out}: scores.json, scores.csv, lesions.csv")
    if not run.is_whole:
        raise typer.Exit(1)


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
    from brainmets.evaluation.records import run_remarks

    for one in summarise(run.cases):
        cases, patients = _counted(one.cases, "case"), _counted(one.patients, "patient")
        typer.echo(f"{one.region}: {cases} of {patients}, {run.scorer}")
        for name in HEADLINES[run.scorer]:
            if name in one.means:
                mean = one.means[name]
                typer.echo(f"  {name:22} {mean}")
        if one.by_diameter:
            typer.echo(f"  {'longest diameter':18} lesions  sensitivity           precision")
        for stratum in one.by_diameter:
            found, real = stratum.sensitivity, stratum.precision
            typer.echo(f"  {stratum.name:18} {stratum.tp + stratum.fn:7}  {found!s:21} {real}")
    for line in run_remarks(run):
        typer.echo(line, err=True)
    typer.echo(RESEARCH_USE_ONLY)


def _counted(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
