"""From a recipe and a folder of scans to a network, or to several by cross-validation."""

from __future__ import annotations

import csv
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from brainmets.domain import silent
from brainmets.domain.errors import BrainmetsError, OptionError
from brainmets.evaluation.statistics import Interval, ratio_interval
from brainmets.inference import Bundle
from brainmets.training.config import Recipe, recipe_sha256
from brainmets.training.ranks import joined, rank, wait_for_all
from brainmets.training.train import Run, data_root, read_scores, train_network
from brainmets.workflows.division import divide_for_folds, fold_folder, settle
from brainmets.workflows.pool import ended_processes_told

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic import JsonValue

    from brainmets.domain import Progress
    from brainmets.training.ranks import DeviceName
    from brainmets.training.train import TrainingResult
    from brainmets.training.validation import CaseScore

__all__ = ["CrossValidation", "Order", "cross_validate", "recipe_file", "train_one"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What someone asks for: a recipe, where its data lies, where the run goes.

    Attributes:
        recipe: TOML file.
        out: Folder of the run.
        data: Folder that the recipe's paths start from; `BRAINMETS_DATA` by default.
        changes: Fields of the recipe set otherwise, such as `optimiser.steps=100`.
        resume: Go on from what is in `out`.
        device: What to compute on.
        check_memory: Refuse at once what will not fit.
        progress: Called with a stage and the share of it that is done.
        say: Called with lines that tell how it goes.
    """

    recipe: Path
    out: Path
    data: Path | None = None
    changes: tuple[str, ...] = ()
    resume: bool = False
    device: DeviceName = "auto"
    check_memory: bool = True
    progress: Progress = silent
    say: Callable[[str], None] = field(default=lambda _line: None)

    @property
    def root(self) -> Path:
        """Where paths start."""
        return self.data or data_root()


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossValidation:
    """Every case answered by a network that had not seen its patient.

    Intervals are 95 % bootstrap intervals over patients.
    """

    folds: tuple[float, ...]
    """Mean Dice of each."""
    cases: int
    patients: int
    dice: Interval
    sensitivity: Interval
    false_components: Interval

    def __str__(self) -> str:
        """In a sentence."""
        return (
            f"{len(self.folds)} folds by patient, {self.cases} scans of {self.patients} patients, "
            f"each answered by a network that had not seen the patient: Dice {_said(self.dice)}, "
            f"lesion sensitivity {_said(self.sensitivity)}, false components a scan "
            f"{_said(self.false_components)}"
        )


def recipe_file(recipe: Path) -> Path:
    """Return the file of a recipe; a name without .toml is that of an installed one."""
    if recipe.suffix == ".toml" or recipe.exists():
        return recipe
    package = Path(__file__).parents[1]
    for folder in (package / "recipes", package.parents[1] / "recipes"):
        if (folder / f"{recipe.name}.toml").is_file():
            return folder / f"{recipe.name}.toml"
    return recipe


def train_one(order: Order) -> TrainingResult:
    """Train a recipe's network, its data divided by patient where the recipe does not say how.

    Under `torchrun` all processes train it together.

    Raises:
        RecipeError, DatasetLayout, OutputExists, CheckpointMismatch, OutOfMemory: see their texts.
    """
    with joined():
        recipe = Recipe.read(order.recipe, order.changes)
        order.out.mkdir(parents=True, exist_ok=True)
        return _train(order, recipe, order.out, prepared=order.out / "prepared")


def cross_validate(order: Order, folds: int, *, only: int | None = None) -> CrossValidation | None:
    """Train a network for each fold, sum up over all cases, then train the final one on all.

    Finished folds are left alone when `order.resume` is set. `out` gets `fold-N`, `final`,
    `cross-validation.csv` with every case's scores and `cross-validation.json`.

    Args:
        order: the recipe and its folders.
        folds: how many, by patient.
        only: train this fold alone, for machines that work side by side; no summary then.

    Raises:
        OptionError: there is no such fold, or there are fewer patients than folds.
        RecipeError, DatasetLayout, OutputExists, CheckpointMismatch, OutOfMemory: see their texts.
    """
    if only is not None and not 0 <= only < folds:
        raise OptionError(
            f"fold {only} of {folds}", expected=f"0 to {folds - 1}", remedy="choose one of these"
        )
    with joined():
        recipe = Recipe.read(order.recipe, order.changes)
        if rank() == 0:
            divide_for_folds(
                recipe, order.root, order.out, folds, progress=order.progress, say=order.say
            )
        wait_for_all()
        prepared = order.out / "prepared"
        for fold in range(folds) if only is None else (only,):
            place = fold_folder(order.out, fold)
            if order.resume and _finished(place, recipe):
                order.say(f"fold {fold} is done already")
                continue
            order.say(f"fold {fold}, of 0 to {folds - 1}")
            _train(order, recipe, place, prepared=prepared)
        if only is not None:
            return None
        found = _pooled(order.out, folds)
        if rank() == 0:
            _write_summary(order.out, found, folds)
        order.say(str(found))
        order.say("final network, trained on all")
        _train(order, recipe, order.out / "final", prepared=prepared, judged=found)
        return found


@ended_processes_told("close other programs, then run the same command with --resume")
def _train(
    order: Order,
    recipe: Recipe,
    out: Path,
    *,
    prepared: Path,
    judged: CrossValidation | None = None,
) -> TrainingResult:
    settled = settle(recipe, order.root, out, progress=order.progress, say=order.say)
    notes: tuple[str, ...] = ()
    extra: dict[str, JsonValue] = {}
    if judged is not None:
        notes = (f"Cross-validated: {judged}. This network was trained likewise on all of them.",)
        extra = {"cross_validation": _document(judged)}
    run = Run(
        out=out,
        data=order.root,
        prepared=prepared,
        recipe_name=" --set ".join((order.recipe.name, *order.changes)),
        resume=order.resume,
        device=order.device,
        check_memory=order.check_memory,
        notes=notes,
        extra=extra,
    )
    return train_network(settled, run, progress=order.progress, say=order.say)


def _finished(out: Path, recipe: Recipe) -> bool:
    """Whether a run's bundle is there, made by this recipe; its division is next to it."""
    try:
        made = Recipe.model_validate(Bundle.load(out / recipe.name).extra.get("recipe"))
        read_scores(out)
    except (BrainmetsError, OSError, ValueError):
        return False
    asked = recipe.model_copy(update={"sources": made.sources})
    return recipe_sha256(asked) == recipe_sha256(made)


def _pooled(out: Path, folds: int) -> CrossValidation:
    """Put the test cases of all folds together; the patient is the unit."""
    scores = [read_scores(fold_folder(out, fold)) for fold in range(folds)]
    every = [one for fold in scores for one in fold]
    patients: dict[str, list[CaseScore]] = {}
    for one in every:
        patients.setdefault(one.group, []).append(one)

    def over_patients(
        top: Callable[[CaseScore], float], bottom: Callable[[CaseScore], float]
    ) -> Interval:
        return ratio_interval(
            [sum(map(top, of_one)) for of_one in patients.values()],
            [sum(map(bottom, of_one)) for of_one in patients.values()],
        )

    def has_lesions(one: CaseScore) -> float:
        return float(one.lesion_voxels > 0)

    return CrossValidation(
        folds=tuple(
            sum(one.dice * has_lesions(one) for one in fold) / max(1.0, sum(map(has_lesions, fold)))
            for fold in scores
        ),
        cases=len(every),
        patients=len(patients),
        dice=over_patients(lambda one: one.dice * has_lesions(one), has_lesions),
        sensitivity=over_patients(lambda one: one.found, lambda one: one.lesions),
        false_components=over_patients(lambda one: one.false_components, lambda _one: 1.0),
    )


def _write_summary(out: Path, found: CrossValidation, folds: int) -> None:
    text = json.dumps(_document(found), indent=1)
    (out / "cross-validation.json").write_text(text + "\n", encoding="utf-8")
    rows = [
        {"fold": fold, **asdict(one)}
        for fold in range(folds)
        for one in read_scores(fold_folder(out, fold))
    ]
    with (out / "cross-validation.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def _document(found: CrossValidation) -> dict[str, JsonValue]:
    def plain(interval: Interval) -> JsonValue:
        return {"value": interval.value, "low": interval.low, "high": interval.high}

    return {
        "folds": [*found.folds],
        "cases": found.cases,
        "patients": found.patients,
        "dice": plain(found.dice),
        "sensitivity": plain(found.sensitivity),
        "false_components": plain(found.false_components),
    }


def _said(interval: Interval) -> str:
    return f"{interval.value:.3f} [{interval.low:.3f}, {interval.high:.3f}]"
