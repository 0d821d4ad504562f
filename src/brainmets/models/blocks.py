"""Building blocks that both networks share, for two and three dimensions.

Shapes: B batch, C channels, S spatial axes (H W, or D H W).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from brainmets.models.joining import convolve_joined, convolve_up

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "AttentionGate",
    "ConvBlock",
    "SurroundingsHead",
    "Upsample",
    "convolution",
    "initialise",
    "pooling",
]

_CONVOLUTION = {2: nn.Conv2d, 3: nn.Conv3d}
_TRANSPOSED = {2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
_NORM = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
_POOLING = {2: nn.MaxPool2d, 3: nn.MaxPool3d}
_LINEAR = {2: "bilinear", 3: "trilinear"}


def convolution(
    dims: int, inputs: int, outputs: int, *, kernel: int, stride: int = 1, bias: bool = True
) -> nn.Module:
    """Return a convolution that keeps the size (odd kernels) or divides it by `stride`."""
    padding = kernel // 2 if stride == 1 else 0
    return _CONVOLUTION[dims](inputs, outputs, kernel, stride=stride, padding=padding, bias=bias)


def pooling(dims: int) -> nn.Module:
    """Return a 2-wide max pooling."""
    return _POOLING[dims](2)


class ConvBlock(nn.Module):
    """Two 3-wide convolutions, each with batch normalisation and ReLU.

    Batch normalisation is a fixed scale at inference: the answer at a voxel does not depend on
    which window it was computed in.
    """

    def __init__(self, dims: int, inputs: int, outputs: int) -> None:
        """Build for `inputs` channels in, `outputs` out."""
        super().__init__()
        self.layers = nn.Sequential(
            convolution(dims, inputs, outputs, kernel=3, bias=False),
            _NORM[dims](outputs),
            nn.ReLU(inplace=True),
            convolution(dims, outputs, outputs, kernel=3, bias=False),
            _NORM[dims](outputs),
            nn.ReLU(inplace=True),
        )

    def forward(self, *parts_BCS: Tensor) -> Tensor:  # noqa: N803 - shape suffix
        """Map (B, inputs, S), or parts of it to be joined, to (B, outputs, S)."""
        return self.layers[1:](convolve_joined(self.layers[0], parts_BCS))


class Upsample(nn.Module):
    """Doubles the resolution by a 2-wide transposed convolution."""

    def __init__(self, dims: int, inputs: int, outputs: int) -> None:
        """Build for `inputs` channels in, `outputs` out."""
        super().__init__()
        self.layer = _TRANSPOSED[dims](inputs, outputs, 2, stride=2)

    def forward(self, x_BCS: Tensor) -> Tensor:  # noqa: N803 - shape suffix
        """Map (B, inputs, S) to (B, outputs, 2 S)."""
        return convolve_up(self.layer, x_BCS)


class AttentionGate(nn.Module):
    """Additive grid attention: the coarser level tells the skip where to look.

    Source: Oktay et al., Attention U-Net, arXiv 1804.03999, eq. 1–2 and fig. 2.
    """

    def __init__(self, dims: int, skip: int, gating: int) -> None:
        """Build for `skip` channels at fine and `gating` channels at half resolution."""
        super().__init__()
        hidden = max(skip // 2, 4)
        self.theta = convolution(dims, skip, hidden, kernel=2, stride=2, bias=False)
        self.phi = convolution(dims, gating, hidden, kernel=1)
        self.psi = convolution(dims, hidden, 1, kernel=1)
        self.mode = _LINEAR[dims]

    def attention(self, skip_BCS: Tensor, gating_BCS: Tensor) -> Tensor:  # noqa: N803
        """Return the attention map (B, 1, S) in 0…1 at the skip's resolution."""
        added = torch.relu(self.theta(skip_BCS) + self.phi(gating_BCS))
        coarse = torch.sigmoid(self.psi(added))
        return nn.functional.interpolate(
            coarse, scale_factor=2, mode=self.mode, align_corners=False
        )

    def forward(self, skip_BCS: Tensor, gating_BCS: Tensor) -> Tensor:  # noqa: N803
        """Scale the skip (B, skip, S) by its attention; gating is (B, gating, S / 2)."""
        attention = self.attention(skip_BCS, gating_BCS)
        if self.training and skip_BCS.device.type == "cpu":
            # dense first: PyTorch multiplies by a single channel at a fifth of its speed
            layout = torch.channels_last if skip_BCS.ndim == 4 else torch.channels_last_3d
            attention = attention.expand_as(skip_BCS).contiguous(memory_format=layout)
        return skip_BCS * attention


class SurroundingsHead(nn.Module):
    """Logits of what surrounds lesions, set after a lesion head's; nothing without classes."""

    def __init__(self, dims: int, inputs: int, classes: int) -> None:
        """Build for `inputs` channels in."""
        super().__init__()
        self.logits = convolution(dims, inputs, classes, kernel=1) if classes else None

    def forward(self, lesion_B1S: Tensor, x_BCS: Tensor) -> Tensor:  # noqa: N803 - shape suffixes
        """Return (B, 1 + classes, S) of lesion logits (B, 1, S) and features (B, inputs, S)."""
        if self.logits is None:
            return lesion_B1S
        return torch.cat((lesion_B1S, self.logits(x_BCS)), dim=1)


def initialise(network: nn.Module, *, prior: float) -> None:
    """He initialisation; output biases such that every voxel starts at probability `prior`.

    The prior keeps the first steps from being spent on learning that lesions are rare
    (Lin et al., Focal loss, arXiv 1708.02002, sec. 4.1).
    """
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d)):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    bias = float(torch.logit(torch.tensor(prior)))
    for name, module in network.named_modules():
        if ".heads." in f".{name}" and isinstance(module, (nn.Conv2d, nn.Conv3d)):
            nn.init.normal_(module.weight, std=0.01)
            if module.bias is not None:
                nn.init.constant_(module.bias, bias)
