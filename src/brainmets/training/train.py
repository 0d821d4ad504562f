"""One recipe in, one bundle out, which remembers who was trained on, who chose, who tested."""

from __future__ import annotations

import csv
import os
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from brainmets.domain.errors import OutputExists, RecipeError
from brainmets.domain.progress import Progress, silent
from brainmets.inference import Bundle, OperatingPoint
from brainmets.training.batches import Batches, open_pools
from brainmets.training.checkpoint import find_checkpoint
from brainmets.training.config import Recipe, recipe_sha256, save_recipe
from brainmets.training.datasets import open_part
from brainmets.training.export import export_bundle, finished_state, write_card
from brainmets.training.loop import train
from brainmets.training.memory import check_memory
from brainmets.training.prepared import PreparedStore
from brainmets.training.ranks import choose_device, rank, wait_for_all
from brainmets.training.samples import Part, slice_groups, slice_names, volume_folders
from brainmets.training.sources import DatasetSource, SliceSource, SyntheticSource
from brainmets.training.validation import CaseScore, mean_dice, read_held_out, score, validate

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic import JsonValue
    from torch import Tensor

    from brainmets.preprocessing import Plan
    from brainmets.training.checkpoint import History
    from brainmets.training.ranks import DeviceName
    from brainmets.training.sources import Source, VolumeSource

__all__ = [
    "Run",
    "TrainingResult",
    "data_root",
    "read_scores",
    "run_recipe",
    "score_interval",
    "split_of",
    "train_network",
]

