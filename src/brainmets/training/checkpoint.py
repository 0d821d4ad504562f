"""A training run's whole state in one safetensors file: no pickle, replaced atomically."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from brainmets.domain.errors import CheckpointMismatch

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from torch import Tensor, nn

__all__ = ["History", "load_checkpoint", "save_checkpoint"]


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


def save_checkpoint(
    path: Path,
    *,
    network: nn.Module,
    average: dict[str, Tensor],
    best: dict[str, Tensor],
    optimiser: torch.optim.Optimizer,
    history: History,
    recipe_sha256: str,
) -> None:
    """Write everything that the next step depends on, then rename it into place."""
    tensors = {f"network.{name}": value for name, value in network.state_dict().items()}
    tensors |= {f"average.{name}": value for name, value in average.items()}
    tensors |= {f"best.{name}": value for name, value in best.items()}
    for index, state in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{index}.{key}": torch.as_tensor(v) for key, v in state.items()}
    metadata = {
        "recipe_sha256": recipe_sha256,
        "history": json.dumps({name: getattr(history, name) for name in History.__slots__}),
    }
    staged = path.with_suffix(".part")
    save_file({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, staged, metadata)
    staged.replace(path)


def load_checkpoint(
    path: Path,
    *,
    network: nn.Module,
    average: dict[str, Tensor],
    best: dict[str, Tensor],
    optimiser: torch.optim.Optimizer,
    accepted_sha256: Collection[str],
) -> History:
    """Put a run's state back where `save_checkpoint` took it from.

    Args:
        path: the checkpoint.
        network: gets its weights back.
        average: gets the averaged weights.
        best: gets the best averaged weights.
        optimiser: gets its moments and counters back.
        accepted_sha256: digests of the recipe, any of which the checkpoint may name.

    Raises:
        CheckpointMismatch: the file is not a checkpoint, or one of another recipe.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise _mismatch(path, "a file that is not a checkpoint") from error
    if metadata.get("recipe_sha256") not in accepted_sha256:
        raise _mismatch(path, "a checkpoint of another recipe")

    def part(prefix: str) -> dict[str, Tensor]:
        return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}

    network.load_state_dict(part("network."))
    average.update(part("average."))
    best.update(part("best."))
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in part("optimiser.").items():
        index, key = name.split(".", 1)
        state.setdefault(int(index), {})[key] = value
    optimiser.load_state_dict(
        {"state": state, "param_groups": optimiser.state_dict()["param_groups"]}
    )
    return History(**json.loads(metadata["history"]))


def _mismatch(path: Path, found: str) -> CheckpointMismatch:
    return CheckpointMismatch(
        f"{found} at {path.name}",
        expected="a checkpoint of this recipe",
        remedy="choose another output folder, or give the recipe it was started with",
    )
