"""OpenVINO: the default engine, on the processor's own bfloat16 units where it has them.

The convolutions on a network's way down are marked to be computed in float32. OpenVINO rounds every
value of a network to bfloat16's eight bits or none, unless its own file format, in which one can
write a mark next to a layer, says otherwise. What the encoder rounds, all that follows inherits:
with it in float32 the masks of slice networks come from a Dice of 0.945 to 0.997 of float32's, for
a tenth more time (docs/performance.md).
"""

from __future__ import annotations

import io
import tempfile
from collections import OrderedDict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import numpy as np

from brainmets.domain.errors import BundleIncomplete
from brainmets.inference.machine import count_processors
from brainmets.models.architecture import LOGITS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import openvino as ov
    from numpy.typing import NDArray

    from brainmets.inference.engines import EngineName, NetworkFile, Precision
    from brainmets.models.architecture import AnatomyArchitecture, Architecture

__all__ = [
    "OpenVinoEngine",
    "has_bfloat16",
    "keeps_encoder",
    "read_network",
    "with_float32_encoder",
]

TICK_MS = 100
COMPILED_SHAPES = 3
"""How many input shapes stay compiled: the windows of one head need one."""


class OpenVinoEngine:
    """Runs the ONNX network with OpenVINO, compiled again for each input shape.

    In bfloat16 the encoder of a slice network stays in float32: without it, masks differ.
    Compiling takes about a tenth of a second and, against dynamic shapes, saves a tenth of
    memory and time; a cache on disk would save nothing (docs/adr/0003-openvino-first.md).
    """

    name: EngineName = "openvino"
    workspace: float = 1.08

    def __init__(
        self,
        bundle: NetworkFile,
        *,
        precision: Precision = "auto",
        threads: int | None = None,
        depth: int | None = None,
    ) -> None:
        """Read the network; nothing is compiled before the first run."""
        bfloat16 = precision == "auto" and has_bfloat16()
        self.precision = "bfloat16" if bfloat16 else "float32"
        mixed = bfloat16 and keeps_encoder(bundle.architecture)
        self.bytes_per_value = 2 if bfloat16 and not mixed else 4
        self._network = _network_of(
            bundle.onnx_path.read_bytes(),
            output=bundle.architecture.output_at(depth),
            float32_encoder=mixed,
        )
        self._settings: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": "bf16" if bfloat16 else "f32",
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": "1",
            "INFERENCE_NUM_THREADS": threads or count_processors(),
        }
        self._requests: OrderedDict[tuple[int, ...], ov.InferRequest] = OrderedDict()

    def run(
        self, x: NDArray[np.float32], tick: Callable[[], None] | None = None
    ) -> NDArray[np.float32]:
        """Map (B, C, *S) to logits (B, classes, *S)."""
        request = self._request(x.shape)
        request.start_async({0: np.ascontiguousarray(x)}, share_inputs=True)
        try:
            while not request.wait_for(TICK_MS):
                if tick is not None:
                    tick()
        except BaseException:
            request.cancel()  # the network must not go on reading an array that is gone
            raise
        return np.array(request.get_output_tensor(0).data, dtype=np.float32)

    def forget(self) -> None:
        """Drop every compiled shape with its buffers; the next run compiles again."""
        self._requests.clear()

    def _request(self, shape: tuple[int, ...]) -> ov.InferRequest:
        if shape in self._requests:
            self._requests.move_to_end(shape)
            return self._requests[shape]
        while len(self._requests) >= COMPILED_SHAPES:
            self._requests.popitem(last=False)
        network = self._network()
        network.reshape(list(shape))
        request = _core().compile_model(network, "CPU", self._settings).create_infer_request()
        self._requests[shape] = request
        return request


def read_network(onnx: bytes, output: str = LOGITS) -> ov.Model:
    """Parse an ONNX network without touching disk or network, down to one of its outputs.

    Raises:
        BundleIncomplete: it has no such output.
    """
    network = _core().read_model(io.BytesIO(onnx))
    for result in network.get_results():
        if output not in result.input_value(0).get_names():
            network.remove_result(result)
    if not network.get_results():
        raise BundleIncomplete(
            f"an ONNX network without the output {output}",
            expected="one for each depth, as brainmets has written them since November 2026",
            remedy="leave the depth out, or export the bundle again",
        )
    return network


def _network_of(onnx: bytes, *, output: str, float32_encoder: bool) -> Callable[[], ov.Model]:
    """Return what parses the network again, for each input shape."""
    if not float32_encoder:
        return partial(read_network, onnx, output)
    xml, weights = with_float32_encoder(read_network(onnx, output))

    def read() -> ov.Model:
        import openvino as ov

        tensor = ov.Tensor(np.frombuffer(weights, dtype=np.uint8))
        return _core().read_model(xml, tensor)

    return read


def keeps_encoder(architecture: Architecture | AnatomyArchitecture) -> bool:
    """Say whether a network's encoder must stay in float32 for its masks to stay the same."""
    return architecture.dims == 2


def has_bfloat16() -> bool:
    """Say whether the processor multiplies bfloat16 natively."""
    return "BF16" in _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


_CORES: list[ov.Core] = []


def _core() -> ov.Core:
    """Return the process's one OpenVINO core."""
    if not _CORES:
        import openvino as ov

        _CORES.append(ov.Core())
    return _CORES[0]


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
