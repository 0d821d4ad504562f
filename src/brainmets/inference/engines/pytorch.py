"""PyTorch: the network as it was trained, on the GPU where there is one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from brainmets.domain.errors import BundleIncomplete
from brainmets.models.onnx_file import read_state
from brainmets.models.registry import build
from brainmets.models.unet_plus_plus import UNetPlusPlus

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import nn

    from brainmets.inference.engines import EngineName, NetworkFile

__all__ = ["PyTorchEngine", "trained_network"]


def trained_network(bundle: NetworkFile) -> nn.Module:
    """Build a bundle's network with its trained state, to run it or to train it on.

    Raises:
        BundleIncomplete: its file does not hold that state, as those of before November 2026.
    """
    network = build(bundle.architecture)
    # the counters of training batches are left out
    found = network.load_state_dict(read_state(bundle.onnx_path.read_bytes()), strict=False)
    missing = [key for key in found.missing_keys if not key.endswith("num_batches_tracked")]
    if missing or found.unexpected_keys:
        raise BundleIncomplete(
            f"weights of {bundle.name} that do not fit its architecture",
            expected=f"{len(network.state_dict())} tensors of {bundle.architecture.name}",
            remedy="export the bundle again",
        )
    return network


class PyTorchEngine:
    """Runs the network with PyTorch in float32 from the state in the bundle's ONNX file."""

    name: EngineName = "pytorch"
    precision: str = "float32"
    bytes_per_value: int = 4
    workspace: float = 2.5

    def __init__(
        self, bundle: NetworkFile, *, threads: int | None = None, depth: int | None = None
    ) -> None:
        """Build the network and fill in its weights."""
        if threads:
            torch.set_num_threads(threads)
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        network = trained_network(bundle)
        if isinstance(network, UNetPlusPlus):
            network.pruned(depth or network.depth)
        self._network = network.eval().to(self.device)
        # TensorFloat-32 would keep only ten bits of each factor
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False

    def run(
        self, x: NDArray[np.float32], tick: Callable[[], None] | None = None
    ) -> NDArray[np.float32]:
        """Map (B, C, *S) to logits (B, classes, *S)."""
        if tick is not None:
            tick()
        with torch.inference_mode():
            logits = self._network(torch.from_numpy(np.ascontiguousarray(x)).to(self.device))
        return logits.float().cpu().numpy()

    def forget(self) -> None:
        """Nothing to give back: PyTorch keeps no buffers on the processor."""
