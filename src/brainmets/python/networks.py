"""The two networks as plain PyTorch modules, untrained or with the weights of a model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

from brainmets.domain.errors import OptionError, WrongModelKind
from brainmets.domain.extras import needing
from brainmets.inference import Bundle
from brainmets.models.architecture import Architecture

with needing("train"):
    from brainmets.inference.engines.pytorch import trained_network
    from brainmets.models import attention_unet, unet_plus_plus
    from brainmets.models.blocks import initialise
    from brainmets.models.registry import LESION_PRIOR

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence as Several
    from typing import Literal

    import torch

    from brainmets.models.architecture import ArchitectureName

    class _Base(torch.nn.Module):
        """For the type checker: the base of both networks, built from an architecture."""

        def __init__(self, architecture: Architecture) -> None: ...
else:
    _Base = object

__all__ = ["AttentionUNet", "UNetPlusPlus"]

WIDTHS = (16, 32, 64, 128)
"""Channels by level of the networks that are installed with brainmets."""


class _FromBundle(_Base):
    """Constructor and trained weights, the same for both networks."""

    network: ClassVar[ArchitectureName]
    architecture: Architecture

    def __init__(
        self, *, dims: Literal[2, 3] = 3, channels: int = 2, widths: Several[int] = WIDTHS
    ) -> None:
        """Build with random weights.

        Args:
            dims: 2 for slices, 3 for volumes.
            channels: of the input.
            widths: channels inside the network, from full resolution down.

        Raises:
            OptionError: no network can have these numbers.
        """
        numbers = _architecture(self.network, dims, channels, widths)
        super().__init__(numbers)
        self.architecture = numbers
        initialise(self, prior=LESION_PRIOR)

    @property
    def stride(self) -> int:
        """Edges of the input, in voxels, are multiples of this."""
        return self.architecture.stride

    @classmethod
    def from_pretrained(cls, name: str | os.PathLike[str] | None = None) -> Self:
        """Load the trained network of a model; nothing is downloaded.

        Args:
            name: a name from `list_models()` or a bundle's folder; by default the installed 3-D
                model of this network.

        Returns:
            The network in evaluation mode. `brainmets.prepare` makes its input.

        Raises:
            UnknownModel: there is no such model.
            WrongModelKind: the model is another network.
        """
        bundle = _bundle(name or f"{cls.network}-3d", cls.network)
        built = bundle.architecture
        network = cls(dims=built.dims, channels=built.in_channels, widths=built.widths)
        network.load_state_dict(trained_network(bundle).state_dict())
        return network.eval()


class AttentionUNet(_FromBundle, attention_unet.AttentionUNet):
    """Attention U-Net (arXiv 1804.03999) in 2-D or 3-D, a `torch.nn.Module`.

    Takes (B, channels, *S) float32 with edges that are multiples of `stride`. In evaluation mode
    it returns logits (B, 1, *S), in training a tuple of them, finest first, for deep supervision.
    """

    network = "attention-unet"


class UNetPlusPlus(_FromBundle, unet_plus_plus.UNetPlusPlus):
    """U-Net++ (arXiv 1807.10165) in 2-D or 3-D, a `torch.nn.Module`.

    Takes (B, channels, *S) float32 with edges that are multiples of `stride`. In evaluation mode
    it returns logits (B, 1, *S), in training a tuple of them, deepest first, for deep supervision.
    `pruned(depth)` uses fewer nested levels.
    """

    network = "unet-plus-plus"


def _architecture(
    name: ArchitectureName, dims: Literal[2, 3], channels: int, widths: Several[int]
) -> Architecture:
    """Return the numbers of a network.

    Raises:
        OptionError: they cannot be those of one.
    """
    from pydantic import ValidationError

    try:
        return Architecture(name=name, dims=dims, in_channels=channels, widths=tuple(widths))
    except ValidationError as error:
        first = error.errors()[0]
        raise OptionError(
            f"the network's {first['loc'][0]}: {first['msg']}",
            expected="dims of 2 or 3, at least one channel, at least two widths",
            remedy="leave them out for the sizes of the installed models",
        ) from None


def _bundle(name: str | os.PathLike[str], network: ArchitectureName) -> Bundle:
    bundle = Bundle.load(name if isinstance(name, str) else Path(name))
    if bundle.architecture.name != network or bundle.members:
        found = "several fused networks" if bundle.members else bundle.architecture.name
        raise WrongModelKind(
            f"{bundle.name} is {found}",
            expected=f"a model that is one {network}",
            remedy="choose another model, or the other class",
        )
    return bundle
