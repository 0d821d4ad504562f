"""Axial slices with the outlines of lesions, drawn for viewers that show pictures only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from brainmets.reporting.lettering import TEXT, draw_edges, draw_number, fitted, font
from brainmets.reporting.views import EDGES, Head, level_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from brainmets.domain import Lesion, Mask, Volume

__all__ = ["drawn_captures"]

MOST = 30
WIDTH, LINE = 768, 24
NOTICE = (255, 190, 92)


def drawn_captures(
    image: Volume, mask: Mask, lesions: Sequence[Lesion], notice: str
) -> list[NDArray[np.uint8]]:
    """Draw the slice in which each lesion is largest, from the feet up; all of one size.

    Of more than 30 such slices those of the largest lesions are drawn. Without a lesion the middle
    slice is drawn, and says so. Radiological convention; `notice` is below each picture.
    """
    head = Head(image, mask)
    areas = {one.id: np.count_nonzero(head.ids == one.id, axis=(0, 1)) for one in lesions}
    ordered = sorted(lesions, key=lambda one: -one.volume_mm3)
    levels = dict.fromkeys(int(np.argmax(areas[one.id])) for one in ordered)
    low, high = head.box[2]
    shown = sorted(list(levels)[:MOST]) or [(low + high) // 2]
    return [_drawn(head, k, lesions, notice) for k in shown]


def _drawn(head: Head, k: int, lesions: Sequence[Lesion], notice: str) -> NDArray[np.uint8]:
    width_mm, _ = head.extent_mm("axial")
    picture = head.cut("axial", k, px_per_mm=WIDTH / width_mm)
    width, height = picture.image.size
    here = [one for one in lesions if one.id in picture.boxes]
    texts = [_caption(one) for one in here] or ["No lesion above the operating point."]
    canvas = Image.new("RGB", (width, height + LINE * (_lines(lesions, head) + 2)))
    canvas.paste(picture.image, (0, 0))
    pen = ImageDraw.Draw(canvas)
    for lesion, box in picture.boxes.items():
        draw_number(pen, lesion, (0, 0), box, picture.image.size, height=20)
    draw_edges(pen, EDGES["axial"], (0, 0, width, height), height=20)
    pen.text((width - 8, 8), level_of(head, k), fill=TEXT, font=font(15), anchor="ra")
    lines = [(text, TEXT) for text in texts]
    for row, (text, colour) in enumerate([*lines, (notice, NOTICE)]):
        line, face = fitted(pen, text, width - 16)
        pen.text((8, height + LINE * row + 4), line, fill=colour, font=face)
    return np.asarray(canvas)


def _lines(lesions: Sequence[Lesion], head: Head) -> int:
    """Return how many lesions the fullest slice has: every picture has room for so many."""
    if not lesions:
        return 1
    return max(len(np.unique(head.ids[:, :, k])) - 1 for k in range(head.ids.shape[2]))


def _caption(lesion: Lesion) -> str:
    parts = [
        f"#{lesion.id}",
        f"{lesion.volume_mm3 / 1000:.2f} mL",
        f"{lesion.diameter_in_plane_mm:.0f} x {lesion.perpendicular_mm:.0f} mm",
        *([lesion.where] if lesion.where else []),
        f"p {lesion.peak_text}",
    ]
    return "   ".join(parts)
