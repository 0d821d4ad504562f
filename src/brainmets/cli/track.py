"""`brainmets track`."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads annotations
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from brainmets.reporting.followup_timeline import Timeline
    from brainmets.workflows.track import TrackResult

__all__ = ["track"]


def track(
    inputs: Annotated[
        list[Path],
        typer.Argument(
            metavar="SCAN_OR_RESULT...",
            help="Two or more scans of one patient (NIfTI, DICOM folder or zip), or folders that"
            " `brainmets segment` has written.",
            show_default=False,
        ),
    ],
    *,
    out: Annotated[
        Path,
        typer.Option(
            "--output",
            "--out",
            "-o",
            help="Folder for the results; written completely or not at all.",
            show_default=False,
        ),
    ],
    dates: Annotated[
        str | None,
        typer.Option(
            metavar="DATES",
            help="One a scan, comma-separated, as 2024-01-31,2024-04-02 or as days 0,62."
            " By default from the DICOM headers.",
            show_default=False,
        ),
    ] = None,
    image: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="IMAGE",
            help="The image that a result was made from, one for each result. Repeatable.",
            show_default=False,
        ),
    ] = None,
    measurable: Annotated[
        float,
        typer.Option(
            metavar="MM",
            min=0.0,
            help="Longest diameter from which a lesion can be a target: 10, or 5 as some trials.",
        ),
    ] = 10.0,
    pdf: Annotated[bool, typer.Option("--pdf", help="Write report.pdf as well.")] = False,
    label: Annotated[
        str, typer.Option(help="What the report calls the patient; nothing by default.")
    ] = "",
    model: Annotated[
        str | None,
        typer.Option(
            help="Model for scans that are no results yet; chosen by the input.",
            show_default=False,
        ),
    ] = None,
    series: Annotated[
        str | None,
        typer.Option(help="Which series in every DICOM scan: number or UID.", show_default=False),
    ] = None,
    same_patient: Annotated[
        bool,
        typer.Option(
            "--same-patient",
            help="The scans are of one patient, although the DICOM headers name several.",
        ),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an earlier follow-up in --output.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print tracked.json for machines.")
    ] = False,
) -> None:
    r"""Follow each lesion of a patient over scans: new, growing, stable, shrinking, resolved.

    Scans are segmented, registered to the first scan (rigidly; another patient's scan is an error),
    and each lesion keeps one number in all of them. The sizes are those of each scan's own grid.

    \b
    Writes into --output:
      tracked.csv     each lesion in each scan: state, diameters, volume, changes
      response.csv    each scan: RANO-BM sum and category, and why
      tracked.json    the same, with rules, registration and provenance
      chart.svg       sums and sizes over time, to look at first
      aligned/        later scans, and the lesions of all, on the first scan's grid
      results/        what `segment` wrote for each scan
      report.pdf      with --pdf

    \b
    States, by longest diameter:
      growing         20 % and 2 mm above its nadir
      shrinking       30 % and 2 mm below its baseline
      new, gone       its place was imaged before, or is imaged now
      returned        there again after it was gone
      merged          grown into a larger one, and measured with it
      uncertain       small and close to a lesion, or suspected before: not new
      partly imaged   cut off by the edge of what was imaged: sizes do not compare
      not imaged      outside this scan, or where it is empty: neither gone nor stable

    RANO-BM (Lin et al. 2015) sums the longest diameters of up to five targets: PR 30 % below
    the baseline, PD 20 % above the nadir with 5 mm in one target, or a new lesion. Steroids and
    the clinical state belong to it too, and are not known here.

    \b
    Examples:
      brainmets track january.zip april.zip july.zip --output followup
      brainmets track a.nii.gz b.nii.gz --dates 2024-01-31,2024-04-02 --output followup --pdf
      brainmets track results-a results-b --image a.nii.gz --image b.nii.gz --output followup

    Stored are days since the first scan, never dates. A reader's corrections saved on the page
    are respected where a result holds them.

    Research use only. Not a medical device; not for clinical use.
    """
    from brainmets.cli.progress import shown

    with shown("following", hidden=as_json) as progress:
        from brainmets.tracking import Rules
        from brainmets.workflows.segment import SegmentOptions
        from brainmets.workflows.track import TrackOptions
        from brainmets.workflows.track import track as follow

        options = TrackOptions(
            dates=tuple(dates.split(",")) if dates else (),
            images=tuple(image or ()),
            rules=Rules(measurable_mm=measurable),
            segment=SegmentOptions(model=model, series=series),
            same_patient=same_patient,
            pdf=pdf,
            label=label,
            overwrite=overwrite,
        )
        result = follow(inputs, out, options, progress)
    if as_json:
        typer.echo(result.files["json"].read_text(encoding="utf-8"), nl=False)
    else:
        _print(result)


def _print(result: TrackResult) -> None:
    from rich.console import Console
    from rich.table import Table

    timeline = result.timeline
    console = Console(highlight=False, soft_wrap=True)
    table = Table(box=None, pad_edge=False)
    table.add_column("lesion", justify="right")
    for name in _scan_names(timeline):
        table.add_column(name)
    for lesion in timeline.followup.lesions:
        cells = (
            one.state if one.diameter_mm is None else f"{one.state} {one.diameter_mm:.1f}"
            for one in lesion.sightings
        )
        table.add_row(f"{lesion.id}{'*' * lesion.target}", *cells)
    responses = timeline.followup.responses
    if any(lesion.target for lesion in timeline.followup.lesions):
        sums = ("–" if one.sum_mm is None else f"{one.sum_mm:.1f}" for one in responses)
        table.add_row("sum*", *sums)
    table.add_row("RANO", *(one.category or "first" for one in responses))
    console.print(table)
    if timeline.followup.lesions:
        console.print("Longest diameters in mm; * target, counted in the sum.")
    for number, one in enumerate(responses, start=1):
        if one.category:
            console.print(f"Scan {number}: {one.category}: {'; '.join(one.reasons)}.")
    for warning in timeline.warnings:
        console.print(f"Note: {warning}")
    console.print(f"Look at {result.files['chart']} first; all files are next to it.")
    console.print(timeline.notice)


def _scan_names(timeline: Timeline) -> list[str]:
    return [
        f"scan {number}" if day is None else f"day {day}"
        for number, day in enumerate(timeline.followup.days, start=1)
    ]
