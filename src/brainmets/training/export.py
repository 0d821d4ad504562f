"""A trained network as a bundle: ONNX and safetensors in half precision, plan, card."""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors.torch import save

from brainmets.inference import write_bundle
from brainmets.models.registry import build

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import onnx
    from pydantic import JsonValue
    from torch import Tensor, nn

    from brainmets.inference import Bundle, OperatingPoint
    from brainmets.training.config import Recipe

__all__ = ["export_bundle", "half_weights"]

OPSET = 18


def half_weights(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Round convolution weights to half precision; normalisation and biases stay in float32.

    Half the size on disk. Every engine computes from the same rounded weights.
    """
    return {
        name: value.half().contiguous() if value.ndim > 1 else value.clone()
        for name, value in state.items()
        if not name.endswith("num_batches_tracked")
    }


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
    weights = half_weights(state)
    network = build(recipe.network)
    network.load_state_dict({n: v.float() for n, v in weights.items()}, strict=False)
    return write_bundle(
        root,
        name=recipe.name,
        onnx=_onnx(network.eval(), recipe),
        weights=save(weights),
        plan=recipe.plan,
        architecture=recipe.network,
        operating_point=operating_point,
        card=card,
        extra=extra,
    )


def _onnx(network: nn.Module, recipe: Recipe) -> bytes:
    """Export with every size but the channels left open, weights kept in half precision."""
    import onnx

    dims = recipe.network.dims
    edge = 4 * recipe.network.stride
    example = torch.zeros(1, recipe.network.in_channels, *[edge] * dims)
    axes = {0: "batch"} | {2 + axis: f"size_{axis}" for axis in range(dims)}
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # the tracing exporter is announced to go; the other one cannot leave sizes open here yet
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            (example,),
            buffer,  # pyright: ignore[reportArgumentType]
            input_names=["image"],
            output_names=["logits"],
            dynamic_axes={"image": axes, "logits": axes},
            opset_version=OPSET,
            dynamo=False,
        )
    model = onnx.load_from_string(buffer.getvalue())
    _halve(model)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def _halve(model: onnx.ModelProto) -> None:
    """Store large float32 constants in half precision behind a Cast back to float32."""
    from onnx import TensorProto, helper, numpy_helper

    casts: list[onnx.NodeProto] = []
    for tensor in model.graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or len(tensor.dims) < 2:
            continue
        value = numpy_helper.to_array(tensor)
        half = f"{tensor.name}.half"
        casts.append(helper.make_node("Cast", [half], [tensor.name], to=TensorProto.FLOAT))
        tensor.CopyFrom(numpy_helper.from_array(value.astype(np.float16), half))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
