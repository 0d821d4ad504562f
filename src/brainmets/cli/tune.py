"""`brainmets tune`."""

from __future__ import annotations

import json
from pathlib import Path  # noqa: TC003 - typer reads annotations
from typing import Annotated

import typer

__all__ = ["tune"]


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
