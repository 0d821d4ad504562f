"""The networks by name: a literal mapping."""

from __future__ import annotations

from typing import TYPE_CHECKING

from brainmets.models.attention_unet import AttentionUNet
from brainmets.models.blocks import initialise
from brainmets.models.unet_plus_plus import UNetPlusPlus

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn

    from brainmets.models.architecture import Architecture, ArchitectureName

__all__ = ["NETWORKS", "build"]

NETWORKS: Mapping[ArchitectureName, type[AttentionUNet | UNetPlusPlus]] = {
    "attention-unet": AttentionUNet,
    "unet-plus-plus": UNetPlusPlus,
}

LESION_PRIOR = 0.01
"""Share of lesion voxels that a new network assumes."""


def build(architecture: Architecture) -> nn.Module:
    """Return the network, freshly initialised; logits out, no sigmoid inside."""
    network = NETWORKS[architecture.name](architecture)
    initialise(network, prior=LESION_PRIOR)
    return network
