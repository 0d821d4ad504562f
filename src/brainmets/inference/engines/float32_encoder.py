"""Marks the convolutions on a network's way down to be computed in float32.

OpenVINO rounds every value of a network to bfloat16's eight bits or none, unless its own file
format, in which one can write a mark next to a layer, says otherwise. What the encoder rounds, all
that follows inherits: with it in float32 the masks of slice networks come from a Dice of 0.945 to
0.997 of float32's, for a tenth more time (docs/performance.md).
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from collections.abc import Iterator

    import openvino as ov

__all__ = ["with_float32_encoder"]

MARK = {"name": "precise", "version": "0"}
"""OpenVINO's attribute DisableFP16Compression; its processor plugin heeds it for bfloat16 too."""

KERNEL = 3
"""Width of the convolutions to mark; gates have narrower ones."""


def with_float32_encoder(network: ov.Model) -> tuple[bytes, bytes]:
    """Return the network as OpenVINO's own XML and weights, its encoder marked.

    Normalisation is folded into the convolutions first: done later, it would wipe out the marks.
    """
    import openvino as ov
    from openvino._offline_transformations import apply_moc_transformations

    apply_moc_transformations(network, False)  # noqa: FBT003 - takes it by position alone
    names = {op.get_friendly_name() for op in _encoder(network)}
    with tempfile.TemporaryDirectory(prefix="brainmets-") as folder:
        file = Path(folder) / "network.xml"
        ov.serialize(network, file)
        root = ET.fromstring(file.read_bytes())  # noqa: S314 - written a line above
        weights = file.with_suffix(".bin").read_bytes()
    for layer in root.iterfind("layers/layer"):
        if layer.get("name") in names:
            notes = layer.find("rt_info")
            if notes is None:
                notes = ET.Element("rt_info")
                layer.insert(0 if layer.find("data") is None else 1, notes)
            ET.SubElement(notes, "attribute", MARK)
    return ET.tostring(root), weights


def _encoder(network: ov.Model) -> Iterator[ov.Node]:
    """Yield the wide convolutions that no up-convolution comes before."""
    after_up: set[str] = set()
    for op in network.get_ordered_ops():
        kind, name = op.get_type_name(), op.get_name()
        sources = {op.input_value(i).get_node().get_name() for i in range(op.get_input_size())}
        if kind == "ConvolutionBackpropData" or sources & after_up:
            after_up.add(name)
        elif kind == "Convolution" and list(op.input_value(1).get_shape())[-1] == KERNEL:
            yield op
