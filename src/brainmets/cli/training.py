"""`brainmets train` and `brainmets synthesize`."""

from __future__ import annotations

import os
from contextlib import contextmanager
from enum import StrEnum
from importlib import import_module
from pathlib import Path  # noqa: TC003 - typer reads annotations
from typing import TYPE_CHECKING, Annotated

import typer

from brainmets.cli.options import Cluster, Part, Resume  # noqa: TC001 - typer reads annotations
from brainmets.domain.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["synthesize", "train"]


class Device(StrEnum):
    """What to compute on."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


def train(
    recipe: Annotated[
        Path,
        typer.Argument(
            metavar="RECIPE", help="A recipe in TOML, or the name of one of brainmets'."
        ),
    ],
    *,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder for the run.", show_default=False)
    ],
    data: Annotated[
        Path | None,
        typer.Option(
            help="Folder that the recipe's paths start from; BRAINMETS_DATA by default.",
            show_default=False,
        ),
    ] = None,
    change: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="FIELD=VALUE",
            help="Change a field of the recipe, such as optimiser.steps=100; none for "
            "nothing. Repeatable.",
            show_default=False,
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue from the run's last checkpoint.")
    ] = False,
    folds: Annotated[
        int | None,
        typer.Option(
            min=2,
            help="Cross-validate by patient: a network a fold, a summary over all cases, and a "
            "final network trained on all.",
            show_default=False,
        ),
    ] = None,
    fold: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="With --folds, train this fold alone, from 0; for machines side by side.",
            show_default=False,
        ),
    ] = None,
    device: Annotated[
        Device, typer.Option(help="Device; auto uses a graphics card if there is one.")
    ] = Device.auto,
    memory_check: Annotated[
        bool,
        typer.Option(
            "--memory-check/--no-memory-check",
            help="Estimate the memory first; stop if the run cannot fit.",
        ),
    ] = True,
) -> None:
    r"""Train a network from a recipe and export it as a model.

    A recipe defines network, data and number of steps. recipes/ has the shipped ones;
    docs/reference/recipes.md has every field. Data sets are divided by patient. A run that was
    stopped, even by a power cut, continues with --resume and gives the same result as without the
    stop. Its folder gets the full recipe, the curves (CSV, and for tensorboard --logdir), the
    scores of the test cases, and the trained model with its card.

    On several graphics cards, put torchrun before it: the cards share every batch.

    \b
    Examples:
      brainmets train first-training --out runs/first             15 minutes, no data needed
      brainmets train recipes/brats-mets-3d.toml --data BraTS-METS --out runs/mets
      brainmets train recipes/brats-mets-3d.toml --data BraTS-METS --out runs/mets --resume
      brainmets train recipes/attention-unet-2d-start.toml --out runs/a2 --set optimiser.steps=500
      brainmets train recipes/brats-mets-3d.toml --data BraTS-METS --out runs/cv --folds 5
      torchrun --nproc-per-node 4 --no-python brainmets train recipes/… --out runs/mets
    """
    from brainmets.cli.progress import shown
    from brainmets.domain.extras import needing

    if fold is not None and folds is None:
        raise OptionError(
            "--fold without --folds", expected="how many folds there are", remedy="add --folds 5"
        )
    with needing("train"):
        import_module("brainmets.training.train")  # before the recipe: is the extra there?
        from brainmets.inference.allocation import keep_freed_memory
        from brainmets.workflows.training import Order, cross_validate, recipe_file, train_one
    keep_freed_memory()
    silent = not _speaks()
    with shown(recipe.stem, hidden=silent, lasting=True) as progress, _resume_hint():
        order = Order(
            recipe=recipe_file(recipe),
            out=out,
            data=data,
            changes=tuple(change or ()),
            resume=resume,
            device=device.value,
            check_memory=memory_check,
            progress=progress,
            say=_say,
        )
        if folds is not None:
            found = cross_validate(order, folds, only=fold)
            words = f"cross-validated: {found}\n{out / 'final'}" if found else f"fold {fold} done"
        else:
            result = train_one(order)
            low, high = result.interval
            words = (
                f"{result.bundle.name}: held-out Dice {result.dice:.3f} (95 % interval {low:.3f} to"
                f" {high:.3f})\n{result.bundle.root}"
            )
    if _speaks():
        typer.echo(words)


def _speaks() -> bool:
    """Whether this is the first, or the only one, of the processes that train together."""
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def _resume_hint() -> Generator[None, None, None]:
    """Say, when training is stopped, that nothing is lost."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        _say("stopped; the same command with --resume goes on from the last checkpoint")
        raise


def _say(line: str) -> None:
    if _speaks():
        typer.echo(line, err=True)


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
    resume: Resume = False,
    part: Part = None,
    cluster: Cluster = None,
) -> None:
    r"""Make MR images with metastases, and their masks, from anatomical label maps.

    \b
    Example:
      brainmets synthesize label-maps/training_seg_01.nii.gz --count 4 --seed 7 --out heads
    """
    from brainmets.cli.progress import shown
    from brainmets.domain.extras import needing

    with needing("train"):
        from brainmets.cli.options import parse_part
        from brainmets.workflows.cohort import CohortOptions
        from brainmets.workflows.synthesize import synthesize as make
    cohort = CohortOptions(resume=resume, part=parse_part(part), cluster=cluster)
    with shown(label_map.name) as progress:
        run = make(label_map, out, seed=seed, count=count, cohort=cohort, progress=progress)
    for status in run.failed:
        typer.echo(f"{status.case}: {status.line}", err=True)
    made = sum(status.state == "done" for status in run.finished)
    typer.echo(f"{made} synthetic head{'' if made == 1 else 's'} in {out}")
    if run.failed:
        raise typer.Exit(2)
