"""`brainmets export` and `brainmets report`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from brainmets.workflows.export import ExportFormat

__all__ = ["export", "report"]

Result = Annotated[
    Path,
    typer.Argument(
        metavar="RESULT", help="Folder that `brainmets segment` has written.", show_default=False
    ),
]
Series = Annotated[
    str | None,
    typer.Option(
        help="Which series in --source: number or UID; found automatically where possible.",
        show_default=False,
    ),
]
Original = Annotated[
    bool,
    typer.Option("--original", help="Ignore a reader's saved corrections."),
]


def export(
    result: Result,
    *,
    formats: Annotated[
        list[str],
        typer.Option(
            "--format",
            "-f",
            metavar="FORMAT",
            help="dicom-seg, sr, rtstruct, captures, fhir, nifti, slicer, csv or json. Repeatable.",
            show_default=False,
        ),
    ],
    source: Annotated[
        Path | None,
        typer.Option(
            metavar="IMAGES",
            help="For DICOM: the series that was segmented, a folder or zip; or the NIfTI file.",
            show_default=False,
        ),
    ] = None,
    series: Series = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder to write into; RESULT/export by default."),
    ] = None,
    series_number: Annotated[
        int,
        typer.Option(help="For DICOM: number of the segmentation's series; others follow it."),
    ] = 9101,
    series_description: Annotated[
        str,
        typer.Option(help="For DICOM: description of the series; by default the network's name."),
    ] = "",
    original: Original = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print what was written as JSON for machines.")
    ] = False,
) -> None:
    r"""Write a result as DICOM objects, FHIR, NIfTI, CSV or JSON.

    \b
    dicom-seg   segmentation.dcm, a segment a lesion: for PACS and viewers (OHIF, 3D Slicer)
    sr          measurements.dcm, sizes of each lesion (TID 1500), with segmentation.dcm
    rtstruct    structures.dcm, a region a lesion: for planning systems
    captures    captures/, pictures with outlines: for viewers that show no segmentation
    fhir        report.fhir.json, DiagnosticReport and Observations (HL7 FHIR R4)
    nifti       lesions.nii.gz, 1 the largest lesion: for research tools
    slicer      scene.mrb, the scan with named, coloured lesions: for 3D Slicer; needs --source
    csv, json   lesions.csv, report.json: for tables and programs

    DICOM objects refer to the images they were drawn on, so they need --source: the DICOM
    series that was segmented, or the one that the segmented NIfTI was converted from. Its grid
    is checked, and so is its content where the DICOM itself was segmented. With the NIfTI file
    as --source, DICOM images of an unknown patient are made along, in images/.

    Each object is read back and compared with the mask before it is written. A review saved
    on the page (lesions-reviewed.csv, mask-reviewed.nii.gz next to the result) is respected.

    A scan without lesions gives an empty DICOM Segmentation; an RT Structure Set needs a
    lesion. A format that cannot be written is named with its reason, the others are written;
    the exit code is then 1.

    \b
    Examples:
      brainmets segment dicom.zip --out results
      brainmets export results --format dicom-seg --format rtstruct --source dicom.zip
      brainmets export results -f dicom-seg --source head.nii.gz --out dicom/
      brainmets export results -f csv -f json --out table/

    DICOM objects name the patient as the images do: handle them as you handle those.

    Research use only. Not a medical device; not for clinical use.
    """
    import json

    from brainmets.workflows.export import ExportOptions
    from brainmets.workflows.export import export as write

    out = out or result / "export"
    options = ExportOptions(
        formats=_formats(formats),
        source=source,
        series=series,
        original=original,
        series_number=series_number,
        series_description=series_description,
    )
    written = write(result, out, options)
    if as_json:
        document = {
            "files": {kind: str(path) for kind, path in written.files.items()},
            "lesions": written.lesions,
            "notes": written.notes,
            "refused": {kind: str(error) for kind, error in written.refused.items()},
        }
        typer.echo(json.dumps(document, ensure_ascii=False))
    else:
        count = f"{written.lesions} lesion{'s' * (written.lesions != 1)}"
        for kind, path in written.files.items():
            typer.echo(f"{path}: {kind}, {count}")
        for note in written.notes:
            typer.echo(f"Note: {note}")
    for kind, error in written.refused.items():
        typer.echo(f"{kind} was not written: {error}", err=True)
    if written.refused:
        raise typer.Exit(1)


def report(
    result: Result,
    *,
    source: Annotated[
        Path | None,
        typer.Option(
            metavar="IMAGE",
            help="The image that was segmented, for the pictures: NIfTI, DICOM or slices.",
            show_default=False,
        ),
    ] = None,
    series: Series = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="PDF to write; RESULT/report.pdf by default."),
    ] = None,
    label: Annotated[
        str,
        typer.Option(help="Name of the case in the report; by default an anonymous one."),
    ] = "",
    original: Original = False,
) -> None:
    r"""Write the PDF report of a result: counts, table, pictures of each large lesion.

    Give the segmented image as --source: it is recognised by its content, and the report shows
    where all lesions lie, the six largest close up in three planes, and the head in slices.
    Without it the report has the overview picture of the result.

    The report is anonymous: neither file names nor header fields are shown. --label names the
    case as you wish.

    \b
    Examples:
      brainmets segment head.nii.gz --out results
      brainmets report results --source head.nii.gz
      brainmets report results --source dicom.zip --label "Study 17" --out study-17.pdf

    Research use only. Not a medical device; not for clinical use.
    """
    from brainmets.workflows.report import ReportOptions, write_report

    options = ReportOptions(source=source, series=series, label=label, original=original)
    notes: list[str] = []
    typer.echo(write_report(result, out or result / "report.pdf", options, notify=notes.append))
    for note in notes:
        typer.echo(f"Note: {note}")


def _formats(names: Sequence[str]) -> tuple[ExportFormat, ...]:
    """Return the formats named, once each, in their own order.

    Raises:
        OptionError: there is none of that name.
    """
    from brainmets.domain.errors import OptionError
    from brainmets.workflows.export import FORMATS

    unknown = sorted({name.lower() for name in names} - set(FORMATS))
    if unknown:
        raise OptionError(
            f"the format {unknown[0]!r}",
            expected=", ".join(FORMATS),
            remedy="choose among these",
        )
    return cast("tuple[ExportFormat, ...]", tuple(dict.fromkeys(n.lower() for n in names)))
