"""Axial slices as they are, and the same slices with what was found, beneath each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from brainmets.reporting.lettering import font
from brainmets.reporting.views import Head, key_slices, level_of

if TYPE_CHECKING:
    from brainmets.domain import Report

__all__ = ["draw_side_by_side"]

CELL = 260
GAP = 6
HEADER = 30
BACKGROUND = (10, 11, 14)
TEXT = (235, 238, 242)


def draw_side_by_side(report: Report, *, columns: int = 6) -> Image.Image:
    """Draw the slices with most lesion, plain above and outlined below, from the feet upwards.

    Radiological convention. Where nothing was found, slices through the whole head are shown.
    """
    head = Head.of(report)
    burden = np.count_nonzero(head.ids, axis=(0, 1))
    chosen = _apart(burden, columns) if burden.any() else key_slices(head, columns)
    width, height = head.extent_mm("axial")
    scale = CELL / max(width, height)
    size = (columns * CELL + (columns - 1) * GAP, HEADER + 2 * CELL + GAP)
    canvas = Image.new("RGB", size, BACKGROUND)
    pen = ImageDraw.Draw(canvas)
    found = len(report.prediction.lesions)
    title = f"{report.prediction.provenance.model}: {found} component{'s' * (found != 1)}"
    pen.text((4, 6), title, fill=TEXT, font=font(16))
    for column, k in enumerate(chosen):
        for row, outlined in enumerate((False, True)):
            picture = head.cut("axial", k, px_per_mm=scale, outlined=outlined).image
            x = column * (CELL + GAP) + (CELL - picture.width) // 2
            y = HEADER + row * (CELL + GAP) + (CELL - picture.height) // 2
            canvas.paste(picture, (x, y))
        pen.text((column * (CELL + GAP) + 4, HEADER), level_of(head, k), fill=TEXT, font=font(13))
    return canvas


def _apart(burden: np.ndarray[tuple[int], np.dtype[np.int_]], count: int) -> list[int]:
    """Return the fullest slice of each of `count` stretches between the first and last lesion."""
    filled = np.flatnonzero(burden)
    stretches = np.array_split(np.arange(filled[0], filled[-1] + 1), count)
    return [int(part[np.argmax(burden[part])]) for part in stretches if len(part)]
