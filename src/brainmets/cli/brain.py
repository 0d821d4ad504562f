"""`brainmets brain`."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads annotations
from typing import Annotated

import typer

__all__ = ["brain"]


def brain(
    path: Annotated[
        Path,
        typer.Argument(
            metavar="INPUT", help="NIfTI, or a DICOM folder or zip: a volume of any MR contrast."
        ),
    ],
    *,
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            "-o",
            help="Folder for the results; written completely or not at all.",
            show_default=False,
        ),
    ],
    anatomy: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Another anatomy network, as `python -m brainmets.training.anatomy` exports it.",
            show_default=False,
        ),
    ] = None,
    series: Annotated[
        str | None,
        typer.Option(help="Which DICOM series: number or UID.", show_default=False),
    ] = None,
    engine: Annotated[str, typer.Option(help="openvino, onnxruntime or pytorch.")] = "openvino",
    threads: Annotated[
        int | None,
        typer.Option(help="Processors to use; all by default.", show_default=False),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace what is in --out.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the volumes as JSON for machines.")
    ] = False,
) -> None:
    r"""Write the brain mask and the coarse structures of a head, of any MR contrast.

    \b
    Writes into --out, on the input's own grid:
      brain.nii.gz        0 outside, 1 brain, ventricles and the fluid around them
      structures.nii.gz   a number for each structure, sides apart
      structures.csv      number, name and volume of each

    \b
    Example:
      brainmets brain t1.nii.gz --out brain
    """
    import json

    from brainmets.bundles import SHIPPED_ANATOMY
    from brainmets.workflows.brain import label_brain

    result = label_brain(
        path,
        out,
        anatomy=anatomy or SHIPPED_ANATOMY,
        series=series,
        engine=engine,
        threads=threads,
        overwrite=overwrite,
    )
    if as_json:
        typer.echo(json.dumps({"brain_ml": result.brain_ml, "structures_ml": result.volumes_ml}))
        return
    typer.echo(f"brain: {result.brain_ml:.0f} mL")
    for name, millilitres in result.volumes_ml.items():
        typer.echo(f"{name:24} {millilitres:7.1f} mL")
    for note in result.notes:
        typer.echo(f"Note: {note}")
    typer.echo(f"{result.seconds:.1f} s → {out}. {result.notice}")
