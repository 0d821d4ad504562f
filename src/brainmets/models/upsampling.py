"""An up-convolution whose bias gradient is a plain sum while learning on a processor.

oneDNN's own takes longer than all else that a 2-wide up-convolution does going back: 14 of 18 ms at
8 × 16 × 192 × 192 in bfloat16, where the sum takes 0.2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.autograd.function import once_differentiable
from torch.nn import functional

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["convolve_up"]


def convolve_up(layer: nn.Module, x: Tensor) -> Tensor:
    """Return `layer` of x (B, C, S): a transposed convolution without padding or groups."""
    if not (layer.training and torch.is_grad_enabled() and x.device.type == "cpu"):
        return layer(x)
    known: Any = layer
    weight, bias = known.weight, known.bias
    if torch.is_autocast_enabled("cpu"):
        lower = torch.get_autocast_dtype("cpu")
        x, weight, bias = x.to(lower), weight.to(lower), bias.to(lower)
    return _Up.apply(x, weight, bias, known.stride)  # pyright: ignore[reportReturnType]


class _Up(torch.autograd.Function):
    """Transposed convolution."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, stride: tuple[int, ...]) -> Any:
        ctx.stride = stride
        ctx.save_for_backward(x, weight)
        convolve = functional.conv_transpose2d if x.ndim == 4 else functional.conv_transpose3d
        return convolve(x, weight, bias, stride)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        (gradient,) = grad_outputs
        x, weight = ctx.saved_tensors
        ones, none = [1] * len(ctx.stride), [0] * len(ctx.stride)
        transposed, groups, wanted = True, 1, (True, True, False)
        of_x, of_weight, _ = torch.ops.aten.convolution_backward(
            *(gradient, x, weight, None),
            *(ctx.stride, none, ones, transposed, none, groups, wanted),
        )
        everywhere = [axis for axis in range(gradient.ndim) if axis != 1]
        return of_x, of_weight, gradient.sum(everywhere), None
