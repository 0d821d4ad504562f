"""What a network costs, read off its graph: multiplications and live values per voxel."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from brainmets.models.architecture import LOGITS

if TYPE_CHECKING:
    import openvino as ov

__all__ = ["Footprint", "measure_footprint"]

PROBE_EDGE = {2: 128, 3: 64}
"""Edge length of the input that the graph is laid out for; costs per voxel do not depend on it."""

IN_PLACE = frozenset({"Relu", "Add", "Subtract", "Multiply", "Divide", "Sigmoid", "Clamp"})
"""Element-wise operations that the engines fuse or compute over their input."""


class Footprint(BaseModel):
    """Costs per input voxel, channels included, for inputs of any size."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    live_values: float = Field(gt=0, description="most intermediate values alive at one time")
    operations: float = Field(gt=0, description="floating-point operations, 2 per multiply-add")
    parameters: int = Field(gt=0, description="weights of the network")


def measure_footprint(
    onnx: bytes, *, dims: int, channels: int, stride: int, output: str = LOGITS
) -> Footprint:
    """Walk the network's graph in execution order and add up what each step holds and does.

    Args:
        onnx: the network.
        dims: spatial axes of its input.
        channels: channels of its input.
        stride: sizes must be multiples of this.
        output: which of the network's outputs is wanted; what it does not need costs nothing.
    """
    from brainmets.inference.engines.openvino import read_network

    edge = max(PROBE_EDGE[dims], 2 * stride)
    network = read_network(onnx, output)
    network.reshape([1, channels, *(edge,) * dims])
    steps = [op for op in network.get_ordered_ops() if not _is_constant(op)]
    voxels = edge**dims
    return Footprint(
        live_values=_peak_live(steps) / voxels,
        operations=sum(_operations(op) for op in steps) / voxels,
        parameters=sum(
            math.prod(op.get_output_shape(0))
            for op in network.get_ordered_ops()
            if op.get_type_name() == "Constant" and op.get_element_type().is_real()
        ),
    )


def _is_constant(op: ov.Node) -> bool:
    """Whether the value is known without an input: weights and the shape arithmetic."""
    if op.get_type_name() in {"Constant", "ShapeOf"}:
        return True
    inputs = [op.input_value(i).get_node() for i in range(op.get_input_size())]
    return bool(inputs) and all(_is_constant(i) for i in inputs)


def _peak_live(steps: list[ov.Node]) -> int:
    """Most values alive at once, each from the step that makes it to the last that reads it."""
    owner: dict[str, str] = {}
    size: dict[str, int] = {}
    last: dict[str, int] = {}
    made: dict[int, list[str]] = {}
    for number, op in enumerate(steps):
        name = op.get_name()
        sources = [op.input_value(i).get_node().get_name() for i in range(op.get_input_size())]
        sources = [owner[s] for s in sources if s in owner]
        for source in sources:
            last[source] = number
        if op.get_type_name() in IN_PLACE and sources:
            owner[name] = max(sources, key=lambda s: size[s])
            continue
        owner[name] = name
        size[name] = math.prod(op.get_output_shape(0))
        last[name] = number
        made.setdefault(number, []).append(name)
    ends: dict[int, list[str]] = {}
    for name, number in last.items():
        ends.setdefault(number, []).append(name)
    alive = peak = 0
    for number in range(len(steps)):
        alive += sum(size[name] for name in made.get(number, ()))
        peak = max(peak, alive)
        alive -= sum(size[name] for name in ends.get(number, ()))
    return peak


def _operations(op: ov.Node) -> int:
    """Floating-point operations of the convolutions; the rest is below one part in a hundred."""
    kind = op.get_type_name()
    if kind == "Convolution":
        weights = op.input_value(1).get_shape()  # (outputs, inputs, kernel)
        return 2 * math.prod(op.get_output_shape(0)) * math.prod(list(weights)[1:])
    if kind == "ConvolutionBackpropData":
        weights = op.input_value(1).get_shape()  # (inputs, outputs, kernel)
        return 2 * math.prod(op.input_value(0).get_shape()) * math.prod(list(weights)[1:])
    return 0
