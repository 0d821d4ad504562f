"""`brainmets doctor`: this machine, or a data set."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from brainmets.workflows.checkup import Checkup

__all__ = ["doctor"]


def doctor(
    *,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the report as JSON for machines.")
    ] = False,
    timing: Annotated[
        bool, typer.Option("--timing/--no-timing", help="Run every model a moment.")
    ] = True,
) -> None:
    r"""Check this machine: processor, memory, engines, and every model's sha256.

    Exits with 2 where something keeps brainmets from working well.

    \b
    Examples:
      brainmets doctor
      brainmets doctor --json --no-timing
    """
    from brainmets.workflows.checkup import check_machine

    found = check_machine(timing=timing)
    if as_json:
        typer.echo(json.dumps(asdict(found), ensure_ascii=False))
    else:
        _print(found)
    if found.problems:
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
                f"  about {model.head_seconds:.1f} s a head"
                f" ({model.precision}, {model.gigaflops:.0f} GFLOP/s)"
            )
        typer.echo(f"model {model.name:22} {'BROKEN' if model.problem else 'verified'}{speed}")
    for problem in found.problems:
        typer.echo(f"! {problem}", err=True)
    if not found.problems:
        typer.echo("All is well.")
