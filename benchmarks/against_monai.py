"""One head through our networks and MONAI's: seconds and how many times faster, in turns.

    python -m benchmarks.against_monai --peers peers/bin/python [--shape 144 176 144]

Ours: the shipped bundle, whole head in one pass, OpenVINO at its own precision. Against it: MONAI's
network of the same kind and widths under `sliding_window_inference` (windows of 96, overlap 0.5,
eager float32); our own weights in PyTorch eager float32 and in ONNX Runtime, whole head too. Each
turn of another stands between two of ours. Needs about 8 GB for PyTorch's whole pass.
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np
from benchmarks.peers import MONAI, MonaiPeer, add_peer_option

from brainmets.domain.errors import EngineMissing
from brainmets.inference import Bundle, list_bundles, make_engine
from brainmets.inference.windows import round_up

WINDOW = 96


def main() -> None:
    """Print a row per model and rival."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_peer_option(parser)
    parser.add_argument("--shape", type=int, nargs=3, default=(144, 176, 144), help="head, voxels")
    parser.add_argument("--turns", type=int, default=1, help="of every rival")
    parser.add_argument("--models", nargs="+", default=None, help="all 3-D ones by default")
    arguments = parser.parse_args()
    print("| model | rival | its seconds | ours | times faster |\n|---|---|---|---|---|")
    for name in arguments.models or list_bundles():
        bundle = Bundle.load(name)
        if bundle.plan.dims == 3:
            _compare(bundle, arguments)
    print()


def _compare(bundle: Bundle, arguments: argparse.Namespace) -> None:
    shape = tuple(round_up(n, bundle.architecture.stride) for n in arguments.shape)
    x = np.random.default_rng(0).normal(size=(1, bundle.plan.channels, *shape)).astype(np.float32)
    ours = make_engine("openvino", bundle)
    ours.run(x)  # compiles
    monai = MonaiPeer(
        arguments.peers,
        network=MONAI[bundle.architecture.name],
        widths=bundle.architecture.widths,
        channels=bundle.plan.channels,
        shape=shape,
        window=WINDOW,
    )
    label = f"MONAI {MONAI[bundle.architecture.name]}, sliding window, eager float32"
    with monai:
        turns = [(monai.seconds("segment"), _seconds(ours, x)) for _ in range(arguments.turns)]
    work = monai.operations / bundle.footprint.operations
    _row(bundle, f"{label} ({work:.2f} of our operations a voxel)", turns)
    for rival in ("pytorch", "onnxruntime"):
        try:
            engine = make_engine(rival, bundle, precision="float32")
        except EngineMissing:
            continue
        turns = [(_seconds(engine, x), _seconds(ours, x)) for _ in range(arguments.turns)]
        _row(bundle, f"our weights in {rival}, whole head, float32", turns)
        del engine


def _seconds(engine: object, x: np.ndarray) -> float:
    start = time.perf_counter()
    engine.run(x)  # type: ignore[attr-defined]
    return time.perf_counter() - start


def _row(bundle: Bundle, rival: str, turns: list[tuple[float, float]]) -> None:
    theirs, ours = (statistics.median(column) for column in zip(*turns, strict=True))
    ratio = statistics.median(t / o for t, o in turns)
    print(f"| {bundle.name} | {rival} | {theirs:.1f} | {ours:.2f} | {ratio:.1f} |", flush=True)


if __name__ == "__main__":
    main()
