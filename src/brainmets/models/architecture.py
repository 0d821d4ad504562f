"""The numbers that define a network, readable without torch."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["AnatomyArchitecture", "Architecture", "ArchitectureName"]

ArchitectureName = Literal["attention-unet", "unet-plus-plus"]

LOGITS = "logits"
"""Name of a network's output in its ONNX file."""


class Architecture(BaseModel):
    """Which network, for how many dimensions, how wide at each level.

    `widths` lists the channels of each resolution level from full to coarsest; each level
    halves the resolution.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: ArchitectureName = Field(description="which network")
    dims: Literal[2, 3] = Field(default=3, description="slices or volumes")
    in_channels: int = Field(default=2, ge=1, description="as the plan makes them")
    widths: tuple[int, ...] = Field(
        default=(16, 32, 64, 128),
        min_length=2,
        description="channels of each level, from full resolution down",
    )

    @property
    def stride(self) -> int:
        """Edge lengths of the input must be multiples of this."""
        return 2 ** (len(self.widths) - 1)

    @property
    def depths(self) -> int:
        """How many nested depths can answer: U-Net++ at any of its own, others at one."""
        return len(self.widths) - 1 if self.name == "unet-plus-plus" else 1

    def output_at(self, depth: int | None = None) -> str:
        """Name of the ONNX output that answers at a nested depth, from 1; the deepest by default.

        Raises:
            ValueError: there is no such depth.
        """
        if depth is not None and not 1 <= depth <= self.depths:
            message = f"depth {depth} of a network with {self.depths}"
            raise ValueError(message)
        return LOGITS if depth in {None, self.depths} else f"{LOGITS}_{depth}"

    @property
    def halo(self) -> int:
        """Voxels of context after which an output no longer depends on the input.

        The receptive-field radius, rounded up to a multiple of `stride`: per level two 3-wide
        convolutions on the way down and two on the way up reach 4 voxels of that level, the
        coarsest only 2; pooling, up-convolution and the gate's interpolation reach 2 more of
        the next coarser level. Checked against gradients in the models' contract test.
        """
        levels = len(self.widths)
        reach = sum(4 * 2**level for level in range(levels - 1)) + 2 * 2 ** (levels - 1)
        reach += sum(2 * 2 ** (level + 1) for level in range(levels - 1))
        return -(-reach // self.stride) * self.stride


class AnatomyArchitecture(BaseModel):
    """The network that labels the structures of a head; one channel in, a logit a class out."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Literal["anatomy-unet"] = "anatomy-unet"
    dims: Literal[3] = 3
    in_channels: Literal[1] = 1
    classes: int = Field(gt=1, description="structures told apart, background among them")
    widths: tuple[int, ...] = Field(min_length=2, description="channels of each level")
    detail: int = Field(default=0, ge=0, description="channels of the convolution for borders")

    @property
    def stride(self) -> int:
        """Edge lengths of the input must be multiples of this."""
        return 2 ** len(self.widths)

    @property
    def depths(self) -> int:
        """It answers at one depth alone."""
        return 1

    def output_at(self, depth: int | None = None) -> str:
        """Name of its only ONNX output."""
        if depth not in {None, 1}:
            message = f"depth {depth} of a network with 1"
            raise ValueError(message)
        return LOGITS
