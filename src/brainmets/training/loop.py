"""The training loop: batch → step → average → validate → checkpoint, on one page."""

from __future__ import annotations

import csv
import math
import time
from typing import TYPE_CHECKING

import torch

from brainmets.domain.progress import Progress, silent
from brainmets.models.registry import build
from brainmets.training.checkpoint import History, load_checkpoint, save_checkpoint
from brainmets.training.device import describe_machine
from brainmets.training.identity import accepted_sha256, recipe_sha256
from brainmets.training.losses import supervised_loss

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor, nn

    from brainmets.training.batches import Batches
    from brainmets.training.config import OptimiserSettings, Recipe

__all__ = ["CHECKPOINT", "freeze_norm", "learning_rate", "train"]

CHECKPOINT = "checkpoint.safetensors"
NORMS = (torch.nn.BatchNorm2d, torch.nn.BatchNorm3d)


def train(
    recipe: Recipe,
    batches: Batches,
    out: Path,
    *,
    validate: Callable[[dict[str, Tensor]], dict[str, float]],
    start: dict[str, Tensor] | None = None,
    resume: bool = False,
    progress: Progress = silent,
) -> tuple[dict[str, Tensor], History]:
    """Train to the recipe's last step; return the best averaged weights and the history.

    Every step depends on the recipe and its own number alone, so a run that was killed and
    resumed follows the same loss curve.

    Raises:
        CheckpointMismatch: `resume`, and the checkpoint belongs to another recipe.
    """
    torch.manual_seed(recipe.seed)
    settings = recipe.optimiser
    layout = torch.channels_last if recipe.network.dims == 2 else torch.channels_last_3d
    network = build(recipe.network).to(memory_format=layout).train()  # pyright: ignore[reportCallIssue]
    if start is not None:
        network.load_state_dict(start, strict=False)  # counters of normalisation are not shipped
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    average = _floats(network)
    best = {name: value.clone() for name, value in average.items()}
    history, state = History(), out / CHECKPOINT
    if resume and state.is_file():
        history = load_checkpoint(
            state,
            network=network,
            average=average,
            best=best,
            optimiser=optimiser,
            accepted_sha256=accepted_sha256(recipe, out),
        )
    history.machine = describe_machine()
    started, seconds_before = time.monotonic(), history.seconds

    for step in range(history.step, settings.steps):
        data, target = batches.at(step)
        if step >= settings.freeze_norm_at * settings.steps:
            freeze_norm(network, average)
        loss = _step(
            network, optimiser, data.to(memory_format=layout), target, recipe=recipe, step=step
        )
        _update_average(average, network, step, settings.ema)
        history.step = step + 1
        history.losses.append(loss)
        history.seconds = seconds_before + time.monotonic() - started
        last = history.step == settings.steps
        if last or history.step % recipe.validation.every == 0:
            figures = validate(average)
            history.validations.append({"step": float(history.step), **figures})
            if figures["dice"] >= history.best:
                history.best, history.best_step = figures["dice"], history.step
                best.update({name: value.clone() for name, value in average.items()})
        if last or history.step % recipe.validation.checkpoint_every == 0:
            history.waited_s = batches.waited_s
            save_checkpoint(
                state,
                network=network,
                average=average,
                best=best,
                optimiser=optimiser,
                history=history,
                recipe_sha256=recipe_sha256(recipe),
            )
            _write_curves(out, history)
        progress("train", history.step / settings.steps)
    return best, history


def learning_rate(settings: OptimiserSettings, step: int) -> float:
    """Linear warm-up, then half a cosine down to a hundredth."""
    if step < settings.warmup_steps:
        return settings.learning_rate * (step + 1) / settings.warmup_steps
    done = (step - settings.warmup_steps) / max(1, settings.steps - settings.warmup_steps)
    return settings.learning_rate * (0.01 + 0.99 * (1 + math.cos(math.pi * done)) / 2)


def _step(
    network: nn.Module,
    optimiser: torch.optim.Optimizer,
    data: Tensor,
    target: Tensor,
    *,
    recipe: Recipe,
    step: int,
) -> float:
    for group in optimiser.param_groups:
        group["lr"] = learning_rate(recipe.optimiser, step)
    with torch.autocast("cpu", torch.bfloat16, enabled=recipe.optimiser.bf16):
        outputs = network(data)
    loss = supervised_loss(outputs, target, recipe.loss)
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(network.parameters(), recipe.optimiser.clip_norm)
    optimiser.step()
    return float(loss.detach())


def freeze_norm(network: nn.Module, average: dict[str, Tensor]) -> None:
    """Let batch normalisation use its averaged statistics from here on, as inference does."""
    for name, module in network.named_modules():
        if isinstance(module, NORMS) and module.training:
            module.eval()
            for buffer in ("running_mean", "running_var"):
                getattr(module, buffer).copy_(average[f"{name}.{buffer}"])


def _floats(network: nn.Module) -> dict[str, Tensor]:
    return {
        name: value.detach().clone()
        for name, value in network.state_dict().items()
        if value.is_floating_point()
    }


def _update_average(
    average: dict[str, Tensor], network: nn.Module, step: int, decay: float
) -> None:
    # young averages lean on the present, or they would remember the initial weights
    decay = min(decay, (1 + step) / (10 + step))
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if name in average:
                average[name].lerp_(value, 1 - decay)


def _write_curves(out: Path, history: History) -> None:
    with (out / "loss.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["step", "loss"])
        writer.writerows((step, f"{loss:.5f}") for step, loss in enumerate(history.losses, 1))
    if history.validations:
        with (out / "validation.csv").open("w", newline="", encoding="utf-8") as file:
            rows = csv.DictWriter(file, list(history.validations[0]))
            rows.writeheader()
            rows.writerows(history.validations)
