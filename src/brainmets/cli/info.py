"""`brainmets info`."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

__all__ = ["info"]


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
    for one in model["measured"]:
        typer.echo(f"  {one['text'].partition(';')[0]}")
    if model["tested_on"]:
        typer.echo(f"  tested on {', '.join(model['tested_on'])}")
