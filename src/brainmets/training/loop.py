"""The training loop: batch → step → average → validate → checkpoint, on one page."""

from __future__ import annotations

import math
import signal
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from tensorboardX import SummaryWriter

from brainmets.domain.progress import Progress, silent
from brainmets.training.checkpoint import (
    History,
    find_checkpoint,
    load_checkpoint,
    progress_line,
    save_checkpoint,
    write_curves,
)
from brainmets.training.config import recipe_sha256
from brainmets.training.export import network_to_train
from brainmets.training.losses import supervised_loss
from brainmets.training.normalisation import freeze_norm, measure_norm, share_norm
from brainmets.training.ranks import (
    choose_device,
    computes_bf16,
    describe_machine,
    parallel,
    process_count,
    rank,
    shared,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from pathlib import Path

    from torch import Tensor, nn

    from brainmets.training.batches import Batches
    from brainmets.training.config import OptimiserSettings, Recipe
    from brainmets.training.ranks import DeviceName

__all__ = ["freeze_norm", "learning_rate", "train"]


def train(
    recipe: Recipe,
    batches: Batches,
    out: Path,
    *,
    validate: Callable[[dict[str, Tensor]], dict[str, float]],
    start: dict[str, Tensor] | None = None,
    resume: bool = False,
    device: DeviceName = "auto",
    progress: Progress = silent,
    say: Callable[[str], None] = lambda _line: None,
) -> tuple[dict[str, Tensor], History]:
    """Train to the recipe's last step; return the best averaged weights and the history.

    Every step depends on the recipe and its own number alone, so a run that was killed and
    resumed follows the same loss curve. Ctrl-C and SIGTERM wait for the step's end and a
    checkpoint. Of several processes the first validates, writes and speaks.

    Raises:
        CheckpointMismatch: `resume`, and the checkpoint belongs to another recipe.
    """
    run = _begin(recipe, out, start=start, resume=resume, device=choose_device(device))
    history, steps = run.history, recipe.optimiser.steps
    first, seconds_before, waited_before = history.step, history.seconds, history.waited_s
    started = time.monotonic()
    # what earlier event files say beyond `first` no longer counts
    writer = SummaryWriter(str(out), purge_step=first, write_to_disk=rank() == 0)
    with held_back() as stop, writer as events:
        while not _finished(recipe, history):
            _advance(run, batches)
            history.seconds = seconds_before + time.monotonic() - started
            history.waited_s = waited_before + batches.waited_s
            look = history.step == steps or history.step % recipe.validation.every == 0
            if look:
                _validate(run, batches, validate)
            stopping = bool(stop)  # asked once: who asks later waits for the next step
            if rank() == 0:
                _note(events, run, look=look)
                if look or stopping or history.step % recipe.validation.checkpoint_every == 0:
                    _save_state(run, out)
                    events.flush()
                if look or stopping:
                    say(progress_line(history, steps, since_step=first, since_s=seconds_before))
                progress("train", history.step / steps)
            if stopping:
                stop.obey()
    return _on_cpu(run.best), history


@dataclass(slots=True, kw_only=True)
class _Run:
    """Everything that changes from step to step."""

    recipe: Recipe
    network: nn.Module
    learner: nn.Module
    """The network, or what averages its gradients over the processes."""
    optimiser: torch.optim.Optimizer
    average: dict[str, Tensor]
    best: dict[str, Tensor]
    history: History
    device: torch.device
    layout: torch.memory_format


def _begin(
    recipe: Recipe,
    out: Path,
    *,
    start: dict[str, Tensor] | None,
    resume: bool,
    device: torch.device,
) -> _Run:
    """Build the network and bring it to where the run stands."""
    torch.manual_seed(recipe.seed)
    settings = recipe.optimiser
    layout = torch.channels_last if recipe.network.dims == 2 else torch.channels_last_3d
    network = share_norm(network_to_train(recipe)).to(device).to(memory_format=layout).train()  # pyright: ignore[reportCallIssue]
    if start is not None:
        network.load_state_dict(start, strict=False)  # counters of normalisation are not shipped
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    average = _floats(network)
    best = {name: value.clone() for name, value in average.items()}
    history, found = History(), find_checkpoint(out)
    if resume and found is not None:
        history = load_checkpoint(
            found,
            network=network,
            average=average,
            best=best,
            optimiser=optimiser,
            recipe_sha256=recipe_sha256(recipe),
        )
    history.machine = describe_machine(device)
    return _Run(
        recipe=recipe,
        network=network,
        learner=parallel(network),
        optimiser=optimiser,
        average={name: value.to(device) for name, value in average.items()},
        best={name: value.to(device) for name, value in best.items()},
        history=history,
        device=device,
        layout=layout,
    )


def _advance(run: _Run, batches: Batches) -> None:
    """Learn from the next batch."""
    history, settings = run.history, run.recipe.optimiser
    step = history.step
    data, target = batches.at(step)
    if step >= settings.freeze_norm_at * settings.steps:
        freeze_norm(run.network, run.average)
    data = data.to(run.device).to(memory_format=run.layout)
    target = target.to(run.device)
    loss = _step(run.learner, run.optimiser, data, target, recipe=run.recipe, step=step)
    _update_average(run.average, run.network, step, settings.ema)
    history.step = step + 1
    history.losses.append(loss)


def _note(events: SummaryWriter, run: _Run, *, look: bool) -> None:
    history = run.history
    rate = learning_rate(run.recipe.optimiser, history.step - 1)
    figures = {"loss": history.losses[-1], "learning_rate": rate}
    if look:
        figures |= history.validations[-1]
    for name, value in figures.items():
        if name != "step":
            events.add_scalar(name, value, history.step)


def _finished(recipe: Recipe, history: History) -> bool:
    """Whether the last step is done, or validation has stopped rising for too long."""
    if history.step >= recipe.optimiser.steps:
        return True
    patience = recipe.validation.patience
    since_best = [v for v in history.validations if v["step"] > history.best_step]
    return patience is not None and len(since_best) >= patience


def _validate(
    run: _Run, batches: Batches, validate: Callable[[dict[str, Tensor]], dict[str, float]]
) -> None:
    """Validate the averaged weights, and keep them where they are the best so far."""
    weights, history = run.average, run.history
    wanted = run.recipe.optimiser.recalibrate_norm

    def more() -> Iterator[Tensor]:
        for number in range(1, wanted + 1):
            data, _ = batches.again(history.step - 1, number)
            yield data.to(run.device).to(memory_format=run.layout)

    if wanted:
        with _autocast(run.recipe, run.device):
            weights = measure_norm(run.network, weights, more())
    figures: dict[str, float] = shared(validate(_on_cpu(weights)) if rank() == 0 else None)
    history.validations.append({"step": float(history.step), **figures})
    if figures["dice"] >= history.best or run.recipe.validation.keep == "last":
        history.best, history.best_step = figures["dice"], history.step
        run.best.update({name: value.clone() for name, value in weights.items()})


def _save_state(run: _Run, out: Path) -> None:
    save_checkpoint(
        out,
        network=run.network,
        average=run.average,
        best=run.best,
        optimiser=run.optimiser,
        history=run.history,
        recipe_sha256=recipe_sha256(run.recipe),
    )
    write_curves(out, run.history)


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
    with _autocast(recipe, data.device):
        outputs = network(data)
    loss = supervised_loss(outputs, target, recipe.loss)
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(network.parameters(), recipe.optimiser.clip_norm)
    optimiser.step()
    return float(loss.detach())


def _autocast(recipe: Recipe, device: torch.device) -> torch.autocast:
    enabled = recipe.optimiser.bf16 and computes_bf16(device)
    return torch.autocast(device.type, torch.bfloat16, enabled=enabled)


def _floats(network: nn.Module) -> dict[str, Tensor]:
    return {
        name: value.detach().clone()
        for name, value in network.state_dict().items()
        if value.is_floating_point()
    }


def _on_cpu(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.cpu() for name, value in weights.items()}


def _update_average(
    average: dict[str, Tensor], network: nn.Module, step: int, decay: float
) -> None:
    # young averages lean on the present, or they would remember the initial weights
    decay = min(decay, (1 + step) / (10 + step))
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if name in average:
                average[name].lerp_(value, 1 - decay)


SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """The signal that is held back, if one has come."""

    def __init__(self) -> None:
        self._came: int | None = None
        self._handlers: dict[int, Any] = {}

    def __bool__(self) -> bool:
        """Whether one has come."""
        return self._came is not None

    def hold(self) -> None:
        """Hold signals back from here on; a second one goes through at once."""
        self._handlers = {number: signal.signal(number, self._note) for number in SIGNALS}

    def release(self) -> None:
        """Let signals through again."""
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers = {}

    def obey(self) -> None:
        """Let the one that came do what it would have done."""
        self.release()
        if self._came is not None:
            signal.raise_signal(self._came)

    def _note(self, number: int, _frame: object) -> None:
        if self:
            self.obey()
        self._came = number


@contextmanager
def held_back() -> Generator[StopRequest, None, None]:
    """Hold Ctrl-C and the scheduler's SIGTERM back until the state is one to go on from.

    Of several processes none waits: they would wait for each other.
    """
    request = StopRequest()
    if process_count() > 1 or threading.current_thread() is not threading.main_thread():
        yield request
        return
    request.hold()
    try:
        yield request
    finally:
        request.release()
