"""A network as one ONNX file that holds its whole state, and the state read back from it.

Batch normalisation stays as it was trained (engines fold it into the convolutions themselves), and
heads that only training uses are in the file unused. So the file is enough to go on training from.
U-Net++ has an output for every nested depth.
"""

from __future__ import annotations

import io
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import torch

from brainmets.models.unet_plus_plus import UNetPlusPlus

if TYPE_CHECKING:
    from collections.abc import Generator

    import onnx
    from torch import Tensor, nn

    from brainmets.models.architecture import AnatomyArchitecture, Architecture

__all__ = ["read_state", "write_onnx"]

OPSET = 18
HALF = ".half"
"""Ending of the name of a constant kept in half precision."""


def write_onnx(network: nn.Module, architecture: Architecture | AnatomyArchitecture) -> bytes:
    """Return a network in evaluation mode as ONNX, every size but the channels left open.

    Convolution weights are kept in half precision behind a Cast back to float32: half the bytes,
    and every engine computes from the same rounded weights.
    """
    import onnx

    edge = 4 * architecture.stride
    example = torch.zeros(1, architecture.in_channels, *[edge] * architecture.dims)
    axes = {0: "batch"} | {2 + axis: f"size_{axis}" for axis in range(architecture.dims)}
    outputs = [architecture.output_at(depth) for depth in range(architecture.depths, 0, -1)]
    buffer = io.BytesIO()
    with _every_depth(network), warnings.catch_warnings():
        # the tracing exporter is announced to go; the other one cannot leave sizes open here yet
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            (example,),
            buffer,  # pyright: ignore[reportArgumentType]
            input_names=["image"],
            output_names=outputs,
            dynamic_axes=dict.fromkeys(("image", *outputs), axes),
            opset_version=OPSET,
            dynamo=False,
            training=torch.onnx.TrainingMode.PRESERVE,  # else normalisation is folded away
            do_constant_folding=False,
        )
    model = onnx.load_from_string(buffer.getvalue())
    _keep_unused(model, network.state_dict())
    _halve(model)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def read_state(onnx_file: bytes) -> dict[str, Tensor]:
    """Return the state dictionary that `write_onnx` kept, in float32, counters left out."""
    import onnx
    from onnx import numpy_helper

    graph = onnx.load_from_string(onnx_file).graph
    return {
        tensor.name.removesuffix(HALF): torch.from_numpy(
            numpy_helper.to_array(tensor).astype(np.float32)
        )
        for tensor in graph.initializer
    }


@contextmanager
def _every_depth(network: nn.Module) -> Generator[None, None, None]:
    """Have a network that answers at several depths answer at all of them."""
    if not isinstance(network, UNetPlusPlus):
        yield
        return
    network.every_depth = True
    try:
        yield
    finally:
        network.every_depth = False


def _keep_unused(model: onnx.ModelProto, state: dict[str, Tensor]) -> None:
    """Add what evaluation does not use, such as the heads of deep supervision.

    And what the exporter took for a copy, since another tensor had the same values.
    """
    from onnx import numpy_helper

    graph = model.graph
    copies = [node for node in graph.node if node.output[0] in state]
    for node in copies:
        graph.node.remove(node)
    there = {tensor.name for tensor in graph.initializer}
    for name, value in state.items():
        if value.is_floating_point() and name not in there:
            graph.initializer.append(numpy_helper.from_array(value.float().numpy(), name))


def _halve(model: onnx.ModelProto) -> None:
    """Store weights of two axes and more in half precision, behind a Cast where they are used."""
    from onnx import TensorProto, helper, numpy_helper

    used = {name for node in model.graph.node for name in node.input}
    casts: list[onnx.NodeProto] = []
    for tensor in model.graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or len(tensor.dims) < 2:
            continue
        name = tensor.name
        value = numpy_helper.to_array(tensor).astype(np.float16)
        tensor.CopyFrom(numpy_helper.from_array(value, name + HALF))
        if name in used:
            casts.append(helper.make_node("Cast", [name + HALF], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