TEST_SCORES = "test.csv"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingResult:
    """A finished run: its bundle and how the held-out cases went."""

    bundle: Bundle
    history: History
    scores: tuple[CaseScore, ...]
    dice: float
    interval: tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Where a recipe is trained and how, none of which decides its result.

    Attributes:
        out: Folder for curves, checkpoint and bundle.
        data: Folder that the recipe's paths start from.
        prepared: Folder for prepared samples of whole data sets; inside `out` by default.
        recipe_name: What the card calls the recipe: its file, and what was set otherwise.
        resume: Go on from the checkpoint in `out`.
        device: What to compute on.
        check_memory: Refuse at once what will not fit.
        notes: Paragraphs for the card's test section, such as of a cross-validation.
        extra: What else the bundle is to remember.
    """

    out: Path
    data: Path
    prepared: Path | None = None
    recipe_name: str = "recipe.toml"
    resume: bool = False
    device: DeviceName = "auto"
    check_memory: bool = True
    notes: tuple[str, ...] = ()
    extra: dict[str, JsonValue] = field(default_factory=dict)


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
    """Train the recipe of a file with the data in `BRAINMETS_DATA`, as `train_network` does."""
    run = Run(out=out, data=data_root(), recipe_name=path.name, resume=resume, device=device)
    return train_network(Recipe.read(path), run, progress=progress, say=say)


def train_network(
    recipe: Recipe,
    run: Run,
    *,
    progress: Progress = silent,
    say: Callable[[str], None] = lambda _line: None,
) -> TrainingResult:
    """Train, validate, test on held-out cases, and write the bundle to `out/<name>`.

    `out` also gets the recipe with every default filled in, the loss and validation curves, the
    scores of the test cases, and the checkpoint that `resume` goes on from. Of several processes
    the first writes.

    Raises:
        RecipeError: the recipe cannot be used.
        DatasetLayout: the data is not where the recipe says.
        OutputExists: `out` holds a run and `resume` was not asked for.
        CheckpointMismatch: `out` holds a run of another recipe.
        OutOfMemory: it will not fit into the memory that is free.
    """
    out, root = run.out, run.data
    begun = find_checkpoint(out) is not None
    if begun and not run.resume:
        raise OutputExists(
            f"a training run in {out.name}",
            expected="an empty folder, or --resume",
            remedy="add --resume to go on, or choose another --out",
        )
    start = _start(recipe)
    if run.check_memory:
        say(check_memory(recipe, root, choose_device(run.device)))
    wait_for_all()
    out.mkdir(parents=True, exist_ok=True)
    if rank() == 0 and not begun:
        save_recipe(recipe, out)
    store = PreparedStore(run.prepared or out / "prepared")
    first, limit = rank() == 0, recipe.validation.limit
    watched = list(read_held_out(recipe, root, "validation", limit)) if first else []
    batches = Batches(recipe, open_pools(recipe, root, store, progress))

    def look(weights: dict[str, Tensor]) -> dict[str, float]:
        return validate(recipe, weights, watched)

    try:
        best, history = train(
            recipe,
            batches,
            out,
            validate=look,
            start=start,
            resume=run.resume,
            device=run.device,
            progress=progress,
            say=say,
        )
    finally:
        batches.close()
    if first:
        whole = start is None or set(finished_state(recipe, best)) <= set(start)
        _finish(recipe, best, history, run, taken="weights" if whole else "encoder")
    wait_for_all()
    scores = read_scores(out)
    return TrainingResult(
        bundle=Bundle.load(out / recipe.name),
        history=history,
        scores=tuple(scores),
        dice=mean_dice(scores) if scores else 0.0,
        interval=score_interval(scores, recipe.seed),
    )


def _start(recipe: Recipe) -> dict[str, Tensor] | None:
    """Read the weights that a recipe starts from."""
    if recipe.start_from is None:
        return None
    from brainmets.inference.engines.pytorch import trained_network
    from brainmets.models.registry import shared_state

    bundle = Bundle.load(recipe.start_from)
    state = trained_network(bundle).state_dict()
    start = shared_state(state, bundle.architecture, recipe.network)
    if not start:
        raise RecipeError(
            f"start_from names {bundle.name}, whose network has another shape",
            expected="a bundle whose [network] table is the recipe's, the name apart",
            remedy="copy its dims, in_channels and widths, or start afresh",
        )
    return start


def _finish(
    recipe: Recipe, best: dict[str, Tensor], history: History, run: Run, *, taken: str
) -> None:
    """Export, score the test part with the very bundle, and export again with the card."""
    point = OperatingPoint()
    folder = run.out / recipe.name
    bundle = export_bundle(
        folder, recipe=recipe, state=best, operating_point=point, card="", extra={}
    )
    scores = score(bundle, read_held_out(recipe, run.data, "test", 100_000))
    _write_scores(run.out, scores)
    dice = mean_dice(scores) if scores else 0.0
    interval = score_interval(scores, recipe.seed)
    card = write_card(
        recipe,
        recipe_name=run.recipe_name,
        history=history,
        operating_point=point,
        scores=scores,
        dice=dice,
        interval=interval,
        taken=taken,
        notes=run.notes,
    )
    export_bundle(
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
            "split": [split_of(source, recipe.plan, run.data) for source in recipe.sources],
            **run.extra,
        },
    )


def _write_scores(out: Path, scores: list[CaseScore]) -> None:
    with (out / TEST_SCORES).open("w", newline="", encoding="utf-8") as file:
        rows = csv.DictWriter(file, [one.name for one in fields(CaseScore)])
        rows.writeheader()
        rows.writerows(asdict(one) for one in scores)


def read_scores(out: Path) -> list[CaseScore]:
    """Read the scores of a finished run's test cases."""
    read: dict[str, Callable[[str], Any]] = {"dice": float, "name": str, "group": str}
    with (out / TEST_SCORES).open(newline="", encoding="utf-8") as file:
        return [
            CaseScore(**{name: read.get(name, int)(value) for name, value in row.items()})
            for row in csv.DictReader(file)
        ]


def score_interval(scores: list[CaseScore], seed: int) -> tuple[float, float]:
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


PARTS: tuple[Part, ...] = ("train", "validation", "test")


def split_of(source: Source, plan: Plan, data_root: Path) -> dict[str, JsonValue]:
    """List what a source gives to each part: cases, blocks of slices, or label maps."""
    if isinstance(source, SyntheticSource):
        heads: dict[str, JsonValue] = {
            part: [f"{part}-{index}" for index in range(count)]
            for part, count in (
                ("validation", source.validation_heads),
                ("test", source.test_heads),
            )
            if count
        }
        return {"root": source.root, "train": list(source.maps), **heads}
    parts: dict[str, JsonValue] = {"root": source.root}
    for part in PARTS:
        parts[part] = [*_names(source, plan, data_root, part)]
    return parts


def _names(
    source: SliceSource | VolumeSource | DatasetSource, plan: Plan, data_root: Path, part: Part
) -> list[str]:
    root = data_root / source.root
    if isinstance(source, DatasetSource):
        return [case.case_id for case in open_part(source, plan, data_root, part).cases]
    if isinstance(source, SliceSource):
        groups = slice_groups(root, source)
        return sorted({groups[n] for n in slice_names(root, source, part)}, key=_by_number)
    return [folder.name for folder in volume_folders(root, source, part)]


def _by_number(name: str) -> tuple[int, str]:
    return (int(name) if name.isdigit() else 0, name)
