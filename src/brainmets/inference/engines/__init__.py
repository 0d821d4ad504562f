"""The programs that run a network, behind one small interface."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol, get_args

from brainmets.domain.errors import EngineMissing, OptionError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from brainmets.models.architecture import AnatomyArchitecture, Architecture

__all__ = ["ENGINES", "PACKAGES", "Engine", "EngineName", "NetworkFile", "Precision", "make_engine"]

EngineName = Literal["openvino", "onnxruntime", "pytorch"]
Precision = Literal["auto", "float32"]
"""`auto` takes bfloat16 where the processor multiplies it natively, float32 elsewhere."""

EXTRAS = {"openvino": "openvino", "onnxruntime": "onnxruntime", "pytorch": "train"}
"""The optional dependency that brings each engine."""

PACKAGES: Mapping[EngineName, str] = {
    "openvino": "openvino",
    "onnxruntime": "onnxruntime",
    "pytorch": "torch",
}
"""The distribution that each engine comes from."""

ENGINES: tuple[EngineName, ...] = get_args(EngineName)


class NetworkFile(Protocol):
    """A verified bundle, as far as an engine needs it."""

    @property
    def name(self) -> str:
        """What the bundle is called."""
        ...

    @property
    def onnx_path(self) -> Path:
        """The network with its whole state."""
        ...

    @property
    def architecture(self) -> Architecture | AnatomyArchitecture:
        """How PyTorch builds it."""
        ...


class Engine(Protocol):
    """A network ready to run; all engines agree to 1e-3 in probability at float32.

    `bytes_per_value` and `workspace` turn a network's live values into the memory that this
    engine takes: `live values × bytes_per_value × workspace`.
    """

    name: EngineName
    precision: str
    bytes_per_value: int
    workspace: float

    def run(
        self, x: NDArray[np.float32], tick: Callable[[], None] | None = None
    ) -> NDArray[np.float32]:
        """Map (B, C, *S) to logits (B, classes, *S), S multiples of the network's stride.

        `tick` is called a few times a second where the engine can; what it raises ends the
        run.
        """
        ...

    def forget(self) -> None:
        """Give back the memory that is kept for the next input of a shape seen before."""
        ...


def make_engine(
    name: str,
    bundle: NetworkFile,
    *,
    precision: Precision = "auto",
    threads: int | None = None,
    depth: int | None = None,
) -> Engine:
    """Return the engine called `name`, its network loaded from a verified bundle.

    `depth` prunes a U-Net++ to its outer nested levels, from 1: faster, shallower.

    Raises:
        EngineMissing: its package is not installed.
        OptionError: there is no such engine, precision or depth, or fewer than one thread.
    """
    if name not in ENGINES or precision not in get_args(Precision):
        raise OptionError(
            f"engine {name!r} at precision {precision!r}",
            expected=f"{', '.join(ENGINES)} at {', '.join(get_args(Precision))}",
            remedy="choose one of these",
        )
    if threads is not None and threads < 1:
        raise OptionError(f"{threads} threads", expected="at least 1", remedy="leave it out")
    depths = bundle.architecture.depths
    if depth is not None and not (1 <= depth <= depths > 1):
        raise OptionError(
            f"depth {depth} for {bundle.name}",
            expected=f"1 to {depths}" if depths > 1 else "no depth: only U-Net++ can be pruned",
            remedy="choose another, or leave it out",
        )
    try:
        match name:
            case "openvino":
                from brainmets.inference.engines.openvino import OpenVinoEngine

                return OpenVinoEngine(bundle, precision=precision, threads=threads, depth=depth)
            case "onnxruntime":
                from brainmets.inference.engines.onnxruntime import OnnxRuntimeEngine

                return OnnxRuntimeEngine(bundle, threads=threads, depth=depth)
            case _:
                from brainmets.inference.engines.pytorch import PyTorchEngine

                return PyTorchEngine(bundle, threads=threads, depth=depth)
    except ModuleNotFoundError as error:
        raise EngineMissing(
            f"the engine {name} without its package {error.name}",
            expected="the package to be installed",
            remedy=f"run `pip install brainmets[{EXTRAS[name]}]`, or choose the engine openvino",
        ) from error
