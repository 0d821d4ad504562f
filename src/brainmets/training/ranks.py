"""Several processes that train one network together, as `torchrun` starts them.

Each takes its share of every batch. Sums that a loss or a normalisation needs go over all of them,
so that together they compute what one process would compute from the whole batch.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import torch
from torch import distributed

if TYPE_CHECKING:
    from collections.abc import Generator

    from torch import Tensor, nn

__all__ = [
    "average_gradients",
    "gathered",
    "joined",
    "process_count",
    "rank",
    "shared",
    "summed",
    "wait_for_all",
]

PATIENCE = timedelta(hours=6)
"""How long the others wait for the first, which validates and writes."""


@contextmanager
def joined() -> Generator[None, None, None]:
    """Join the processes that `torchrun` started; alone where it started none."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield
        return
    backend = "gloo"
    if torch.cuda.is_available():
        backend = "cpu:gloo,cuda:nccl"
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    distributed.init_process_group(backend, timeout=PATIENCE)
    try:
        yield
    finally:
        distributed.destroy_process_group()


def process_count() -> int:
    """How many processes train together."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def rank() -> int:
    """Which of them this is; the first, 0, writes and speaks for all."""
    return distributed.get_rank() if distributed.is_initialized() else 0


class _Sum(torch.autograd.Function):
    """Sum over the processes; so is its gradient, for every process reads the sum."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:  # noqa: ARG004 - torch's own shape
        total = values.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Tensor:  # noqa: ARG004
        total = gradients[0].clone()
        distributed.all_reduce(total)
        return total


def summed(values: Tensor) -> Tensor:
    """Return the sum of every process's values, differentiable in all of them."""
    return values if process_count() == 1 else torch.as_tensor(_Sum.apply(values))


def gathered(values: Tensor) -> Tensor:
    """Return every process's values, (processes, *shape), differentiable; shapes must agree."""
    if process_count() == 1:
        return values[None]
    places = torch.zeros(process_count(), 1, device=values.device)
    places[rank()] = 1.0
    return summed(places * values.reshape(1, -1)).reshape(-1, *values.shape)


def average_gradients(network: nn.Module) -> None:
    """Give every process the mean of all gradients."""
    if process_count() == 1:
        return
    gradients = [p.grad for p in network.parameters() if p.grad is not None]
    flat = torch.cat([g.reshape(-1) for g in gradients])
    distributed.all_reduce(flat)
    flat /= process_count()
    for gradient, part in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(part.reshape(gradient.shape))


def shared(value: Any) -> Any:
    """Return the first process's value in every process."""
    if process_count() == 1:
        return value
    box = [value]
    distributed.broadcast_object_list(box, src=0)
    return box[0]


def wait_for_all() -> None:
    """Return when every process has come here."""
    if process_count() > 1:
        distributed.barrier()
