"""U-Net++: nested dense skips between encoder and decoder (arXiv 1807.10165, 1912.05074)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from brainmets.models.blocks import (
    ConvBlock,
    SurroundingsHead,
    Upsample,
    convolution,
    pooling,
)

if TYPE_CHECKING:
    from torch import Tensor

    from brainmets.models.architecture import Architecture

__all__ = ["UNetPlusPlus"]


class UNetPlusPlus(nn.Module):
    """Nested U-Net whose node (i, j) joins all nodes before it on level i with (i+1, j-1) above.

    In training `forward` returns one full-resolution logit map per nested depth, deepest first
    (deep supervision), that one with the logits of the surroundings after it; in evaluation the
    map of `depth` alone, or with `every_depth` those of it and all below. A smaller `depth` leaves
    out every node that the chosen head does not need: faster, shallower, from the same weights.
    """

    ENCODER = "nodes.{level}_0."

    def __init__(self, architecture: Architecture, *, classes: int = 0) -> None:
        """Build from its numbers, at full depth; in training with a head for `classes`."""
        super().__init__()
        dims, widths = architecture.dims, architecture.widths
        self.levels = len(widths)
        self.depth = self.levels - 1
        self.every_depth = False
        self.pool = pooling(dims)
        blocks: dict[str, nn.Module] = {}
        ups: dict[str, nn.Module] = {}
        for i, width in enumerate(widths):
            inputs = architecture.in_channels if i == 0 else widths[i - 1]
            blocks[f"{i}_0"] = ConvBlock(dims, inputs, width)
            for j in range(1, self.levels - i):
                ups[f"{i}_{j}"] = Upsample(dims, widths[i + 1], width)
                blocks[f"{i}_{j}"] = ConvBlock(dims, (j + 1) * width, width)
        self.nodes = nn.ModuleDict(blocks)
        self.ups = nn.ModuleDict(ups)
        self.heads = nn.ModuleList(
            convolution(dims, widths[0], 1, kernel=1) for _ in range(self.levels - 1)
        )
        self.surroundings = SurroundingsHead(dims, widths[0], classes)

    def forward(self, x_BCS: Tensor) -> Tensor | tuple[Tensor, ...]:  # noqa: N803 - shape suffix
        """Map (B, in_channels, S) to logits (B, 1, S), S multiples of the stride."""
        depth = self.levels - 1 if self.training else self.depth
        rows: list[list[Tensor]] = []
        for i in range(depth + 1):
            x = x_BCS if i == 0 else self.pool(rows[i - 1][0])
            rows.append([self.nodes[f"{i}_0"](x)])
            for j in range(1, i + 1):  # the diagonal that level i completes
                level = i - j
                up = self.ups[f"{level}_{j}"](rows[level + 1][j - 1])
                rows[level].append(self.nodes[f"{level}_{j}"](*rows[level], up))
        if not self.training and not self.every_depth:
            return self.heads[depth - 1](rows[0][depth])
        logits = [self.heads[j - 1](rows[0][j]) for j in range(depth, 0, -1)]
        if self.training:
            logits[0] = self.surroundings(logits[0], rows[0][depth])
        return tuple(logits)

    def pruned(self, depth: int) -> UNetPlusPlus:
        """Set how many nested levels evaluation uses, 1 to all; returns itself.

        Raises:
            ValueError: `depth` is out of range.
        """
        if not 1 <= depth < self.levels:
            message = f"depth {depth} of a network with depths 1 to {self.levels - 1}"
            raise ValueError(message)
        self.depth = depth
        return self
