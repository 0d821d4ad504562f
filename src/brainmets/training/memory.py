"""How much memory a training run will take, said before it starts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from brainmets.domain.errors import OutOfMemory
from brainmets.inference.machine import free_memory
from brainmets.training.datasets import open_part
from brainmets.training.export import network_to_train
from brainmets.training.ranks import computes_bf16, process_count
from brainmets.training.samples import read_volume_case, slice_names, volume_folders
from brainmets.training.sources import DatasetSource, SliceSource, SyntheticSource

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from brainmets.preprocessing import Plan
    from brainmets.training.config import Recipe
    from brainmets.training.samples import Part
    from brainmets.training.sources import Source

__all__ = ["MemoryNeed", "check_memory", "estimate_memory", "learning_bytes"]

PROCESS = 400e6
"""What Python, PyTorch and the inference engine hold before the first sample."""

MAKER = 800e6
"""A process next to that makes heads, at its peak."""

HEAD_VOXELS = 8_000_000
"""Of a head at 1 mm, cropped; what a pool's heads are reckoned with before they are made."""

OVER_SAVED = 1.6
"""Peak of a step over what is kept for its gradients: 1.35 to 1.45 measured on both networks in two
and three dimensions (tests/unit/test_training_memory.py), and some room."""

STATES = 5
"""Values a weight has: itself, its gradient, two moments, its average."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryNeed:
    """Bytes by purpose, of all processes together."""

    learning: float
    samples: float
    validation: float
    programs: float

    @property
    def total(self) -> float:
        """All of it."""
        return self.learning + self.samples + self.validation + self.programs

    def __str__(self) -> str:
        """The whole and its parts."""
        return (
            f"{_size(self.total)} of memory (learning {_size(self.learning)}, samples "
            f"{_size(self.samples)}, validation {_size(self.validation)}, programs "
            f"{_size(self.programs)})"
        )


def estimate_memory(recipe: Recipe, data_root: Path, device: torch.device) -> MemoryNeed:
    """Reckon what a run takes at its peak, on the processor's side unless learning on a card.

    Whole data sets are mapped from disk and take no memory of their own.
    """
    processes = process_count()
    makers = sum(_made_at_a_time(source) > 0 for source in recipe.sources)
    samples = sum(_sample_bytes(source, recipe.plan, data_root) for source in recipe.sources)
    watched = sum(_watched_bytes(source, recipe, data_root) for source in recipe.sources)
    return MemoryNeed(
        learning=processes * learning_bytes(recipe, device),
        samples=processes * samples,
        validation=watched,
        programs=processes * (PROCESS + makers * MAKER),
    )


def check_memory(recipe: Recipe, data_root: Path, device: torch.device) -> str:
    """Say what a run needs and what is free.

    Raises:
        OutOfMemory: it cannot fit.
    """
    need = estimate_memory(recipe, data_root, device)
    if device.type == "cuda":
        free_on_card, _ = torch.cuda.mem_get_info(device)
        each = need.learning / process_count()
        _refuse(each, free_on_card, f"on the card for {_size(each)} of learning")
        need = MemoryNeed(
            learning=0.0,
            samples=need.samples,
            validation=need.validation,
            programs=need.programs,
        )
    free = free_memory()
    if free is None:
        return f"needs about {need}"
    _refuse(need.total, free, f"for about {need}")
    return f"needs about {need}; {_size(free)} free"


def _refuse(need: float, free: float, what: str) -> None:
    if need > free:
        raise OutOfMemory(
            f"{_size(free)} free {what}",
            expected="enough free memory for the whole run",
            remedy="make optimiser.batch, optimiser.patch or a source's pool smaller, or close "
            "other programs; --no-memory-check tries all the same",
        )


def _size(count: float) -> str:
    return f"{count / 1e6:.0f} MB" if count < 1e9 else f"{count / 1e9:.1f} GB"


def learning_bytes(recipe: Recipe, device: torch.device) -> float:
    """Return the bytes a step of one process takes at its peak, weights and optimiser included.

    What the network keeps for its gradients is counted on two small inputs; it grows with the
    voxels.
    """
    network = network_to_train(recipe).train()
    weights = sum(p.numel() for p in network.parameters())
    edges = [2 * recipe.network.stride, 4 * recipe.network.stride]
    bf16 = recipe.optimiser.bf16 and computes_bf16(device)
    small, large = (_kept_for_gradients(network, recipe, edge, bf16=bf16) for edge in edges)
    dims = recipe.network.dims
    a_voxel = (large - small) / (edges[1] ** dims - edges[0] ** dims)
    voxels = recipe.optimiser.batch / process_count() * math.prod(recipe.optimiser.patch)
    fixed = small - a_voxel * edges[0] ** dims
    return OVER_SAVED * (a_voxel * voxels + max(fixed, 0.0)) + STATES * 4 * weights


def _kept_for_gradients(
    network: torch.nn.Module, recipe: Recipe, edge: int, *, bf16: bool
) -> float:
    own = {p.untyped_storage().data_ptr() for p in network.parameters()}
    kept: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        place = tensor.untyped_storage().data_ptr()
        if place not in own:
            kept[place] = tensor
        return tensor

    def give_back(tensor: Tensor) -> Tensor:
        return tensor

    data = torch.zeros(1, recipe.network.in_channels, *[edge] * recipe.network.dims)
    with (
        torch.autograd.graph.saved_tensors_hooks(keep, give_back),
        torch.autocast("cpu", torch.bfloat16, enabled=bf16),
    ):
        network(data)
    return float(sum(tensor.untyped_storage().nbytes() for tensor in kept.values()))


def _made_at_a_time(source: Source) -> int:
    """How many samples a source holds that a process next to makes; 0 where none are made."""
    if isinstance(source, SyntheticSource):
        return source.pool + 1
    insertion = getattr(source, "insertion", None)
    return 0 if insertion is None else insertion.pool + 1


def _sample_bytes(source: Source, plan: Plan, data_root: Path) -> float:
    """Bytes of the training samples that are held in memory: half floats and a byte of target."""
    a_voxel = 2.0 * plan.channels + 1.0
    made = _made_at_a_time(source)
    if made or isinstance(source, DatasetSource | SyntheticSource):
        return made * HEAD_VOXELS * a_voxel
    if isinstance(source, SliceSource):
        count = len(slice_names(data_root / source.root, source, "train"))
        return count * plan.canvas**2 * a_voxel
    folders = volume_folders(data_root / source.root, source, "train")
    if plan.dims == 2:
        return len(folders) * 3 * source.slices_per_plane * plan.canvas**2 * a_voxel
    if not folders:
        return 0.0
    case, _ = read_volume_case(folders[0], source)
    return len(folders) * math.prod(plan.shape_of(case)) * a_voxel


def _watched_bytes(source: Source, recipe: Recipe, data_root: Path) -> float:
    """Bytes of the validation cases, which are held in memory as single floats."""
    plan, limit = recipe.plan, recipe.validation.limit
    a_voxel = 4.0 * plan.channels + 1.0
    part: Part = "validation"
    if isinstance(source, SyntheticSource):
        return min(limit, source.validation_heads) * HEAD_VOXELS * a_voxel
    root = data_root / source.root
    if isinstance(source, SliceSource):
        return min(limit, len(slice_names(root, source, part))) * plan.canvas**2 * a_voxel
    if isinstance(source, DatasetSource):
        count = len(open_part(source, plan, data_root, part).cases)
    else:
        count = len(volume_folders(root, source, part))
    return min(limit, count) * HEAD_VOXELS * a_voxel
