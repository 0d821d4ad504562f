"""Attention U-Net: a U-Net whose skips are gated by the coarser level (arXiv 1804.03999)."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, cast

from torch import nn

from brainmets.models.blocks import (
    AttentionGate,
    ConvBlock,
    SurroundingsHead,
    Upsample,
    convolution,
    pooling,
)

if TYPE_CHECKING:
    from torch import Tensor

    from brainmets.models.architecture import Architecture

__all__ = ["AttentionUNet"]


class AttentionUNet(nn.Module):
    """Attention U-Net with a logit head at every decoder level but the coarsest two.

    In training `forward` returns one logit map per head, finest first, each at its own level's
    resolution (deep supervision), the finest with the logits of the surroundings after it,
    (B, 1 + classes, S); in evaluation the finest alone, (B, 1, S).
    """

    ENCODER = "encoder.{level}."
    SUPERVISED_LEVELS = 3

    def __init__(self, architecture: Architecture, *, classes: int = 0) -> None:
        """Build from its numbers, with a head for `classes` of surroundings in training."""
        super().__init__()
        dims, widths = architecture.dims, architecture.widths
        self.pool = pooling(dims)
        inputs = (architecture.in_channels, *widths[:-1])
        self.encoder = nn.ModuleList(
            ConvBlock(dims, i, o) for i, o in zip(inputs, widths, strict=True)
        )
        fine_coarse = list(pairwise(widths))
        self.gates = nn.ModuleList(AttentionGate(dims, f, c) for f, c in fine_coarse)
        self.ups = nn.ModuleList(Upsample(dims, c, f) for f, c in fine_coarse)
        self.decoder = nn.ModuleList(ConvBlock(dims, 2 * f, f) for f, _ in fine_coarse)
        levels = min(self.SUPERVISED_LEVELS, len(fine_coarse))
        self.heads = nn.ModuleList(
            convolution(dims, width, 1, kernel=1) for width in widths[:levels]
        )
        self.surroundings = SurroundingsHead(dims, widths[0], classes)

    def forward(self, x_BCS: Tensor) -> Tensor | tuple[Tensor, ...]:  # noqa: N803 - shape suffix
        """Map (B, in_channels, S) to logits (B, 1, S), S multiples of the stride."""
        skips = self._encode(x_BCS)
        logits: list[Tensor] = []
        x = skips.pop()
        for level in reversed(range(len(self.decoder))):
            gated = self.gates[level](skips[level], x)
            x = self.decoder[level](gated, self.ups[level](x))
            if level < len(self.heads) and (self.training or level == 0):
                logits.append(self.heads[level](x))
        if self.training:
            logits[-1] = self.surroundings(logits[-1], x)
        return tuple(reversed(logits)) if self.training else logits[-1]

    def attention_maps(self, x_BCS: Tensor) -> tuple[Tensor, ...]:  # noqa: N803 - shape suffix
        """Return every gate's map in 0…1, finest first, each (B, 1, S / 2^level)."""
        skips = self._encode(x_BCS)
        maps: list[Tensor] = []
        x = skips.pop()
        for level in reversed(range(len(self.decoder))):
            gate = cast("AttentionGate", self.gates[level])
            alpha = gate.attention(skips[level], x)
            maps.append(alpha)
            x = self.decoder[level](skips[level] * alpha, self.ups[level](x))
        return tuple(reversed(maps))

    def _encode(self, x: Tensor) -> list[Tensor]:
        skips: list[Tensor] = []
        for level, block in enumerate(self.encoder):
            x = block(x if level == 0 else self.pool(x))
            skips.append(x)
        return skips
