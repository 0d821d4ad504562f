"""Is the mask the same: bfloat16 against float32, one thread and two, again, in a fresh process?

    python -m benchmarks.same_mask SCAN... [--models unet-plus-plus-3d ...]

A row per model and scan: the Dice of the mask in the engine's own precision with that in float32,
the largest and mean difference of the probabilities in the head, and in how many voxels the mask
differs on one thread, in a second run, and in a process of its own. `make bench` has a scan ready.
"""

from __future__ import annotations

import argparse
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from brainmets.inference import Bundle, Predictor, find_lesions, list_bundles
from brainmets.inference.machine import count_processors
from brainmets.io import read_case

if TYPE_CHECKING:
    from brainmets.domain import Case

GOAL = 0.995


def main() -> None:
    """Print a row per model and scan, and the worst."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("scans", type=Path, nargs="+", metavar="SCAN", help="NIfTI or DICOM")
    parser.add_argument("--models", nargs="+", default=None, help="all by default")
    arguments = parser.parse_args()
    print(
        "| model | scan | voxels | Dice to float32 | largest, mean difference"
        " | differ on one thread | second run | fresh process |"
    )
    print("|---" * 8 + "|")
    worst = 1.0
    for name in arguments.models or list_bundles():
        for scan in arguments.scans:
            worst = min(worst, _row(name, scan))
    print(f"\nWorst Dice {worst:.4f}; goal ≥ {GOAL}.\n")


def _row(name: str, scan: Path) -> float:
    case, bundle = read_case(scan), Bundle.load(name)
    own = Predictor(bundle)
    probability, mask = _masked(own, case)
    _, again = _masked(own, case)
    _, single = _masked(Predictor(bundle, threads=1), case)
    exact, wanted = _masked(Predictor(bundle, precision="float32"), case)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        fresh = pool.submit(_fresh, name, scan).result()
    both = np.count_nonzero(mask) + np.count_nonzero(wanted)
    dice = 2 * np.count_nonzero(mask & wanted) / both if both else 1.0
    difference = np.abs(probability - exact)
    head = difference[(probability > 0) | (exact > 0)]
    differing = [np.count_nonzero(mask != other) for other in (single, again, fresh)]
    print(
        f"| {name} ({own.engine.precision}, {count_processors()} threads) | {_label(scan)}"
        f" | {np.count_nonzero(wanted)} | {dice:.4f} | {difference.max():.3f}, {head.mean():.5f} | "
        + " | ".join(map(str, differing))
        + " |",
        flush=True,
    )
    return dice


def _masked(predictor: Predictor, case: Case) -> tuple[np.ndarray, np.ndarray]:
    prepared = predictor.bundle.plan.apply(case)
    probability = predictor.bundle.to_native(prepared, predictor.predict(prepared))
    mask, _ = find_lesions(probability, predictor.bundle.operating_point, kind=case.kind)
    return probability.data, mask.data > 0


def _fresh(name: str, scan: Path) -> np.ndarray:
    return _masked(Predictor(Bundle.load(name)), read_case(scan))[1]


def _label(scan: Path) -> str:
    """The shortest part of the path that identifies the scan."""
    return scan.name.split(".")[0]


if __name__ == "__main__":
    main()
