"""`brainmets models measure`, `brainmets benchmark` and `brainmets tune`."""

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


def tune(
    bundle: Annotated[
        str, typer.Argument(metavar="BUNDLE", help="A name from models list, or a folder.")
    ],
    *,
    validation: Annotated[
        Path, typer.Option(help="Folder that recipes' paths start from, as BRAINMETS_DATA.")
    ],
    output: Annotated[
        Path,
        typer.Option("--output", "--out", "-o", help="Folder for the tuned network."),
    ],
    recipe: Annotated[
        Path | None,
        typer.Option(help="Recipe with the validation cases, if the network does not store it."),
    ] = None,
    heads: Annotated[
        int, typer.Option(min=0, help="Synthetic heads to choose on as well, for 3-D networks.")
    ] = 16,
    false_alarms: Annotated[
        float | None,
        typer.Option(min=0.0, help="Allowed a scan at the balanced point; 1 in 3-D, 0.3 in 2-D."),
    ] = None,
    no_rejector: Annotated[
        bool, typer.Option("--no-rejector", help="Do not try a rejector of components.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    r"""Choose a network's operating points on its validation cases; write a tuned copy.

    Searches the threshold that lesions grow to, the peak they must reach and their smallest
    volume, for three points: sensitive, balanced (the default) and specific. Tries a rejector of
    components, and keeps it only if it helps on patients it was not fitted to. The network's
    weights do not change; the card states what was chosen on which data. Test cases are never read.

    \b
    Examples:
      brainmets tune runs/mine/mine --validation ../shared/data --output tuned/mine
      brainmets tune mine --validation data --heads 0 --false-alarms 0.5 --output tuned/mine
    """
    from brainmets.cli.progress import shown
    from brainmets.domain.extras import needing
    from brainmets.inference import Bundle
    from brainmets.reporting.tuning_text import tuning_section

    with needing("train"), shown("Tuning", hidden=as_json) as progress:
        from brainmets.workflows.tune import TuneOptions
        from brainmets.workflows.tune import tune as run

        options = TuneOptions(
            data_root=validation,
            recipe=recipe,
            heads=heads,
            most_false_alarms=false_alarms,
            rejector=not no_rejector,
        )
        tuned, document = run(Bundle.load(bundle), output, options, progress)
    if as_json:
        typer.echo(json.dumps(document, ensure_ascii=False))
        return
    typer.echo(tuning_section(document, "slice" if tuned.plan.dims == 2 else "scan"))
    typer.echo(f"{tuned.name} sha256 {tuned.sha256[:12]}\n{tuned.root}")
