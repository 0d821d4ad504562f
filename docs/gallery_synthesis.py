"""Draw docs/images/synthesis.png: synthetic heads of every kind, and lesions from 2 to 34 mm.

    python docs/gallery_synthesis.py LABEL_MAP [LABEL_MAP …]

Only synthetic pictures: the label maps are Apache-2.0 (SynthSeg) and no scan is in them. Without
a label map the heads are made from formulas.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from brainmets.io import read_mask
from brainmets.synthesis import SynthesisConfig, SyntheticCase, sample_head, synthesize_head

if TYPE_CHECKING:
    from numpy.typing import NDArray

OUTPUT = Path(__file__).parent / "images" / "synthesis.png"
CELL = 190
PATCH = 33
SIZES_MM = (30.0, 22.0, 15.0, 11.0, 8.0, 6.0, 4.5, 3.2, 2.4)
SHARP: dict[str, object] = {"thick_share": 0.0, "native_share": 0.0, "clear_share": 0.0}
ROWS: tuple[tuple[str, int, dict[str, object]], ...] = (
    ("gradient echo, stripped", 21, {"contrast_weights": {"mprage": 1.0}, "stripped_share": 1.0}),
    ("gradient echo, whole", 32, {"contrast_weights": {"mprage": 1.0}, "stripped_share": 0.0}),
    ("spin echo, whole", 33, {"contrast_weights": {"spin-echo": 1.0}, "stripped_share": 0.0}),
    ("randomised", 24, {"contrast_weights": {"randomised": 1.0}, "stripped_share": 1.0}),
    (
        "5 mm slices",
        35,
        {"thick_share": 1.0, "slice_mm": (5.0, 5.0), "contrast_weights": {"spin-echo": 1.0}},
    ),
)


def grey(plane: NDArray[np.float32], top: float) -> Image.Image:
    """Return one plane, head up, as a square picture."""
    scaled = np.clip(plane / top * 255, 0, 255).astype(np.uint8).T[::-1]
    side = max(scaled.shape)
    square = np.zeros((side, side), dtype=np.uint8)
    down, right = ((side - n) // 2 for n in scaled.shape)
    square[down : down + scaled.shape[0], right : right + scaled.shape[1]] = scaled
    return Image.fromarray(square).resize((CELL, CELL), Image.Resampling.BICUBIC)


def planes(case: SyntheticCase) -> list[Image.Image]:
    """Return three axial planes, one sagittal and one coronal."""
    data = case.image.data
    bright = data[data > 0.1 * data.max()]
    top = float(np.percentile(bright, 99.2))
    rows = np.nonzero(case.image.data.max(axis=(0, 1)) > 0.1 * data.max())[0]
    height = rows.max() - np.array([35, 62, 88]) * (rows.max() - rows.min() > 100)
    size = data.shape
    return [
        *(grey(data[:, :, int(k)], top) for k in height[::-1]),
        grey(data[size[0] // 2], top),
        grey(data[:, int(0.36 * size[1])], top),
    ]


def lesions(case: SyntheticCase) -> list[Image.Image]:
    """Return a patch about each lesion, its outline in colour."""
    data = np.pad(case.image.data, PATCH)
    core = np.pad(case.lesions.data > 0, PATCH)
    top = float(np.percentile(data[data > 0.1 * data.max()], 99.5))
    patches: list[Image.Image] = []
    for lesion in case.placed:
        i, j, k = (round(place) + PATCH for place in lesion.centre_voxel)
        here = (slice(i - 20, i + 21), slice(j - 20, j + 21), k)
        picture = grey(data[here], top).convert("RGB").resize((CELL // 2, CELL // 2))
        mask = Image.fromarray((core[here].T[::-1] * 255).astype(np.uint8))
        mask = np.asarray(mask.resize(picture.size, Image.Resampling.NEAREST)) > 0
        edge = mask & ~(np.roll(mask, 1, 0) & np.roll(mask, -1, 0) & np.roll(mask, 1, 1)
                        & np.roll(mask, -1, 1))  # fmt: skip
        pixels = np.array(picture)
        pixels[edge] = (255, 120, 40)
        marked = Image.fromarray(pixels)
        ImageDraw.Draw(marked).text((3, 2), f"{lesion.diameter_mm:.1f} mm", fill=(255, 255, 255))
        patches.append(marked)
    return patches


def main(label_maps: list[Path]) -> None:
    """Draw the gallery."""
    maps = [read_mask(path) for path in label_maps]
    sheet = Image.new("RGB", (5 * CELL, len(ROWS) * CELL + CELL // 2))
    draw = ImageDraw.Draw(sheet)
    for row, (title, seed, choice) in enumerate(ROWS):
        wish = SHARP | choice
        if row == 0:
            wish["diameters_mm"] = SIZES_MM
        config = SynthesisConfig.model_validate(wish)
        made = (
            synthesize_head(maps[row % len(maps)], config, seed)
            if maps
            else sample_head(seed, config)
        )
        for column, picture in enumerate(planes(made)):
            sheet.paste(picture, (column * CELL, row * CELL))
        draw.text((4, row * CELL + 3), title, fill=(255, 255, 255))
        if row == 0:
            for column, patch in enumerate(lesions(made)[:10]):
                sheet.paste(patch, (column * (CELL // 2), len(ROWS) * CELL))
    OUTPUT.parent.mkdir(exist_ok=True)
    sheet.quantize(96).save(OUTPUT, optimize=True)


if __name__ == "__main__":
    main([Path(name) for name in sys.argv[1:]])
