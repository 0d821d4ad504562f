"""What a network is trained on, in words for its card."""

from __future__ import annotations

import torch

from brainmets.inference.machine import count_processors

__all__ = ["describe_machine"]


def describe_machine() -> str:
    """Return such as `1 thread of a machine with 2 processors`."""
    threads, processors = torch.get_num_threads(), count_processors()
    return (
        f"{threads} thread{'s' if threads > 1 else ''} of a machine with "
        f"{processors} processor{'s' if processors > 1 else ''}"
    )
