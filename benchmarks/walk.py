"""From a file to its written mask: time by stage and peak memory, each model, in fresh processes.

    python benchmarks/walk.py

The scan is a 240 × 240 × 155 head of 1 mm made from formulas, or those that BRAINMETS_BENCH_SCANS
names, separated by colons. "cold" is the first run with empty caches of ours, "warm" the next.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from brainmets.domain import STAGES, Geometry, HeadPhantom
from brainmets.inference import list_bundles
from brainmets.io import write_volume

SHAPE = (240, 240, 155)

ONE_RUN = """
import json, pathlib, sys, time
begin = time.perf_counter()
from brainmets.workflows.segment import SegmentOptions, segment
scan, out, model = sys.argv[1:]
options = SegmentOptions(model=model, overwrite=True)
result = segment(pathlib.Path(scan), pathlib.Path(out), options)
total = time.perf_counter() - begin
print(json.dumps({**result.timings, "total": total, "peak": result.peak_bytes}))
"""


def main() -> None:
    """Print a row per model, scan and temperature."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scans = [
            Path(scan) for scan in os.environ.get("BRAINMETS_BENCH_SCANS", "").split(":") if scan
        ]
        head = folder / "head.nii.gz"
        image, _ = HeadPhantom().render(Geometry.isotropic(SHAPE))
        write_volume(image, head)
        print("| model | scan | |", " | ".join(STAGES), "| total s | peak GB |")
        print("|---" * (5 + len(STAGES)) + "|")
        for model in list_bundles():
            if not model.endswith("3d"):
                continue
            for scan in scans or [head]:
                for temperature in ("cold", "warm"):
                    _row(model, scan, folder, temperature)
    print()


def _row(model: str, scan: Path, folder: Path, temperature: str) -> None:
    caches = folder / "caches" / model
    out = folder / "out"
    done = subprocess.run(
        [sys.executable, "-c", ONE_RUN, str(scan), str(out), model],
        env={**os.environ, "XDG_CACHE_HOME": str(caches)},
        check=True,
        capture_output=True,
        text=True,
    )
    run = json.loads(done.stdout.splitlines()[-1])
    stages = " | ".join(f"{run.get(stage, 0.0):.2f}" for stage in STAGES)
    print(
        f"| {model} | {scan.name} | {temperature} | {stages} "
        f"| {run['total']:.1f} | {run['peak'] / 1e9:.2f} |",
        flush=True,
    )


if __name__ == "__main__":
    main()
