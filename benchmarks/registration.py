"""How far registration lands from known motions of real heads, and what strangers reach.

    python -m benchmarks.registration [DATA] [--every N]

DATA (by default ../shared/data) holds gliomas/*/*t1ce*, met-00110 and mprage-dicom.zip. Each head
is moved, cut into four other grids, given noise, coil bias and a new lesion, and found again.
"""

from __future__ import annotations

import argparse
import itertools
import time
from pathlib import Path

import numpy as np
from tests.moved_heads import errors_mm, follow_up_of

from brainmets.domain import Geometry, RigidMotion, Volume
from brainmets.domain.errors import NotAligned
from brainmets.io import read_case
from brainmets.preprocessing.intensity import find_foreground
from brainmets.registration import align

GRIDS = {
    "1 mm": ((1.0, 1.0, 1.0), (0, 1, 2)),
    "4 mm slices": ((0.9, 0.9, 4.0), (0, 1, 2)),
    "cut below": ((0.8, 0.8, 1.2), (0, 1, 2)),
    "sagittal": ((1.0, 1.0, 1.0), (1, 2, 0)),
}
CUT_MM = 25.0
MOST_DEG = (25.0, 12.0, 20.0)
MOST_MM = 60.0


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("data", type=Path, nargs="?", default=Path("../shared/data"))
    options.add_argument("--every", type=int, default=1, help="take each Nth head")
    given = options.parse_args()
    paths = [
        *sorted(given.data.glob("gliomas/*/*t1ce*")),
        *given.data.glob("met-00110/*t1c.nii.gz"),
        given.data / "mprage-dicom.zip",
    ][:: given.every]
    heads = {p.parent.name: read_case(p).images["t1c"] for p in paths}
    known_motions(heads)
    strangers(heads)


def known_motions(heads: dict[str, Volume]) -> None:
    """Print the error of each head on each grid, in mm over the whole head."""
    rng = np.random.default_rng(1)
    rows: list[tuple[float, float, float]] = []
    print(f"{'head':32}{'grid':13}{'median':>7}{'max':>6}{'similar':>9}{'se mm':>7}{'s':>6}")
    for seed, (name, image) in enumerate(heads.items()):
        for kind in GRIDS:
            middle = image.geometry.to_ras_mm((np.array(image.geometry.shape) - 1) / 2)
            truth = RigidMotion.of(
                rotation_deg=rng.uniform(-1, 1, 3) * MOST_DEG,
                shift_mm=rng.uniform(-1, 1, 3) * MOST_MM,
                centre_mm=middle,
            )
            later = follow_up_of(image, truth, _grid(image, truth, kind), seed=seed)
            start = time.perf_counter()
            try:
                found = align(image, later)
            except NotAligned as refusal:
                print(f"{name:32}{kind:13}{refusal}")
                rows.append((np.inf, np.inf, time.perf_counter() - start))
                continue
            seconds = time.perf_counter() - start
            error = errors_mm(image, truth, found.motion)
            rows.append((float(np.median(error)), float(error.max()), seconds))
            print(
                f"{name:32}{kind:13}{np.median(error):7.2f}{error.max():6.2f}"
                f"{found.similarity:9.3f}{found.error_mm:7.3f}{seconds:6.1f}",
                flush=True,
            )
    medians, largest, seconds = np.array(rows).T
    print(
        f"{len(rows)} alignments: median of medians {np.median(medians):.2f} mm,"
        f" largest of all points {largest.max():.2f} mm, {np.median(seconds):.1f} s (median)\n"
    )


def strangers(heads: dict[str, Volume]) -> None:
    """Print what each head and the next, another person's, come to: all must be refused."""
    images = list(heads.values())
    refused = 0
    for one, two in itertools.pairwise(images):
        try:
            print(f"NOT refused: similarity {align(one, two).similarity:.3f}")
        except NotAligned as refusal:
            refused += 1
            print(refusal.found, flush=True)
    print(f"{refused} of {len(images) - 1} pairs of different people refused")


def _grid(image: Volume, truth: RigidMotion, kind: str) -> Geometry:
    spacing, order = GRIDS[kind]
    inside = np.argwhere(find_foreground(image.data))
    ends = np.stack((inside.min(axis=0), inside.max(axis=0)))
    corners = np.array(np.meshgrid(*ends.T)).reshape(3, -1).T
    placed = truth.apply(image.geometry.to_ras_mm(corners))
    low, high = placed.min(axis=0) - 6.0, placed.max(axis=0) + 6.0
    if kind == "cut below":
        low[2] += CUT_MM
    affine = np.eye(4)
    affine[:3, :3] = 0.0
    shape: list[int] = []
    for axis, ras in enumerate(order):
        sign = 1.0 if ras == 2 else -1.0  # as scanners store it: LPS in plane, slices upwards
        affine[ras, axis] = sign * spacing[axis]
        affine[ras, 3] = low[ras] if sign > 0 else high[ras]
        shape.append(int(np.ceil((high[ras] - low[ras]) / spacing[axis])))
    return Geometry(shape=(shape[0], shape[1], shape[2]), affine=affine)


if __name__ == "__main__":
    main()
