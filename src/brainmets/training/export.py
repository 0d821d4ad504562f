"""A trained network as a bundle: the network with its weights, plan, card."""

from __future__ import annotations

from typing import TYPE_CHECKING

from brainmets.inference import write_bundle
from brainmets.models.onnx_file import write_onnx
from brainmets.models.registry import build
from brainmets.synthesis import Surroundings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pydantic import JsonValue
    from torch import Tensor, nn

    from brainmets.inference import Bundle, OperatingPoint
    from brainmets.training.config import Recipe

__all__ = ["export_bundle", "finished_state", "network_to_train"]


def network_to_train(recipe: Recipe) -> nn.Module:
    """Return a recipe's network with the head that training alone has, if its loss asks for it."""
    classes = len(Surroundings) if recipe.loss.surroundings_weight else 0
    return build(recipe.network, classes=classes)


def finished_state(recipe: Recipe, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return what the finished network has of a trained state: not the head of surroundings."""
    kept = build(recipe.network).state_dict()
    return {name: value for name, value in state.items() if name in kept}


def export_bundle(
    root: Path,
    *,
    recipe: Recipe,
    state: Mapping[str, Tensor],
    operating_point: OperatingPoint,
    card: str,
    extra: Mapping[str, JsonValue],
) -> Bundle:
    """Write a state dictionary as the bundle `recipe.name` into the folder `root`."""
    network = build(recipe.network)
    network.load_state_dict(dict(state), strict=False)
    return write_bundle(
        root,
        name=recipe.name,
        onnx=write_onnx(network.eval(), recipe.network),
        plan=recipe.plan,
        architecture=recipe.network,
        operating_point=operating_point,
        card=card,
        extra=extra,
    )
