"""`brainmets train` and `brainmets synthesize`."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads annotations
from typing import Annotated

import typer

__all__ = ["synthesize", "train"]


def train(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="A recipe in TOML.")],
    *,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder for the run.", show_default=False)
    ],
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the run's last checkpoint.")
    ] = False,
) -> None:
    r"""Train a network from a recipe and export it as a model.

    Paths in a recipe start at the folder in BRAINMETS_DATA. The run's folder gets the
    effective recipe, the curves, checkpoints and the finished model.

    \b
    Examples:
      brainmets train recipes/attention-unet-2d.toml --out runs/attention-unet-2d
      brainmets train recipes/attention-unet-2d.toml --out runs/attention-unet-2d --resume
    """
    from brainmets.cli.extras import needing
    from brainmets.cli.progress import shown

    with needing("train"):
        from brainmets.training.train import run_recipe
    with shown(recipe.stem) as progress:
        result = run_recipe(recipe, out, resume=resume, progress=progress)
    low, high = result.interval
    typer.echo(
        f"{result.bundle.name}: held-out Dice {result.dice:.3f} (95 % interval {low:.3f} to"
        f" {high:.3f})\n{result.bundle.root}"
    )


def synthesize(
    label_map: Annotated[
        Path, typer.Argument(metavar="LABELS", help="A label map, or a folder of them (NIfTI).")
    ],
    *,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder for the images.", show_default=False)
    ],
    count: Annotated[int, typer.Option(min=1, help="How many heads to make.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same heads.")] = 0,
) -> None:
    r"""Make MR images with metastases, and their masks, from anatomical label maps.

    \b
    Example:
      brainmets synthesize label-maps/training_seg_01.nii.gz --count 4 --seed 7 --out heads
    """
    from brainmets.cli.extras import needing
    from brainmets.cli.progress import shown

    with needing("train"):
        from brainmets.workflows.synthesize import synthesize as make
    with shown(label_map.name) as progress:
        make(label_map, out, seed=seed, count=count, progress=progress)
    typer.echo(f"{count} synthetic head{'s' if count > 1 else ''} in {out}")
