"""Batch normalisation while training: frozen, measured again, and shared among processes."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from brainmets.training.ranks import process_count, summed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from torch import Tensor

__all__ = ["freeze_norm", "measure_norm", "share_norm"]

NORMS = (nn.BatchNorm2d, nn.BatchNorm3d)


def freeze_norm(network: nn.Module, average: Mapping[str, Tensor]) -> None:
    """Let batch normalisation use its averaged statistics from here on, as inference does."""
    for name, module in network.named_modules():
        if isinstance(module, NORMS) and module.training:
            module.eval()
            for buffer in ("running_mean", "running_var"):
                getattr(module, buffer).copy_(average[f"{name}.{buffer}"])


def measure_norm(
    network: nn.Module, weights: Mapping[str, Tensor], batches: Iterable[Tensor]
) -> dict[str, Tensor]:
    """Return the weights with every normalisation's mean and variance measured over batches.

    The running statistics of training lag behind the weights, do not belong to averaged ones,
    and leave out how crops differ from each other; a batch of one crop shows that most. Here
    mean and variance are those of all values of all batches together. Source: Wu & Johnson,
    Rethinking "Batch" in BatchNorm, arXiv 2105.07576, sec. 3.

    Args:
        network: says how to compute; is not changed.
        weights: floating-point state of such a network.
        batches: inputs (B, C, S), as many as are wanted.
    """
    trial = deepcopy(network)
    trial.load_state_dict(weights, strict=False)
    trial.train()
    sums: dict[str, Tensor] = {}

    def watch(name: str) -> Any:
        def look(_module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            x = inputs[0].detach().double()
            axes = [axis for axis in range(x.ndim) if axis != 1]
            count = x.new_full((x.shape[1],), x.numel() / x.shape[1])
            found = summed(torch.stack((count, x.sum(axes), x.square().sum(axes))))
            sums[name] = sums[name] + found if name in sums else found

        return look

    for name, module in trial.named_modules():
        if isinstance(module, NORMS):
            module.register_forward_pre_hook(watch(name))
    with torch.no_grad():
        for data in batches:
            trial(data)
    measured = {name: value.clone() for name, value in weights.items()}
    for name, (count, first, second) in sums.items():
        mean = first / count
        variance = (second / count - mean.square()).clamp_min(0) * count / (count - 1).clamp_min(1)
        measured[f"{name}.running_mean"] = mean.float()
        measured[f"{name}.running_var"] = variance.float()
    return measured


class _Shared(nn.Module):
    """Normalises by the statistics of every process's part of the batch."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's own name
        """Map (B, C, S) to (B, C, S)."""
        norm: Any = self
        if not self.training:
            return super().forward(input)  # pyright: ignore[reportAttributeAccessIssue]
        x = input.float()
        axes = [axis for axis in range(x.ndim) if axis != 1]
        shape = [-1 if axis == 1 else 1 for axis in range(x.ndim)]
        count = x.numel() // x.shape[1] * process_count()
        mean = summed(x.sum(axes)) / count
        centred = x - mean.reshape(shape)
        variance = summed(centred.square().sum(axes)) / count
        with torch.no_grad():
            norm.num_batches_tracked += 1
            norm.running_mean.lerp_(mean.detach(), norm.momentum)
            norm.running_var.lerp_(variance.detach() * count / (count - 1), norm.momentum)
        scale = norm.weight * (variance + norm.eps).rsqrt()
        return (centred * scale.reshape(shape) + norm.bias.reshape(shape)).to(input.dtype)


class _SharedNorm2d(_Shared, nn.BatchNorm2d):
    """Of slices."""


class _SharedNorm3d(_Shared, nn.BatchNorm3d):
    """Of volumes."""


def share_norm(network: nn.Module) -> nn.Module:
    """Let batch normalisation look at the whole batch where several processes share it.

    PyTorch's own does so on graphics cards alone. Names and values of the state stay.
    """
    if process_count() == 1:
        return network
    for module in network.modules():
        for name, child in module.named_children():
            if isinstance(child, NORMS):
                kind = _SharedNorm2d if isinstance(child, nn.BatchNorm2d) else _SharedNorm3d
                shared = kind(child.num_features, eps=child.eps, momentum=child.momentum)
                shared.load_state_dict(child.state_dict())
                setattr(module, name, shared)
    return network
