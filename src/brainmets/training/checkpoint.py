"""What a training run writes while it goes: its whole state, curves as CSV, a line now and then.

The state is in PyTorch's own file format, and no code from the file is run.
"""

from __future__ import annotations

import csv
import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from brainmets.domain.errors import CheckpointMismatch

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor, nn

__all__ = [
    "History",
    "find_checkpoint",
    "format_duration",
    "load_checkpoint",
    "progress_line",
    "save_checkpoint",
    "write_curves",
]

CHECKPOINT, EARLIER = "checkpoint.pt", "checkpoint.safetensors"
"""The state of a run, and that of runs of earlier versions, which are not read."""


@dataclass(slots=True, kw_only=True)
class History:
    """What has happened so far; JSON-able."""

    step: int = 0
    seconds: float = 0.0
    waited_s: float = 0.0
    machine: str = ""
    best: float = -1.0
    best_step: int = 0
    losses: list[float] = field(default_factory=list[float])
    validations: list[dict[str, float]] = field(default_factory=list[dict[str, float]])


def find_checkpoint(out: Path) -> Path | None:
    """Return the checkpoint of the run in a folder; None where no run has begun."""
    return next((out / name for name in (CHECKPOINT, EARLIER) if (out / name).is_file()), None)


def save_checkpoint(
    out: Path,
    *,
    network: nn.Module,
    average: dict[str, Tensor],
    best: dict[str, Tensor],
    optimiser: torch.optim.Optimizer,
    history: History,
    recipe_sha256: str,
) -> None:
    """Write everything that the next step depends on, then rename it into place."""
    state = {
        "recipe_sha256": recipe_sha256,
        "history": json.dumps(asdict(history)),
        "network": network.state_dict(),
        "average": average,
        "best": best,
        "optimiser": optimiser.state_dict(),
    }
    staged = (out / CHECKPOINT).with_suffix(".part")
    torch.save(state, staged)
    staged.replace(out / CHECKPOINT)


def load_checkpoint(
    path: Path,
    *,
    network: nn.Module,
    average: dict[str, Tensor],
    best: dict[str, Tensor],
    optimiser: torch.optim.Optimizer,
    recipe_sha256: str,
) -> History:
    """Put a run's state back where `save_checkpoint` took it from.

    Args:
        path: the checkpoint.
        network: gets its weights back.
        average: gets the averaged weights.
        best: gets the best averaged weights.
        optimiser: gets its moments and counters back.
        recipe_sha256: digest of the recipe, which the checkpoint must name.

    Raises:
        CheckpointMismatch: the file is not a checkpoint, or one of another recipe or version.
    """
    if path.name == EARLIER:
        raise _mismatch(path, "a checkpoint of an earlier version")
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever damaged bytes lead PyTorch's reader to
        raise _mismatch(path, "a file that is not a checkpoint") from error
    if state.get("recipe_sha256") != recipe_sha256:
        raise _mismatch(path, "a checkpoint of another recipe")
    network.load_state_dict(state["network"])
    average.update(state["average"])
    best.update(state["best"])
    optimiser.load_state_dict(state["optimiser"])
    return History(**json.loads(state["history"]))


def _mismatch(path: Path, found: str) -> CheckpointMismatch:
    return CheckpointMismatch(
        f"{found} at {path.name}",
        expected="a checkpoint of this recipe",
        remedy="choose another output folder, or give the recipe and the version of brainmets that "
        "it was started with",
    )


def write_curves(out: Path, history: History) -> None:
    """Write `loss.csv`, a row a step, and `validation.csv`, a row a look."""
    with (out / "loss.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["step", "loss"])
        writer.writerows((step, f"{loss:.5f}") for step, loss in enumerate(history.losses, 1))
    if history.validations:
        columns = dict.fromkeys(name for row in history.validations for name in row)
        with (out / "validation.csv").open("w", newline="", encoding="utf-8") as file:
            rows = csv.DictWriter(file, list(columns))
            rows.writeheader()
            rows.writerows(history.validations)


def progress_line(history: History, steps: int, *, since_step: int, since_s: float) -> str:
    """Return one line: step, loss, validation Dice, time so far and time left.

    Args:
        history: so far.
        steps: of the whole run.
        since_step: the step at which this process began, from which the pace is measured.
        since_s: `history.seconds` at that step.
    """
    recent = history.losses[-50:]
    words = f"step {history.step} of {steps}: loss {np.mean(recent):.3f}"
    if history.validations and history.best > 0:
        latest = history.validations[-1]["dice"]
        words += f", validation Dice {latest:.3f}, best {history.best:.3f} at {history.best_step}"
    words += f"; {format_duration(history.seconds)} so far"
    done = history.step - since_step
    if done and history.step < steps:
        pace = (history.seconds - since_s) / done
        words += f", about {format_duration(pace * (steps - history.step))} left"
    waited = history.waited_s / history.seconds if history.seconds else 0.0
    return f"{words}; {100 * waited:.0f} % of it waiting for data"


def format_duration(seconds: float) -> str:
    """Return such as `40 s`, `12 min` or `3 h 05 min`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02d} min"
