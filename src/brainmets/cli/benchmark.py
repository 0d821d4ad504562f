"""`brainmets benchmark`."""

from __future__ import annotations

import json
from pathlib import Path  # noqa: TC003 - typer reads annotations
from typing import Annotated

import typer

__all__ = ["benchmark"]


def benchmark(
    bundles: Annotated[
        list[str],
        typer.Argument(metavar="BUNDLE...", help="Networks: names from models list, or folders."),
    ],
    *,
    output: Annotated[
        Path,
        typer.Option("--output", "--out", "-o", help="Folder for tables, curves and pictures."),
    ],
    labels: Annotated[
        Path | None,
        typer.Option(
            help="Folder of SynthSeg's label maps; without it, analytic phantoms are used."
        ),
    ] = None,
    heads: Annotated[
        int | None, typer.Option(min=1, help="Use only the first N heads, for a quick check.")
    ] = None,
    engine: Annotated[str, typer.Option(help="openvino, onnxruntime or pytorch.")] = "openvino",
    threads: Annotated[
        int | None, typer.Option(min=1, help="Processors to use; all by default.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    r"""Measure networks on the fixed synthetic benchmark.

    Twelve synthetic heads with 216 lesions of every size, with and without skull, in thin and
    thick slices. Prints the sensitivity by size with 95 % intervals, the false positives a scan
    and the FROC curve, and whether the targets are met: 0.95 from 10 mm, 0.85 from
    5 mm, 0.60 from 3 mm, at 2 false positives a scan.
    Heads are made once and kept; their seeds and label maps are in no training.

    \b
    Examples:
      brainmets benchmark attention-unet-3d unet-plus-plus-3d --output benchmark
      brainmets benchmark runs/mine/mine --labels label-maps --heads 4 --output quick
    """
    from brainmets.cli.progress import shown
    from brainmets.domain.extras import needing
    from brainmets.inference import Bundle
    from brainmets.reporting.benchmark_report import benchmark_markdown

    with needing("train"):
        from brainmets.workflows.benchmark import BenchmarkOptions, find_label_maps
        from brainmets.workflows.benchmark import benchmark as run

        options = BenchmarkOptions(
            label_maps=() if labels is None else find_label_maps(labels),
            heads=heads,
            engine=engine,
            threads=threads,
        )
        with shown("Benchmark", hidden=as_json) as progress:
            document = run([Bundle.load(name) for name in bundles], output, options, progress)
    if as_json:
        typer.echo(json.dumps(document, ensure_ascii=False))
        return
    typer.echo(benchmark_markdown(document))
    typer.echo(f"Written to {output}: benchmark.json, benchmark.md, froc.svg, froc.png, CSV tables")
