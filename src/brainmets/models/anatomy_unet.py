"""The anatomy network: a U-Net that works at half the resolution of its input and output."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, cast

import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

__all__ = ["BLOCK", "AnatomyUNet", "blocks_of"]

BLOCK = 2
"""Voxels along each edge of the blocks that are folded into channels."""


def blocks_of(x_BCS: Tensor) -> Tensor:  # noqa: N803 - shape suffix
    """Fold (B, C, 2 X, 2 Y, 2 Z) into (B, 8 C, X, Y, Z): channel c becomes 8 c … 8 c + 7."""
    b, c, x, y, z = x_BCS.shape
    folded = x_BCS.reshape(b, c, x // 2, 2, y // 2, 2, z // 2, 2)
    return folded.permute(0, 1, 3, 5, 7, 2, 4, 6).reshape(b, 8 * c, x // 2, y // 2, z // 2)


class _Block(nn.Sequential):
    """Two 3-wide convolutions with instance normalisation and leaky ReLU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(
            nn.Conv3d(inputs, outputs, 3, padding=1, bias=False),
            nn.InstanceNorm3d(outputs, affine=True),
            nn.LeakyReLU(0.01, inplace=True),
            nn.Conv3d(outputs, outputs, 3, padding=1, bias=False),
            nn.InstanceNorm3d(outputs, affine=True),
            nn.LeakyReLU(0.01, inplace=True),
        )


class AnatomyUNet(nn.Module):
    """Labels every voxel of a head; edges must be multiples of `stride`.

    Blocks of 2 x 2 x 2 voxels enter as eight channels and leave as eight sets of logits: the
    convolutions see an eighth of the voxels, and borders stay as fine as the input.
    """

    def __init__(self, classes: int, widths: Sequence[int], detail: int = 0) -> None:
        """Build for one input channel.

        Args:
            classes: structures told apart.
            widths: channels of each level.
            detail: channels of one more convolution that corrects the logits at borders; 0 for
                none. It begins as no correction.
        """
        super().__init__()
        self.classes = classes
        self.stride = BLOCK * 2 ** (len(widths) - 1)
        inputs = (BLOCK**3, *widths[:-1])
        self.down = nn.ModuleList(_Block(i, o) for i, o in zip(inputs, widths, strict=True))
        self.up = nn.ModuleList(
            nn.ConvTranspose3d(deep, fine, 2, stride=2) for fine, deep in pairwise(widths)
        )
        self.joined = nn.ModuleList(_Block(2 * w, w) for w in widths[:-1])
        last = widths[0] + BLOCK**3
        self.head = nn.Conv3d(last, classes * BLOCK**3, 1)
        self.detail: nn.Sequential | None = None
        if detail:
            correction = nn.Conv3d(detail, classes * BLOCK**3, 1)
            nn.init.zeros_(correction.weight)
            nn.init.zeros_(cast("Tensor", correction.bias))
            self.detail = nn.Sequential(
                nn.Conv3d(last, detail, 3, padding=1), nn.LeakyReLU(0.01, inplace=True), correction
            )

    def folded_logits(self, x_B1S: Tensor) -> Tensor:  # noqa: N803 - shape suffix
        """Return (B, 8 classes, S / 2): eight logits of each class in turn."""
        folded = x = blocks_of(x_B1S)
        skips: list[Tensor] = []
        for level, block in enumerate(self.down):
            x = block(x if level == 0 else nn.functional.max_pool3d(x, 2))
            skips.append(x)
        for level in range(len(self.up) - 1, -1, -1):
            x = self.joined[level](torch.cat((skips[level], self.up[level](x)), dim=1))
        x = torch.cat((x, folded), dim=1)
        logits = self.head(x)
        return logits if self.detail is None else logits + self.detail(x)

    def forward(self, x_B1S: Tensor) -> Tensor:  # noqa: N803 - shape suffix
        """Map an image (B, 1, S) of 0…1 to logits (B, classes, S)."""
        folded = self.folded_logits(x_B1S)
        b, _, x, y, z = folded.shape
        apart = folded.reshape(b, self.classes, 2, 2, 2, x, y, z)
        return apart.permute(0, 1, 5, 2, 6, 3, 7, 4).reshape(b, self.classes, 2 * x, 2 * y, 2 * z)
