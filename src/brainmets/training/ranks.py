"""What a network is trained on: a processor or graphics cards, by one process or several together.

Processes are started by `torchrun`; each takes its share of every batch. Sums that a loss or a
normalisation needs go over all of them, so that together they compute what one process would
compute from the whole batch.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import distributed, nn
from torch.distributed.nn.functional import all_reduce

from brainmets.domain.errors import OptionError
from brainmets.inference.machine import count_processors

if TYPE_CHECKING:
    from collections.abc import Generator

    from torch import Tensor

__all__ = [
    "DeviceName",
    "choose_device",
    "computes_bf16",
    "describe_machine",
    "gathered",
    "joined",
    "parallel",
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


def summed(values: Tensor) -> Tensor:
    """Return the sum of every process's values, differentiable in all of them."""
    return values if process_count() == 1 else all_reduce(values)


def gathered(values: Tensor) -> Tensor:
    """Return every process's values, (processes, *shape), differentiable; shapes must agree."""
    if process_count() == 1:
        return values[None]
    places = torch.zeros(process_count(), 1, device=values.device)
    places[rank()] = 1.0
    return summed(places * values.reshape(1, -1)).reshape(-1, *values.shape)


def parallel(network: nn.Module) -> nn.Module:
    """Return the network, its gradients averaged over the processes where there are several."""
    if process_count() == 1:
        return network
    # its buffers are those of normalisation, which `share_norm` keeps equal
    return nn.parallel.DistributedDataParallel(network, broadcast_buffers=False)


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


DeviceName = Literal["auto", "cpu", "cuda"]


def choose_device(wish: DeviceName = "auto") -> torch.device:
    """Return the device to train on; of several processes each gets a card of its own.

    Raises:
        OptionError: `cuda` was asked for and there is none.
    """
    if wish == "cuda" and not torch.cuda.is_available():
        raise OptionError(
            "no graphics card that this PyTorch can use",
            expected="an NVIDIA card, its driver, and PyTorch built for CUDA",
            remedy="train with --device cpu, or install PyTorch for CUDA",
        )
    if wish == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    torch.cuda.set_device(device)
    return device


def computes_bf16(device: torch.device) -> bool:
    """Whether the device multiplies in bfloat16; older cards and processors stay in float32.

    A processor without AVX-512 emulates it: a 3-D step of 4 s took 237 s.
    """
    if device.type == "cpu":
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())  # noqa: SLF001
    return torch.cuda.is_bf16_supported()


def describe_machine(device: torch.device) -> str:
    """Return such as `1 thread of a machine with 2 processors`, or the card's name."""
    if device.type == "cuda":
        words = torch.cuda.get_device_name(device)
        return f"{process_count()} × {words}" if process_count() > 1 else words
    threads, processors = torch.get_num_threads() * process_count(), count_processors()
    return (
        f"{threads} thread{'s' if threads > 1 else ''} of a machine with "
        f"{processors} processor{'s' if processors > 1 else ''}"
    )
