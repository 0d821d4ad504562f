"""How near the networks run to what the processor can do, and to the other engines.

The ceiling is a dense matrix product in bfloat16, as large as the machine multiplies fastest. It
and each network take turns within one process, so that a busy machine slows both; the medians of
the turns are compared. On one thread (`--threads 1`) both are timed by the processor's clock, which
leaves other programs' turns out. `python benchmarks/network_vs_ceiling.py`.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import TYPE_CHECKING

import numpy as np

from brainmets.domain.errors import EngineMissing
from brainmets.inference import ENGINES, Bundle, list_bundles, make_engine
from brainmets.inference.machine import count_processors

if TYPE_CHECKING:
    from collections.abc import Callable

    from brainmets.inference import Engine

TURNS = 5
EDGE = 2048
REPEATS = 4
SIZES = {2: (256, 256), 3: (128, 128, 128)}
SLICES = 8
"""As many as the predictor runs at once."""

GOAL = 0.7


def main() -> None:
    """Print a row per model, engine and precision."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=count_processors())
    parser.add_argument("--models", nargs="+", default=None, help="all by default")
    parser.add_argument("--engines", nargs="+", default=ENGINES)
    arguments = parser.parse_args()
    threads = arguments.threads
    clock = time.process_time if threads == 1 else time.perf_counter
    ceiling = _ceiling(threads, clock)
    print("| model | engine | precision | GFLOP/s | ceiling GFLOP/s | share of it |")
    print("|---|---|---|---|---|---|")
    for name in arguments.models or list_bundles():
        bundle = Bundle.load(name)
        for engine in arguments.engines:
            for precision in ("auto", "float32") if engine == "openvino" else ("float32",):
                try:
                    running = make_engine(engine, bundle, precision=precision, threads=threads)
                except EngineMissing:
                    continue
                _row(bundle, running, ceiling, clock)
    print(f"\n{threads} threads. Goal: openvino at its own precision ≥ {GOAL} of the ceiling.\n")


def _row(
    bundle: Bundle, engine: Engine, ceiling: Callable[[], float], clock: Callable[[], float]
) -> None:
    size = SIZES[bundle.plan.dims]
    batch = SLICES if bundle.plan.dims == 2 else 1
    x = np.random.default_rng(0).normal(size=(batch, bundle.plan.channels, *size))
    x = x.astype(np.float32)
    operations = bundle.footprint.operations * batch * float(np.prod(size))
    engine.run(x)  # compiles
    ceilings: list[float] = []
    speeds: list[float] = []
    for _ in range(TURNS):
        ceilings.append(ceiling())
        start = clock()
        engine.run(x)
        speeds.append(operations / (clock() - start))
    share = statistics.median(s / c for s, c in zip(speeds, ceilings, strict=True))
    print(
        f"| {bundle.name} | {engine.name} | {engine.precision}"
        f" | {statistics.median(speeds) / 1e9:.0f} | {statistics.median(ceilings) / 1e9:.0f}"
        f" | {share:.2f} |",
        flush=True,
    )


def _ceiling(threads: int, clock: Callable[[], float]) -> Callable[[], float]:
    """Return a function that measures the operations a second of a bfloat16 matrix product."""
    import openvino as ov
    from openvino import opset13 as ops

    left = ops.parameter([EDGE, EDGE], np.float32)
    weights = np.random.default_rng(0).normal(size=(EDGE, EDGE)).astype(np.float32)
    model = ov.Model(
        [ops.matmul(left, ops.constant(weights), transpose_a=False, transpose_b=False)], [left]
    )
    settings = {
        "INFERENCE_PRECISION_HINT": "bf16",
        "NUM_STREAMS": "1",
        "INFERENCE_NUM_THREADS": threads,
    }
    request = ov.Core().compile_model(model, "CPU", settings).create_infer_request()
    x = np.ones((EDGE, EDGE), dtype=np.float32)

    def measure() -> float:
        seconds: list[float] = []
        for _ in range(REPEATS):
            start = clock()
            request.infer({0: x}, share_inputs=True, share_outputs=True)
            seconds.append(clock() - start)
        return 2.0 * EDGE**3 / statistics.median(seconds)

    measure()
    return measure


if __name__ == "__main__":
    main()
