"""`brainmets doctor`: this machine, or a data set; `brainmets info`: what is installed."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from pathlib import Path  # noqa: TC003 - typer reads annotations
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from brainmets.workflows.checkup import Checkup

__all__ = ["doctor", "info"]


def doctor(
    folder: Annotated[
        Path | None,
        typer.Argument(
            metavar="[DIR]",
            help="A data set to check instead of this machine.",
            show_default=False,
        ),
    ] = None,
    *,
    layout: Annotated[
        str, typer.Option(help="Data set: its layout; see docs/reference/datasets.md.")
    ] = "auto",
    splits: Annotated[
        Path | None,
        typer.Option(help="Data set: a split file to check too.", show_default=False),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(min=1, help="Data set: processes; one a core.", show_default=False),
    ] = None,
    timing: Annotated[
        bool, typer.Option("--timing/--no-timing", help="Machine: time every model briefly.")
    ] = True,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the report as JSON for machines.")
    ] = False,
) -> None:
    r"""Check this machine, or a data set before training on it or scoring with it.

    Machine: processor, memory, engines, and every model's sha256. Data set: unreadable files,
    other grids, unexpected labels, empty or mirrored masks, the same scan twice, patients on both
    sides of a split, and more. The exit code is 2 if there is something to fix.

    \b
    Examples:
      brainmets doctor
      brainmets doctor BraTS-METS/
      brainmets doctor nnUNet_raw/Dataset001 --splits splits_final.json --json
    """
    if folder is not None:
        _examine(folder, layout=layout, splits=splits, jobs=jobs, as_json=as_json)
        return
    from brainmets.workflows.checkup import check_machine

    found = check_machine(timing=timing)
    if as_json:
        typer.echo(json.dumps(asdict(found), ensure_ascii=False))
    else:
        _print(found)
    if found.problems:
        raise typer.Exit(2)


def _examine(
    folder: Path, *, layout: str, splits: Path | None, jobs: int | None, as_json: bool
) -> None:
    from brainmets.cli.progress import shown
    from brainmets.workflows.doctor_dataset import DoctorOptions, check_dataset, report_document

    options = DoctorOptions(layout=layout, splits=splits, jobs=jobs)
    with shown(folder.name, hidden=as_json) as progress:
        report = check_dataset(folder, options, progress)
    if as_json:
        typer.echo(json.dumps(report_document(report), ensure_ascii=False))
    else:
        typer.echo(
            f"{report.cases} cases of {report.patients} patients in the layout {report.layout};"
            f" {report.masks} with something drawn, {report.lesions} components"
        )
        for spacing, count in report.spacings[:5]:
            typer.echo(f"  {count} at {spacing} mm")
        for note in report.notes:
            typer.echo(f"Note: {note}")
        for finding in report.findings:
            where = f"{finding.case_id}: " if finding.case_id else ""
            typer.echo(f"{finding.severity:8} {finding.code:24} {where}{finding.message}")
        typer.echo(f"{report.errors} errors, {report.warnings} warnings")
    if report.errors:
        raise typer.Exit(2)


def _print(found: Checkup) -> None:
    typer.echo(f"brainmets {found.brainmets} on Python {found.python}, {found.system}")
    flags = ", ".join(found.processor_flags) or "no special features known"
    typer.echo(f"{found.processors} processors: {flags}")
    if found.free_bytes is not None:
        typer.echo(f"{found.free_bytes / 1e9:.1f} GB of memory free")
    for engine in found.engines:
        typer.echo(f"engine {engine.name:12} {engine.version or 'not installed'}")
    for model in found.models:
        speed = ""
        if model.head_seconds is not None:
            speed = (
                f"  network alone: {model.head_seconds:.1f} s for a whole head"
                f" ({model.precision}, {model.gigaflops:.0f} GFLOP/s)"
            )
        typer.echo(f"model {model.name:22} {'BROKEN' if model.problem else 'verified'}{speed}")
    if any(model.head_seconds is not None for model in found.models):
        typer.echo(
            "Timed now, beside whatever else runs. Reading, anatomy, measuring and writing add"
            " seconds; `brainmets segment` prints what a scan took."
        )
    for problem in found.problems:
        typer.echo(f"! {problem}", err=True)
    if not found.problems:
        typer.echo("All is well.")


def info(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    r"""Say what is installed: version, models with their figures, engines, extras, machine.

    Models are verified against their sha256, and nothing is run; `brainmets doctor` times them.
    Figures are those of the model's card, each with the kind of tumour it was measured on.

    \b
    Examples:
      brainmets info
      brainmets info --json
    """
    from brainmets.workflows.installation import describe_installation

    found = describe_installation()
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False))
        return
    typer.echo(f"brainmets {found['version']} on Python {found['python']}")
    for model in found["models"]:
        _print_model(model)
    for name, installed in found["engines"].items():
        typer.echo(f"engine {name:12} {installed or 'not installed'}")
    for name, extra in found["extras"].items():
        missing = f"lacks {', '.join(extra['missing'])}"
        typer.echo(f"extra {name:13} {'installed' if extra['installed'] else missing}")
    machine = found["machine"]
    flags = ", ".join(machine["processor_flags"]) or "no special features known"
    typer.echo(f"{machine['system']}, {machine['processors']} processors ({flags})")
    typer.echo(found["notice"])


def _print_model(model: dict[str, Any]) -> None:
    if "error" in model:
        typer.echo(f"model {model['name']:18} cannot be used: {model['error']}")
        return
    typer.echo(f"model {model['name']:18} {model['dims']}-D, sha256 {model['sha256'][:12]}")
    for sentence in filter(None, re.split(r"(?<=\.) (?=[A-Z])", model["quality"])):
        typer.echo(f"  {sentence}")
