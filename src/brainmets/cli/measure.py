"""`brainmets models measure`."""

from __future__ import annotations

import json
from pathlib import Path  # noqa: TC003 - typer reads annotations
from typing import Annotated

import typer

__all__ = ["measure"]


def measure(
    bundles: Annotated[
        list[str],
        typer.Argument(metavar="BUNDLE...", help="Networks: names from models list, or folders."),
    ],
    *,
    data: Annotated[
        Path, typer.Option(help="Folder that recipes' paths start from, as BRAINMETS_DATA.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "--out", "-o", help="Folder for tables and pictures.")
    ],
    recipe: Annotated[
        Path | None,
        typer.Option(help="Recipe with the held-out cases, if the networks do not store it."),
    ] = None,
    without_benchmark: Annotated[
        bool, typer.Option("--without-benchmark", help="Leave the synthetic benchmark out.")
    ] = False,
    write_card: Annotated[
        bool,
        typer.Option("--write-card", help="Put the figures into each network's card, in place."),
    ] = False,
    engine: Annotated[str, typer.Option(help="openvino, onnxruntime or pytorch.")] = "openvino",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    r"""Measure networks on data that were not used for training or tuning.

    Uses the held-out slices and volumes of each network's recipe, without voxels of uncertain
    label. For 3-D networks also: components on a healthy head and the result on a real
    ring-enhancing metastasis, both as pictures, and the synthetic benchmark. Each figure has a
    95 % interval and a target. Networks of one kind that hold out different scans are folds of a
    cross-validation, and their scans are pooled.

    \b
    Examples:
      brainmets models measure attention-unet-3d --data ../shared/data --output measured
      brainmets models measure fold-0 fold-1 fold-2 --data ../shared/data --output folds
    """
    from brainmets.cli.progress import shown
    from brainmets.domain.extras import needing
    from brainmets.inference import Bundle
    from brainmets.reporting.measured_text import measured_markdown

    with needing("train"), shown("Measuring", hidden=as_json) as progress:
        from brainmets.workflows.measure import MeasureOptions
        from brainmets.workflows.measure import measure as run

        options = MeasureOptions(
            data_root=data,
            recipe=recipe,
            with_benchmark=not without_benchmark,
            engine=engine,
            write_cards=write_card,
        )
        document = run([Bundle.load(name) for name in bundles], output, options, progress)
    if as_json:
        typer.echo(json.dumps(document, ensure_ascii=False))
        return
    typer.echo(measured_markdown(document))
    typer.echo(f"Written to {output}: measured.json, measured.md, pictures")
