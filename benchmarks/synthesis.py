"""Time to make a synthetic head, by stage.

    python benchmarks/synthesis.py LABEL_MAP [--heads 8]

Prints processor seconds (one thread) beside wall seconds: on a shared machine only the former
compare. The first line is the anatomy of the label map, worked out once and then kept.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from brainmets.io import read_mask
from brainmets.synthesis import Anatomy, Scan, SynthesisConfig, insert_lesions, synthesize_head


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("label_map", type=Path)
    parser.add_argument("--heads", type=int, default=8)
    chosen = parser.parse_args()
    labels = read_mask(chosen.label_map)
    rows: list[tuple[str, float, float, str]] = []

    def timed(what: str, make):
        wall, processor = time.perf_counter(), time.process_time()
        made = make()
        rows.append((what, time.process_time() - processor, time.perf_counter() - wall, ""))
        return made

    anatomy = timed("anatomy, once per label map", lambda: Anatomy.of(labels))
    synthesize_head(anatomy, None, 0)  # imports and tables
    for name, share in (("whole head", 0.0), ("stripped head", 1.0)):
        config = SynthesisConfig(stripped_share=share)
        spent, voxels = [], []
        for seed in range(chosen.heads):
            case = timed(
                "", lambda config=config, seed=seed: synthesize_head(anatomy, config, seed)
            )
            spent.append(rows.pop()[1:3])
            voxels.append(case.image.data.size / 1e6)
        processor, wall = np.median(spent, axis=0)
        rows.append(
            (name, processor, wall, f"median of {chosen.heads}, {np.median(voxels):.1f} M voxels")
        )
    scan = timed("measuring a scan, once", lambda: Scan.of(case.image))
    timed("insertion into it", lambda: insert_lesions(scan, None, None, 1))
    print("| what | processor s | wall s | |\n|---|---|---|---|")
    for what, processor, wall, note in rows:
        print(f"| {what} | {processor:.2f} | {wall:.2f} | {note} |")


if __name__ == "__main__":
    main()
