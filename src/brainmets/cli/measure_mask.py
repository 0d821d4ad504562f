"""`brainmets measure`."""

from __future__ import annotations

import json
from pathlib import Path  # noqa: TC003 - typer reads annotations
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from brainmets.workflows.measure_mask import MeasureMaskResult

__all__ = ["measure"]


def measure(
    image: Annotated[
        Path, typer.Argument(metavar="IMAGE", help="The scan: NIfTI, DICOM folder or zip, slices.")
    ],
    mask: Annotated[
        Path, typer.Argument(metavar="MASK", help="Labels on the same voxels: NIfTI, PNG or TIFF.")
    ],
    *,
    out: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "--out",
            "-o",
            help="Folder for what segment writes: lesions.csv, report.json, mask, overlay.",
            show_default=False,
        ),
    ] = None,
    series: Annotated[
        str | None,
        typer.Option(help="Which series of several: number or UID.", show_default=False),
    ] = None,
    components: Annotated[
        bool | None,
        typer.Option(
            "--components/--labels",
            help="What touches is a lesion, or each label is. By default labels, if there are"
            " several.",
            show_default=False,
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an earlier result in --output.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    r"""Measure the lesions of any mask: drawn by hand, edited, or of another program.

    Volumes, diameters and places as segment gives them. With --output the folder is a result that
    export, report, track and evaluate read.

    \b
    Examples:
      brainmets measure scan.nii.gz expert.nii.gz
      brainmets measure scan.nii.gz edited.nii.gz --output measured
    """
    from brainmets.workflows.measure_mask import MeasureMaskOptions, measure_mask

    options = MeasureMaskOptions(out=out, series=series, components=components, overwrite=overwrite)
    result = measure_mask(image, mask, options)
    if as_json:
        from brainmets.reporting import report_document

        typer.echo(json.dumps(report_document(result.report), ensure_ascii=False))
        return
    _show(result)
    if out is not None:
        typer.echo(f"Written to {out}: {', '.join(path.name for path in result.files.values())}")


def _show(result: MeasureMaskResult) -> None:
    from rich.console import Console
    from rich.table import Table

    report = result.report
    lesions, unit = report.prediction.lesions, report.case.geometry.units
    console = Console(highlight=False, soft_wrap=True)
    total = sum(lesion.volume_mm3 for lesion in lesions)
    console.print(f"{len(lesions)} lesion{'s' * (len(lesions) != 1)}, {total:.0f} {unit}³ in all")
    table = Table(box=None, pad_edge=False)
    for title in ("", f"volume {unit}³", f"in plane {unit}", f"3-D {unit}", "place", "slice"):
        table.add_column(title, justify="left" if title == "place" else "right")
    for lesion in lesions:
        table.add_row(
            str(lesion.id),
            f"{lesion.volume_mm3:.1f}",
            f"{lesion.diameter_in_plane_mm:.1f} x {lesion.perpendicular_mm:.1f}",
            f"{lesion.diameter_3d_mm:.1f}",
            lesion.where,
            str(lesion.slice_index + 1),
        )
    if lesions:
        console.print(table)
    for warning in report.warnings:
        console.print(f"Note: {warning}")
    console.print(report.notice)
