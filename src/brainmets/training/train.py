"""One recipe in, one bundle out."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from brainmets.domain.errors import OutputExists, RecipeError
from brainmets.domain.progress import Progress, silent
from brainmets.inference import Bundle, OperatingPoint
from brainmets.training.batches import Batches, open_pools
from brainmets.training.card import write_card
from brainmets.training.config import Recipe
from brainmets.training.export import export_bundle
from brainmets.training.identity import keep_recipe, recipe_sha256
from brainmets.training.loop import CHECKPOINT, train
from brainmets.training.samples import split_of
from brainmets.training.validation import mean_dice, read_held_out, score, validate

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from brainmets.training.checkpoint import History
    from brainmets.training.device import DeviceName
    from brainmets.training.validation import CaseScore

__all__ = ["TrainingResult", "data_root", "run_recipe"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingResult:
    """A finished run: its bundle and how the held-out cases went."""

    bundle: Bundle
    history: History
    scores: tuple[CaseScore, ...]
    dice: float
    interval: tuple[float, float]


def data_root() -> Path:
    """Return the folder that recipes' paths start from: `BRAINMETS_DATA` or `../shared/data`."""
    return Path(os.environ.get("BRAINMETS_DATA", "../shared/data"))


def run_recipe(
    path: Path,
    out: Path,
    *,
    resume: bool = False,
    device: DeviceName = "auto",
    progress: Progress = silent,
    say: Callable[[str], None] = lambda _line: None,
) -> TrainingResult:
    """Train, validate, test on held-out cases, and write the bundle to `out/<name>`.

    `out` also gets the recipe with every default filled in, the loss and validation curves and
    the checkpoint that `resume` goes on from.

    Raises:
        RecipeError: the recipe cannot be used.
        DatasetLayout: the data is not where the recipe says.
        OutputExists: `out` holds a run and `resume` was not asked for.
        CheckpointMismatch: `out` holds a run of another recipe.
    """
    recipe = Recipe.read(path)
    begun = (out / CHECKPOINT).is_file()
    if begun and not resume:
        raise OutputExists(
            f"a training run in {out.name}",
            expected="an empty folder, or --resume",
            remedy="add --resume to go on, or choose another --out",
        )
    out.mkdir(parents=True, exist_ok=True)
    if not begun:
        keep_recipe(recipe, out)

    root = data_root()
    watched = read_held_out(recipe, root, "validation", recipe.validation.limit)
    batches = Batches(recipe, open_pools(recipe, root, progress))

    def look(weights: dict[str, Tensor]) -> dict[str, float]:
        return validate(recipe, weights, watched)

    try:
        best, history = train(
            recipe,
            batches,
            out,
            validate=look,
            start=_start(recipe),
            resume=resume,
            device=device,
            progress=progress,
            say=say,
        )
    finally:
        batches.close()
    return _finish(recipe, best, history, recipe_name=path.name, out=out, root=root)


def _start(recipe: Recipe) -> dict[str, Tensor] | None:
    """Read the weights that a recipe starts from."""
    if recipe.start_from is None:
        return None
    from safetensors.torch import load_file

    bundle = Bundle.load(recipe.start_from)
    if bundle.architecture != recipe.network:
        raise RecipeError(
            f"start_from names {bundle.name}, whose network is another",
            expected="a bundle of the very network that the recipe trains",
            remedy="copy its [network] table, or start afresh",
        )
    return {name: value.float() for name, value in load_file(bundle.weights_path).items()}


def _finish(
    recipe: Recipe,
    best: dict[str, Tensor],
    history: History,
    *,
    recipe_name: str,
    out: Path,
    root: Path,
) -> TrainingResult:
    """Export, score the test part with the very bundle, and export again with the card."""
    point = OperatingPoint()
    folder = out / recipe.name
    bundle = export_bundle(
        folder, recipe=recipe, state=best, operating_point=point, card="", extra={}
    )
    scores = score(bundle, read_held_out(recipe, root, "test", 100_000))
    dice, interval = mean_dice(scores), _interval(scores, recipe.seed)
    card = write_card(
        recipe,
        recipe_name=recipe_name,
        history=history,
        operating_point=point,
        scores=scores,
        dice=dice,
        interval=interval,
    )
    bundle = export_bundle(
        folder,
        recipe=recipe,
        state=best,
        operating_point=point,
        card=card,
        extra={
            "steps": history.step,
            "test_dice": dice,
            "test_interval": list(interval),
            "recipe": recipe.model_dump(mode="json"),
            "recipe_sha256": recipe_sha256(recipe),
            "split": [split_of(source, root) for source in recipe.sources],
        },
    )
    return TrainingResult(
        bundle=bundle, history=history, scores=tuple(scores), dice=dice, interval=interval
    )


def _interval(scores: list[CaseScore], seed: int) -> tuple[float, float]:
    """95 % bootstrap interval of the mean Dice, resampling patients or blocks."""
    with_lesion = [s for s in scores if s.lesion_voxels]
    groups = sorted({s.group for s in with_lesion})
    if len(groups) < 2:
        return (0.0, 1.0)
    sums = np.array([sum(s.dice for s in with_lesion if s.group == g) for g in groups])
    counts = np.array([sum(1 for s in with_lesion if s.group == g) for g in groups])
    drawn = np.random.default_rng(seed).integers(len(groups), size=(2000, len(groups)))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    low, high = np.percentile(means, (2.5, 97.5))
    return float(low), float(high)
