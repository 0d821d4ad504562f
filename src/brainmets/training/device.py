"""What a network is trained on: the processor, or a graphics card where there is one."""

from __future__ import annotations

import os
from typing import Literal

import torch

from brainmets.domain.errors import OptionError
from brainmets.inference.machine import count_processors
from brainmets.training.ranks import process_count

__all__ = ["DeviceName", "choose_device", "computes_bf16", "describe_machine"]

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
