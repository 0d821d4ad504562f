"""What a U-Net++ pruned to fewer nested levels costs and finds: `segment --depth`.

    python benchmarks/pruning.py [--data ../shared/data] [--models unet-plus-plus-3d …]

Each depth answers the cases that the network's own recipe holds out (every fourth slice), at the
network's own operating point, which was chosen for the whole depth. Seconds are the processor's on
one thread, the network and its sigmoid alone, for a case.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import numpy as np

from brainmets.evaluation import dice
from brainmets.inference import Bundle, Predictor, find_lesions
from brainmets.workflows.reference_cases import ReferenceCase, held_out, sources_for, sources_of

SLICE_STRIDE = 4


def main() -> None:
    """Print a row per network and depth."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument(
        "--models", nargs="+", default=["unet-plus-plus-3d", "unet-plus-plus-2d"], metavar="NAME"
    )
    arguments = parser.parse_args()
    print(
        "| network | depth | operations a voxel | s a case | Dice | components a case |\n"
        "|---|---|---|---|---|---|"
    )
    for name in arguments.models:
        bundle = Bundle.load(name)
        sources = sources_for(bundle, sources_of(bundle))
        cases = list(held_out(sources, arguments.data, "test", bundle.plan))
        cases = cases[:: SLICE_STRIDE if bundle.plan.dims == 2 else 1]
        for depth in range(bundle.architecture.depths, 0, -1):
            predictor = Predictor(bundle, threads=1, depth=depth)
            rows = [_one(predictor, case) for case in cases]
            seconds, found, components = (list(column) for column in zip(*rows, strict=True))
            print(
                f"| {name} | {depth} | {predictor.footprint.operations:,.0f}"
                f" | {statistics.median(seconds):.2f} | {np.mean(found):.3f}"
                f" | {np.mean(components):.2f} |",
                flush=True,
            )


def _one(predictor: Predictor, case: ReferenceCase) -> tuple[float, float, int]:
    bundle = predictor.bundle
    prepared = bundle.plan.apply(case.case)
    start = time.process_time()
    probability = predictor.predict(prepared)
    seconds = time.process_time() - start
    native = bundle.to_native(prepared, probability)
    mask, lesions = find_lesions(native, bundle.operating_point, kind=case.case.kind)
    counted = True if case.ignored is None else ~case.ignored
    return seconds, dice(case.truth.foreground, mask.foreground & counted), len(lesions)


if __name__ == "__main__":
    main()
