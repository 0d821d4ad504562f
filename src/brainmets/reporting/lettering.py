"""Letters and numbers upon pictures, in Pillow's own font."""

from __future__ import annotations

from functools import cache
from unicodedata import normalize

from PIL import Image, ImageDraw, ImageFont

from brainmets.reporting.views import colour_of

__all__ = ["PANEL", "TEXT", "draw_edges", "draw_number", "fitted", "font", "shortened", "spelt"]

NO_CHARACTER = "\U0010ffff"
"""What every font draws as a box."""

TEXT, PANEL = (232, 234, 237), (0, 0, 0)
"""Colours of letters and of the dark behind them."""


def draw_number(
    pen: ImageDraw.ImageDraw,
    lesion: int,
    corner: tuple[int, int],
    box: tuple[int, int, int, int],
    size: tuple[int, int],
    *,
    height: int = 17,
) -> None:
    """Put the lesion's number next to its outline, inside the picture."""
    text, face = str(lesion), font(height)
    wide = pen.textlength(text, font=face)
    x = box[2] + 5 if box[2] + 8 + wide < size[0] else box[0] - 5 - wide
    y = min(max(box[1] - 12, 1), size[1] - height - 1)
    place = (corner[0] + x, corner[1] + y)
    pen.text(place, text, fill=colour_of(lesion), font=face, stroke_width=1, stroke_fill=PANEL)


def draw_edges(
    pen: ImageDraw.ImageDraw,
    edges: tuple[str, str, str, str],
    box: tuple[int, int, int, int],
    *,
    height: int = 16,
) -> None:
    """Write which side of the patient is at each side of a picture."""
    left, top, right, bottom = box
    middle_x, middle_y = (left + right) // 2, (top + bottom) // 2
    places = (
        (left + 5, middle_y, "lm"),
        (right - 5, middle_y, "rm"),
        (middle_x, top + 4, "ma"),
        (middle_x, bottom - 4, "md"),
    )
    for letter, (x, y, anchor) in zip(edges, places, strict=True):
        pen.text(
            (x, y), letter, fill=TEXT, font=font(height), anchor=anchor, stroke_width=2,
            stroke_fill=PANEL,
        )  # fmt: skip


def fitted(
    pen: ImageDraw.ImageDraw, text: str, width: int
) -> tuple[str, ImageFont.FreeTypeFont | ImageFont.ImageFont]:
    """Return the text and a font it fits the width in, shortened at the last resort.

    Characters that the font lacks are written as their code points.
    """
    text = spelt(text)
    for size in (15, 14, 13, 12):
        if pen.textlength(text, font=font(size)) <= width:
            return text, font(size)
    while text and pen.textlength(f"{text}…", font=font(12)) > width:
        text = text[:-1]
    return f"{text}…", font(12)


def spelt(text: str) -> str:
    """Write what the font lacks without its accent, or as its code point, not as boxes."""
    return "".join(one if one.isascii() or _is_drawn(one) else _replaced(one) for one in text)


def _replaced(one: str) -> str:
    letter = normalize("NFKD", one)[0]
    return letter if letter.isascii() else f"[U+{ord(one):04X}]"


@cache
def _is_drawn(one: str) -> bool:
    return _drawn(one) != _drawn(NO_CHARACTER)


def _drawn(one: str) -> bytes:
    picture = Image.new("L", (24, 24))
    ImageDraw.Draw(picture).text((2, 2), one, fill=255, font=font(15))
    return picture.tobytes()


def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own font: no file of the system's is looked for."""
    return ImageFont.load_default(size)


def shortened(text: str, length: int) -> str:
    """Cut a text that is too long, and show that it was."""
    return text if len(text) <= length else text[: length - 1] + "…"
