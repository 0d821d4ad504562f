"""Data small enough to train on in seconds: a bright disc on grey noise, in three blocks."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["RECIPE", "losses", "write_recipe", "write_slices"]

RECIPE = """
name = "tiny-2d"

[network]
name = "{network}"
dims = 2
widths = [4, 8, 8]

[plan]
dims = 2
canvas = 64

[[sources]]
kind = "slices"
root = "slices"
test_blocks = [2]
validation_blocks = [1]

[optimiser]
steps = {steps}
batch = 2
patch = [48, 48]
learning_rate = 0.01
warmup_steps = 2
ema = 0.8

[validation]
every = 5
checkpoint_every = 4
"""


def write_slices(data: Path, *, count: int = 12) -> None:
    """Write `data/slices`: images, masks and a table with a block for every four slices."""
    root = data / "slices"
    (root / "images").mkdir(parents=True)
    (root / "masks").mkdir()
    rng = np.random.default_rng(0)
    rows = []
    for number in range(count):
        centre = rng.integers(20, 44, 2)
        y, x = np.mgrid[:64, :64]
        disc = (y - centre[0]) ** 2 + (x - centre[1]) ** 2 < 49
        head = (y - 32) ** 2 + (x - 32) ** 2 < 900
        image = head * (90 + rng.normal(0, 5, (64, 64))) + disc * 120
        pixels = image.clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(root / "images" / f"{number:02d}.png")
        Image.fromarray((disc * 255).astype(np.uint8)).save(root / "masks" / f"{number:02d}.png")
        rows.append((f"{number:02d}", "disc", number // 4))
    with (root / "slices.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("slice", "tumour", "block"), *rows])


def write_recipe(
    folder: Path, *, network: str = "attention-unet", steps: int = 12, more: str = ""
) -> Path:
    """Write `tiny.toml`; `more` is TOML of further tables."""
    path = folder / "tiny.toml"
    path.write_text(RECIPE.format(network=network, steps=steps) + more)
    return path


def losses(out: Path) -> list[str]:
    """Return the loss of every step, as written."""
    with (out / "loss.csv").open() as file:
        return [row["loss"] for row in csv.DictReader(file)]
