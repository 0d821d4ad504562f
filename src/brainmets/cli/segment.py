"""`brainmets segment`, `brainmets series` and `brainmets sample`."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path  # noqa: TC003 - typer reads annotations
from typing import TYPE_CHECKING, Annotated, Any

import typer

from brainmets.cli.options import Cluster, Part, Resume  # noqa: TC001 - typer reads annotations

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from brainmets.domain import Progress
    from brainmets.inference import Estimate
    from brainmets.workflows.cohort import CaseStatus, CohortRun
    from brainmets.workflows.segment import SegmentOptions, SegmentResult

__all__ = ["sample", "segment", "series"]


def segment(
    inputs: Annotated[
        list[Path],
        typer.Argument(
            metavar="INPUT...",
            help="NIfTI, DICOM folder or zip, slice image (PNG, JPEG, TIFF) or a folder of slices.",
            show_default=False,
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
    model: Annotated[
        str | None,
        typer.Option(
            help="Name from `brainmets models list`, or a bundle's folder. Chosen by the input.",
            show_default=False,
        ),
    ] = None,
    engine: Annotated[str, typer.Option(help="openvino, onnxruntime or pytorch.")] = "openvino",
    precision: Annotated[
        str, typer.Option(help="auto (bfloat16 where the processor has it) or float32.")
    ] = "auto",
    point: Annotated[
        str | None,
        typer.Option(help="sensitive, balanced or specific, where the model was tuned."),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            metavar="P",
            help="Lowest probability of a marked voxel (default: the model's operating point).",
            show_default=False,
        ),
    ] = None,
    peak: Annotated[
        float | None,
        typer.Option(
            metavar="P",
            help="Report lesions whose highest probability is at least this.",
            show_default=False,
        ),
    ] = None,
    probability: Annotated[
        bool, typer.Option("--probability", help="Write the probability map too.")
    ] = False,
    anatomy: Annotated[
        str,
        typer.Option(
            metavar="FOLDER",
            help="Another anatomy network, or 'none': lesions outside the brain are marked too.",
        ),
    ] = "shipped",
    brain_mask: Annotated[
        bool, typer.Option("--brain-mask", help="Write the brain mask, brain.nii.gz, too.")
    ] = False,
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="Segment what does not look like MR of a brain: warn, do not refuse."
        ),
    ] = False,
    series: Annotated[
        str | None,
        typer.Option(help="Which DICOM series: number, UID or line:N.", show_default=False),
    ] = None,
    sequence: Annotated[str, typer.Option(help="What the input is: t1c, t1n, t2w or t2f.")] = "t1c",
    image: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SEQ=FILE",
            help="A further sequence on the same grid, as t1n=native.nii.gz. Repeatable.",
            show_default=False,
        ),
    ] = None,
    channel: Annotated[
        int | None,
        typer.Option(help="Channel of colour slices to read, from 0.", show_default=False),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(help="Processors to use; all by default.", show_default=False),
    ] = None,
    memory: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE",
            help="Most memory to hold, as 2GB; smaller windows are used where needed.",
            show_default=False,
        ),
    ] = None,
    depth: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="U-Net++: use N nested levels alone. Faster, and finds less; all by default.",
            show_default=False,
        ),
    ] = None,
    batch: Annotated[
        bool,
        typer.Option(
            "--batch",
            help="INPUT is a folder of cases, or a BIDS data set: segment each case in it.",
        ),
    ] = False,
    resume: Resume = False,
    part: Part = None,
    cluster: Cluster = None,
    bids: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Write a batch's results as BIDS derivatives too: derivatives/brainmets.",
            show_default=False,
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an earlier result in --out.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the report as JSON for machines.")
    ] = False,
) -> None:
    r"""Find the lesions of a scan: mask, table, report and picture.

    \b
    Writes into --out, on the input's own grid:
      mask.nii.gz    0 background, 1 the largest lesion, 2 the next (slices: mask.png)
      lesions.csv    volume, diameters, centre, location and probability of each lesion
      report.json    the same, with everything needed to reproduce it
      overlay.png    the lesions outlined, to look at first

    \b
    Examples:
      brainmets segment t1c.nii.gz --out results
      brainmets segment dicom.zip --series 4 --out results
      brainmets segment slice.png --model unet-plus-plus-2d --out results
      brainmets segment t1c.nii.gz --peak 0.15 --probability --out results
      brainmets segment a.nii.gz b.nii.gz --out results     results/a, results/b
      brainmets segment --batch scans/ --out results        every case in scans/
      brainmets segment --batch scans/ --out results --resume
      brainmets segment --batch scans/ --out results --part 3/8
      brainmets segment --batch scans/ --out results --cluster local:4

    With several cases, one that cannot be used is reported and the others continue. --out also gets
    one status file for each case, and at the end cohort.csv (one row for each lesion), cases.csv
    and summary.html.

    Research use only. Not a medical device; not for clinical use.
    """
    from brainmets.cli.options import (
        parse_anatomy,
        parse_images,
        parse_memory,
        parse_part,
        parse_sequence,
    )
    from brainmets.domain.errors import OptionError
    from brainmets.workflows.segment import Segmenter, SegmentOptions

    options = SegmentOptions(
        model=model,
        engine=engine,
        precision=precision,  # pyright: ignore[reportArgumentType] - checked by make_engine
        point=point,
        threshold=threshold,
        peak=peak,
        probability=probability,
        anatomy=parse_anatomy(anatomy),
        brain_mask=brain_mask,
        force=force,
        series=series,
        sequence=parse_sequence(sequence),
        images=parse_images(image or ()) or None,
        channel=channel,
        threads=threads,
        memory_bytes=parse_memory(memory),
        depth=depth,
        overwrite=overwrite,
    )
    if len(inputs) == 1 and not batch:
        if resume or part or cluster or bids:
            raise OptionError(
                "--resume, --part, --cluster or --bids with one case",
                expected="many cases",
                remedy="add --batch and give the folder that holds the cases",
            )
        segmenter = Segmenter(options)
        with _watched(inputs[0], segmenter.options, as_json=as_json) as (progress, announce):
            result = segmenter.run(inputs[0], out, progress, announce=announce)
        _print_result(result, as_json=as_json)
        return
    from brainmets.workflows.cohort import CohortOptions
    from brainmets.workflows.segment_cohort import find_scans, named_scans, segment_cohort

    scans = find_scans(inputs, sequence=options.sequence) if batch else named_scans(inputs)
    run = segment_cohort(
        scans,
        out,
        options,
        CohortOptions(resume=resume, part=parse_part(part), cluster=cluster, overwrite=overwrite),
        bids_out=bids,
        watch=lambda path: _watched(path, options, as_json=as_json),
        on_status=lambda status, new: _report_case(
            status, scans[status.case], out, new=new, as_json=as_json
        ),
    )
    _print_cohort(run, scans, out, as_json=as_json)
    if run.failed:
        raise typer.Exit(2)


def sample(
    path: Annotated[
        Path, typer.Argument(metavar="FILE", help="Where to write it, as head.nii.gz.")
    ],
    *,
    mask: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write the reference mask too: 0 background, a number for each lesion.",
            show_default=False,
        ),
    ] = None,
) -> None:
    r"""Write a synthetic head with metastases, to try things on.

    \b
    Example:
      brainmets sample head.nii.gz --mask masks/head.nii.gz
      brainmets segment head.nii.gz --out results/head
      brainmets evaluate --reference masks --prediction results --out scores
    """
    from brainmets.workflows.sample import write_sample

    write_sample(path, mask=mask)
    typer.echo(f"{path}: a synthetic T1c head with metastases")


def series(
    path: Annotated[
        Path, typer.Argument(metavar="INPUT", help="DICOM folder or zip, NIfTI or slices.")
    ],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    r"""List the series of a DICOM folder or zip, without reading pixels.

    \b
    Example:
      brainmets series dicom.zip
      brainmets segment dicom.zip --series 2 --out results
    """
    import json
    from dataclasses import asdict

    from brainmets.io import list_series

    found = list_series(path)
    if as_json:
        typer.echo(json.dumps([asdict(one) for one in found], ensure_ascii=False))
        return
    for one in found:
        number = "" if one.number is None else f"  (series {one.number})"
        typer.echo(f"{one.index:3}  {one.description}{number}")


@contextmanager
def _watched(
    path: Path, options: SegmentOptions, *, as_json: bool
) -> Generator[tuple[Progress, Callable[[Estimate], None]], None, None]:
    """Show one scan's progress; its windows and memory where someone watches or set a limit."""
    from brainmets.cli.progress import shown

    told = not as_json and (sys.stderr.isatty() or options.memory_bytes is not None)
    with shown(path.name, hidden=as_json) as progress:
        yield progress, lambda e: typer.echo(f"{path.name}: {e}", err=True) if told else None


