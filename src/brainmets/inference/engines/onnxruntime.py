"""ONNX Runtime: the same file on processors and accelerators that OpenVINO does not serve."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnxruntime as ort

from brainmets.inference.machine import count_processors

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from brainmets.inference.engines import EngineName, NetworkFile

__all__ = ["OnnxRuntimeEngine"]

PREFERRED_PROVIDERS = ("CUDAExecutionProvider", "CoreMLExecutionProvider", "CPUExecutionProvider")
ERRORS_ONLY = 3


class OnnxRuntimeEngine:
    """Runs the ONNX network with ONNX Runtime in float32, on the first provider there is."""

    name: EngineName = "onnxruntime"
    precision: str = "float32"
    bytes_per_value: int = 4
    workspace: float = 1.35

    def __init__(
        self, bundle: NetworkFile, *, threads: int | None = None, depth: int | None = None
    ) -> None:
        """Load the network."""
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads or count_processors()
        options.inter_op_num_threads = 1
        options.log_severity_level = ERRORS_ONLY
        options.use_deterministic_compute = True
        options.enable_cpu_mem_arena = False  # the arena keeps its largest block for ever
        there = set(ort.get_available_providers())
        self._session = ort.InferenceSession(
            bundle.onnx_path.read_bytes(),
            options,
            providers=[name for name in PREFERRED_PROVIDERS if name in there],
        )
        self._input = self._session.get_inputs()[0].name
        self._output = bundle.architecture.output_at(depth)

    def run(
        self, x: NDArray[np.float32], tick: Callable[[], None] | None = None
    ) -> NDArray[np.float32]:
        """Map (B, C, *S) to logits (B, classes, *S)."""
        if tick is not None:
            tick()
        outputs = self._session.run([self._output], {self._input: np.ascontiguousarray(x)})
        return np.asarray(outputs[0], dtype=np.float32)

    def forget(self) -> None:
        """Nothing to give back: without its arena, the runtime keeps no buffers."""
