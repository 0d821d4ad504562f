"""A small cohort: references, scans, and models of known quality."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from brainmets.domain import Geometry, Mask, Volume
from brainmets.io import write_mask, write_volume

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["GRID", "write_cohort", "write_model"]

GRID = Geometry(shape=(40, 40, 24), affine=np.diag([1.0, 1.0, 1.5, 1.0]))
RADII = (1.2, 2.0, 3.2, 5.5)


def write_cohort(root: Path, cases: int, *, images: bool = False) -> None:
    """Write references `P000-0.nii.gz` …: four lesions a case, 2 to 11 mm."""
    (root / "reference").mkdir(parents=True)
    for number in range(cases):
        mask = _reference(number)
        write_mask(Mask(data=mask, geometry=GRID), root / "reference" / f"P{number:03d}-0.nii.gz")
        if images:
            noise = np.random.default_rng(number).normal(100, 8, GRID.shape)
            image = Volume(data=(noise + 90 * (mask > 0)).astype(np.float32), geometry=GRID)
            (root / "images").mkdir(exist_ok=True)
            write_volume(image, root / "images" / f"P{number:03d}-0.nii.gz")


def write_model(
    root: Path, name: str, cases: int, *, smallest_mm: float, shift: int, alarms: float
) -> None:
    """Write predictions that miss lesions below a radius, are shifted, and invent some."""
    for number in range(cases):
        rng = np.random.default_rng(1000 + number)
        data = np.zeros(GRID.shape, np.uint8)
        reference = _reference(number)
        for index, radius in enumerate(RADII, start=1):
            if radius >= smallest_mm:
                data[np.roll(reference == index, shift, 0)] = 1
        for _ in range(rng.poisson(alarms)):
            i, j, k = (int(rng.integers(1, n - 3)) for n in GRID.shape)
            data[i : i + 2, j : j + 2, k : k + 2] = 1
        folder = root / name / f"P{number:03d}-0"
        folder.mkdir(parents=True)
        write_mask(Mask(data=data, geometry=GRID), folder / "mask.nii.gz")
        probability = np.where(data > 0, rng.uniform(0.5, 1.0, GRID.shape), 0.1)
        probability[reference > 0] = np.maximum(probability[reference > 0], 0.9)
        volume = Volume(data=probability.astype(np.float32), geometry=GRID)
        write_volume(volume, folder / "probability.nii.gz")


def _reference(number: int) -> np.ndarray:
    rng = np.random.default_rng(number)
    data = np.zeros(GRID.shape, np.uint8)
    corners = ((10, 10), (10, 29), (29, 10), (29, 29))
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in GRID.shape), indexing="ij"), axis=-1)
    for index, (radius, (i, j)) in enumerate(zip(RADII, corners, strict=True), start=1):
        centre = np.array([i, j, 11]) + rng.uniform(-1, 1, 3)
        distance = np.linalg.norm((grid - centre) * np.array(GRID.spacing_mm), axis=-1)
        data[distance <= radius + rng.uniform(0, 0.5)] = index
    return data