def _report_case(status: CaseStatus, path: Path, out: Path, *, new: bool, as_json: bool) -> None:
    if status.state == "failed":
        typer.echo(f"{path.name}: {status.line}", err=True)
    elif new and not as_json:
        seconds = status.result["timings_s"]["total"]
        typer.echo(
            f"{path.name}: {_lesions(status.result['lesions'])} in {seconds:.1f} s"
            f" → {out / status.case}"
        )


def _print_cohort(run: CohortRun, scans: Mapping[str, Path], out: Path, *, as_json: bool) -> None:
    import json

    mine = [status for status in run.finished if status.case in set(run.here)]
    if as_json:
        documents = [_case_document(one, scans[one.case], out) for one in mine]
        typer.echo(json.dumps(documents, ensure_ascii=False))
        return
    if run.failed:
        typer.echo(f"{len(run.failed)} of {len(run.here)} could not be segmented", err=True)
    if run.unfinished:
        count = len(run.unfinished)
        typer.echo(f"{count} case{'s' * (count > 1)} left to other parts, or to --resume")
    else:
        typer.echo(f"Look at {out / 'summary.html'} first; every lesion is in cohort.csv.")


def _case_document(status: CaseStatus, path: Path, out: Path) -> dict[str, Any]:
    import json

    if status.error is not None:
        return {"input": path.name, "error": {"code": status.code, "text": status.line}}
    folder = out / status.case
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    files = {kind: str(folder / name) for kind, name in status.result["files"].items()}
    peak = status.result["peak_bytes"]
    return {"input": path.name, **report, "files": files, "peak_bytes": peak}


