"""`brainmets compare`."""

from __future__ import annotations

import json
import math
from pathlib import Path  # noqa: TC003 - typer reads annotations
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from brainmets.cli.progress import shown
from brainmets.domain import RESEARCH_USE_ONLY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from brainmets.training.samples import Part
    from brainmets.workflows.compare import CompareOptions, Comparison

__all__ = ["compare"]

PARTS = ("test", "validation")


def compare(
    models: Annotated[
        list[Path],
        typer.Argument(
            metavar="MODEL...",
            help="Networks (names or folders), folders that evaluate wrote, or folders of masks.",
        ),
    ],
    *,
    out: Annotated[Path, typer.Option("--out", "--output", "-o", help="Folder for the report.")],
    held_out: Annotated[
        Path | None,
        typer.Option(
            help="Networks: compare on what their recipes hold out, paths starting at this folder."
        ),
    ] = None,
    part: Annotated[str, typer.Option(help="Which held-out part: test or validation.")] = "test",
    recipe: Annotated[
        Path | None,
        typer.Option(help="Recipe with the held-out cases, if the networks do not store it."),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Networks: compare on a data set with masks instead.")
    ] = None,
    layout: Annotated[
        str, typer.Option(help="Its layout; see docs/reference/datasets.md.")
    ] = "auto",
    only: Annotated[
        str | None, typer.Option(help="Patients of the data set to take, separated by commas.")
    ] = None,
    networks: Annotated[
        str | None,
        typer.Option(
            help="Folders of scores: which network each is a training of, such as "
            "attention-unet,attention-unet,unet-plus-plus,unet-plus-plus."
        ),
    ] = None,
    slices: Annotated[
        bool,
        typer.Option("--slices", help="With --networks: the scores are of single slices."),
    ] = False,
    reference: Annotated[
        Path | None, typer.Option(help="Masks: expert masks to score them against first.")
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
    accept_guesses: Annotated[
        bool,
        typer.Option("--accept-guesses", help="Masks: pairs whose names are not equal are right."),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the comparison as JSON for machines.")
    ] = False,
) -> None:
    r"""Compare models on the same patients, lesion by lesion, by size and by shape.

    Of networks: several trainings (seeds) of Attention U-Net and of U-Net++ are taken together;
    Dice, sensitivity and false positives by lesion size and by thirds of sphericity and solidity,
    with 95 % intervals over patients and trainings at once, and a conclusion on two claims:
    "Attention U-Net is better on small metastases", "U-Net++ handles complex structures better".

    Of scores or masks: paired tests, effect sizes, and a report to print. Ends with code 1 if a
    case was left out for a model, or paired by a guess.

    \b
    Examples:
      brainmets compare attention-unet-2d unet-plus-plus-2d --held-out ../shared/data --out duel
      brainmets compare a-s0 a-s1 a-s2 u-s0 u-s1 u-s2 --data BraTS-METS --out duel
      brainmets compare scores/a scores/b --out report
      brainmets compare masks/a masks/b --reference expert --out report
    """
    from brainmets.domain.extras import require

    require("report", "matplotlib", "typst")
    listed = tuple(name.strip() for name in names.split(",")) if names else ()
    if networks is not None or (reference is None and _are_networks(models)):
        document = _report_networks(
            models,
            out,
            names=listed,
            networks=networks,
            slices=slices,
            data={
                "held_out": held_out,
                "part": _part(part),
                "recipe": recipe,
                "data": data,
                "layout": layout,
                "only": tuple(only.split(",")) if only else (),
            },
            quiet=as_json,
        )
        if as_json:
            typer.echo(json.dumps(document, ensure_ascii=False))
            return
        from brainmets.reporting.networks_report import networks_markdown

        typer.echo(networks_markdown(document))
        typer.echo(f"Written to {out}: comparison.md, .json, .svg, .png, strata.csv")
        return
    from brainmets.workflows.compare import CompareOptions
    from brainmets.workflows.evaluate import EvaluateOptions

    options = CompareOptions(
        reference=reference,
        images=images,
        region=region,
        names=listed,
        scoring=EvaluateOptions(jobs=jobs, accept_guesses=accept_guesses),
    )
    _report(models, out, options, as_json=as_json)


def _are_networks(models: Sequence[Path]) -> bool:
    from brainmets.workflows.compare_bundles import are_bundles

    return are_bundles(models)


def _part(name: str) -> Part:
    from brainmets.domain.errors import OptionError

    if name not in PARTS:
        raise OptionError(f"part {name}", expected=" | ".join(PARTS), remedy="choose one of these")
    return cast("Part", name)


def _report_networks(
    models: Sequence[Path],
    out: Path,
    *,
    names: Sequence[str],
    networks: str | None,
    slices: bool,
    data: dict[str, Any],
    quiet: bool,
) -> dict[str, Any]:
    from brainmets.domain.extras import needing
    from brainmets.inference import Bundle
    from brainmets.workflows.compare_bundles import BundleData, compare_bundles, compare_scores

    if networks is not None:
        listed = [name.strip() for name in networks.split(",")]
        return compare_scores(models, listed, out, names=names, slices=slices)
    with needing("train"), shown("Comparing", hidden=quiet) as step:
        bundles = [Bundle.load(str(one)) for one in models]
        return compare_bundles(bundles, out, BundleData(**data), names=names, progress=step)


def _report(models: Sequence[Path], out: Path, options: CompareOptions, *, as_json: bool) -> None:
    from brainmets.workflows.compare import compare as run_comparison
    from brainmets.workflows.compare import comparison_document

    with shown("Comparing", hidden=as_json) as step:
        comparison, files = run_comparison(tuple(models), out, options, step)
    if as_json:
        typer.echo(json.dumps(comparison_document(comparison), ensure_ascii=False))
    else:
        _show_comparison(comparison)
        typer.echo(f"Written to {out}: {', '.join(path.name for path in files)}")
    if not comparison.is_whole:
        raise typer.Exit(1)


def _show_comparison(comparison: Comparison) -> None:
    for pair in comparison.pairs:
        typer.echo(f"{pair.b} minus {pair.a}, paired by patient")
        typer.echo(f"  {'':22} {'difference [95 %]':28} p (Holm)       dz     n")
        for row in pair.rows:
            change = row.test.difference
            typer.echo(
                f"  {row.figure:22} {change!s:28} "
                f"{_number(row.p_holm):>8} {_number(row.test.cohen_dz):>8} {change.n:5}"
            )
        for row in pair.by_size:
            typer.echo(
                f"  {row.stratum:12} {row.lesions:5} lesions: {pair.a} found {row.found_a}, "
                f"{pair.b} {row.found_b}"
            )
    for line in comparison.conclusions:
        typer.echo(line)
    if comparison.left_out:
        typer.echo(f"Left out: {', '.join(comparison.left_out)}", err=True)
    for line in comparison.remarks:
        typer.echo(line, err=True)
    typer.echo(RESEARCH_USE_ONLY)


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3g}"
