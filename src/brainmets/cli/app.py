"""The commands in the order `brainmets --help` lists them."""

from __future__ import annotations

from typing import Annotated

import typer

from brainmets import __version__
from brainmets.cli import (
    brain,
    compare,
    doctor,
    evaluate,
    export,
    measure,
    measure_mask,
    models,
    pacs,
    segment,
    service,
    track,
    training,
)
from brainmets.cli.helptext import help_of

__all__ = ["app"]

app = typer.Typer(
    name="brainmets",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _show_version(wanted: bool) -> None:  # noqa: FBT001 - Typer calls it so
    if wanted:
        typer.echo(f"brainmets {__version__}")
        raise typer.Exit


def brainmets(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    r"""Find, measure and follow brain metastases in MR images.

    Research use only. Not a medical device; not for clinical use.

    \b
    First steps:
      brainmets sample head.nii.gz                    a synthetic head to try things on
      brainmets segment head.nii.gz --out results     its lesions: mask, table, picture
      brainmets serve --demo                          the same in the browser
      brainmets COMMAND --help                        every option, with examples
    """


_COMMANDS = (
    segment.segment,
    segment.series,
    brain.brain,
    segment.sample,
    export.export,
    export.report,
    measure_mask.measure,
    track.track,
    service.serve,
    service.worker,
    pacs.listen,
    pacs.fetch,
    pacs.send,
    doctor.doctor,
    doctor.info,
    training.train,
    training.synthesize,
    evaluate.evaluate,
    compare.compare,
    measure.benchmark,
    measure.tune,
    evaluate.split,
)

app.callback(help=help_of(brainmets))(brainmets)
for _command in _COMMANDS:
    app.command(help=help_of(_command))(_command)
app.add_typer(models.app, name="models")