def _document(result: SegmentResult) -> dict[str, Any]:
    from brainmets.reporting import report_document

    document = report_document(result.report, timings=result.timings)
    return {
        **document,
        "files": {kind: str(path) for kind, path in result.files.items()},
        "peak_bytes": result.peak_bytes,
    }


def _print_result(result: SegmentResult, *, as_json: bool) -> None:
    import json

    if as_json:
        typer.echo(json.dumps(_document(result), ensure_ascii=False))
        return
    from rich.console import Console
    from rich.table import Table

    report = result.report
    lesions, unit = report.prediction.lesions, report.case.geometry.units
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"{_lesions(len(lesions))} found by {report.prediction.provenance.model}")
    if lesions:
        table = Table(box=None, pad_edge=False)
        for title in ("", f"volume {unit}³", f"in plane {unit}", f"3-D {unit}", "place", "peak"):
            table.add_column(title, justify="left" if title == "place" else "right")
        for lesion in lesions[:20]:
            table.add_row(
                str(lesion.id),
                f"{lesion.volume_mm3:.0f}",
                f"{lesion.diameter_in_plane_mm:.1f} x {lesion.perpendicular_mm:.1f}",
                f"{lesion.diameter_3d_mm:.1f}",
                lesion.where or "place unknown",
                lesion.peak_text,
            )
        console.print(table)
        if len(lesions) > 20:
            console.print(f"… and {len(lesions) - 20} more in {result.files['lesions']}")
    for warning in report.warnings:
        console.print(f"Note: {warning}")
    console.print(f"Look at {result.files['overlay']} first; all files are next to it.")
    peak = f", at most {result.peak_bytes / 1e9:.1f} GB of memory" if result.peak_bytes else ""
    console.print(f"{result.timings['total']:.1f} s{peak}. {report.notice}")


def _lesions(count: int) -> str:
    return "No lesion" if count == 0 else f"{count} lesion{'s' if count > 1 else ''}"
