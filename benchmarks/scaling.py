"""Does cost grow in proportion? Seconds and memory by voxels; 1, 4, 16 cases in one engine.

    python -m benchmarks.scaling [--model attention-unet-3d] [--threads 1]

Analytic phantoms are segmented from file to file: one of each size in a process of its own, then
many of one size through one warm engine. On one thread the seconds are the processor's, which other
programs do not slow. The last column is each row's share of what a straight line through the first
and the last row says.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
from pathlib import Path

from brainmets.domain import Geometry, HeadPhantom
from brainmets.inference.machine import count_processors
from brainmets.io import write_volume

SHAPES = tuple((164, 200, slices) for slices in (48, 80, 112, 144, 176))
"""A head just fills the slices, whatever their number: only the voxels become more."""

CASES = (1, 4, 16)

RUN = """
import json, pathlib, sys, time
scan, out, model, threads, *marks = sys.argv[1:]
clock = time.process_time if threads == "1" else time.perf_counter
from brainmets.inference.machine import peak_memory
from brainmets.workflows.segment import SegmentOptions, Segmenter
begin = clock()
segmenter = Segmenter(SegmentOptions(model=model, overwrite=True, threads=int(threads)))
for number in range(1, int(marks[-1]) + 1):
    segmenter.run(pathlib.Path(scan), pathlib.Path(out))
    if str(number) in marks:
        print(json.dumps([number, clock() - begin, peak_memory()]), flush=True)
"""


def main() -> None:
    """Print both curves."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="attention-unet-3d")
    parser.add_argument("--threads", type=int, default=count_processors())
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        heads = [_head(folder, shape) for shape in SHAPES]
        rows = []
        for shape, head in zip(SHAPES, heads, strict=True):
            (_, seconds, peak), *_ = _run(head, folder, arguments, [1])
            rows.append((math.prod(shape) / 1e6, seconds, peak / 1e9))
        _table("million voxels", rows)
        cases = _run(heads[0], folder, arguments, CASES)
        _table("cases", [(number, seconds, peak / 1e9) for number, seconds, peak in cases])


def _head(folder: Path, shape: tuple[int, int, int]) -> Path:
    image, _ = HeadPhantom().render(Geometry.isotropic(shape, spacing_mm=1.0))
    return write_volume(image, folder / f"{shape[2]}.nii.gz")


def _run(
    head: Path, folder: Path, arguments: argparse.Namespace, marks: tuple[int, ...] | list[int]
) -> list[tuple[float, float, float]]:
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(head), str(folder / "out"), arguments.model]
        + [str(number) for number in (arguments.threads, *marks)],
        check=True,
        capture_output=True,
        text=True,
    )
    return [tuple(json.loads(line)) for line in done.stdout.splitlines()]


def _table(quantity: str, rows: list[tuple[float, float, float]]) -> None:
    print(f"| {quantity} | s | s each | peak GB | s, of the straight line |\n|---|---|---|---|---|")
    (first, first_s, _), (last, last_s, _) = rows[0], rows[-1]
    slope = (last_s - first_s) / (last - first)
    for amount, seconds, peak in rows:
        line = first_s + slope * (amount - first)
        print(
            f"| {amount:.3g} | {seconds:.2f} | {seconds / amount:.3f} | {peak:.2f}"
            f" | {seconds / line:.2f} |",
            flush=True,
        )
    print()


if __name__ == "__main__":
    main()
