"""The networks by name: a literal mapping."""

from __future__ import annotations

from typing import TYPE_CHECKING

from brainmets.models.anatomy_unet import AnatomyUNet
from brainmets.models.architecture import AnatomyArchitecture
from brainmets.models.attention_unet import AttentionUNet
from brainmets.models.blocks import initialise
from brainmets.models.unet_plus_plus import UNetPlusPlus

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn

    from brainmets.models.architecture import Architecture, ArchitectureName

__all__ = ["NETWORKS", "build", "shared_state"]

NETWORKS: Mapping[ArchitectureName, type[AttentionUNet | UNetPlusPlus]] = {
    "attention-unet": AttentionUNet,
    "unet-plus-plus": UNetPlusPlus,
}

LESION_PRIOR = 0.01
"""Share of lesion voxels that a new network assumes."""


def build(architecture: Architecture | AnatomyArchitecture, *, classes: int = 0) -> nn.Module:
    """Return the network, freshly initialised; logits out, no sigmoid inside.

    `classes` of what surrounds lesions are told apart in training only, by a head that a
    finished network no longer has.
    """
    if isinstance(architecture, AnatomyArchitecture):
        return AnatomyUNet(architecture.classes, architecture.widths, architecture.detail)
    network = NETWORKS[architecture.name](architecture, classes=classes)
    initialise(network, prior=LESION_PRIOR)
    return network


def shared_state(
    state: Mapping[str, Tensor], given: Architecture, wanted: Architecture
) -> dict[str, Tensor]:
    """Return what of a network's state another can start from, under its own names.

    All of it for the same architecture; the encoder alone for the other network of the same
    dimensions, channels and widths, which both build from the same blocks; else nothing.
    """
    if given == wanted:
        return dict(state)
    if given.model_copy(update={"name": wanted.name}) != wanted:
        return {}
    ours, theirs = NETWORKS[given.name].ENCODER, NETWORKS[wanted.name].ENCODER
    prefixes = {ours.format(level=i): theirs.format(level=i) for i in range(len(given.widths))}
    return {
        prefixes[prefix] + key.removeprefix(prefix): value
        for key, value in state.items()
        for prefix in prefixes
        if key.startswith(prefix)
    }
