"""From a file to its written mask: time by stage and peak memory, each model, in fresh processes.

    python benchmarks/pipeline.py

The scan is a 240 × 240 × 155 head of 1 mm made from formulas, or those that BRAINMETS_BENCH_SCANS
names, separated by colons. "cold" is a fresh process, imports and compiling included; "warm" the
next head in it. The last columns hold the whole path against the network's own time, which is
`OpenVinoEngine.run`. With `--threads 1` every figure is of the processor's clock, which other
programs do not slow; `--memory 1GB` is the low-memory setting.
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
from brainmets.inference.machine import count_processors
from brainmets.io import write_volume

SHAPE = (240, 240, 155)

ONE_RUN = """
import json, pathlib, sys, time
scan, out, model, threads, memory = sys.argv[1:]
clock = time.process_time if threads == "1" else time.perf_counter
begin = clock()
from brainmets.cli.options import parse_memory
from brainmets.inference.engines import openvino
from brainmets.inference.machine import forget_peak_memory
from brainmets.workflows import segment
class Clock: perf_counter = staticmethod(clock)
segment.time = Clock
network = 0.0
run = openvino.OpenVinoEngine.run
def timed(*arguments):
    global network
    start = clock()
    answer = run(*arguments)
    network += clock() - start
    return answer
openvino.OpenVinoEngine.run = timed
options = segment.SegmentOptions(
    model=model, overwrite=True, threads=int(threads), memory_bytes=parse_memory(memory or None)
)
segmenter = segment.Segmenter(options)
for temperature in ("cold", "warm"):
    result = segmenter.run(pathlib.Path(scan), pathlib.Path(out))
    found = {**result.timings, "total": clock() - begin}
    print(json.dumps([temperature, found, network, result.peak_bytes]))
    begin, network = clock(), 0.0
"""


def main() -> None:
    """Print a row per model, scan and temperature."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=count_processors())
    parser.add_argument("--memory", default="", help="limit, as 1GB")
    parser.add_argument("--models", nargs="+", default=None, help="the 3-D ones by default")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scans = [
            Path(scan) for scan in os.environ.get("BRAINMETS_BENCH_SCANS", "").split(":") if scan
        ]
        head = folder / "head.nii.gz"
        image, _ = HeadPhantom().render(Geometry.isotropic(SHAPE))
        write_volume(image, head)
        print(
            "| model | scan | |",
            " | ".join(STAGES),
            "| total s | of it network | total / network | peak GB |",
        )
        print("|---" * (7 + len(STAGES)) + "|")
        for model in arguments.models or [name for name in list_bundles() if name.endswith("3d")]:
            for scan in scans or [head]:
                _rows(model, scan, folder / "out", arguments)
    print()


def _rows(model: str, scan: Path, out: Path, arguments: argparse.Namespace) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            ONE_RUN,
            str(scan),
            str(out),
            model,
            str(arguments.threads),
            arguments.memory,
        ],
        check=True,
        capture_output=True,
        text=True,
    )
    for line in done.stdout.splitlines():
        temperature, run, network, peak = json.loads(line)
        stages = " | ".join(f"{run.get(stage, 0.0):.2f}" for stage in STAGES)
        print(
            f"| {model} | {scan.name} | {temperature} | {stages} | {run['total']:.2f}"
            f" | {network:.2f} | {run['total'] / network:.2f} | {peak / 1e9:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
