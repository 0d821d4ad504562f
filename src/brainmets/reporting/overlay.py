"""overlay.png: one picture that shows a result at a glance, drawn without a plotting library."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from brainmets.reporting.lettering import (
    PANEL,
    TEXT,
    draw_edges,
    draw_number,
    fitted,
    font,
    shortened,
    spelt,
)
from brainmets.reporting.views import (
    AXES,
    EDGES,
    Head,
    Picture,
    Plane,
    colour_of,
    key_slices,
    level_of,
    nearest_slice_with,
)

if TYPE_CHECKING:
    from brainmets.domain import Lesion, Report

__all__ = ["draw_overlay"]

WIDTH = 1440
MARGIN = 16
GAP = 8
ROW_HEIGHT = 372
STRIP_COLUMNS = 7
LARGEST_SHOWN = 3
SLICES_SHOWN = 12

BACKGROUND = (10, 11, 14)
FAINT = (150, 156, 166)
NOTICE = (255, 190, 92)

PLANES: tuple[Plane, ...] = ("axial", "coronal", "sagittal")


class _Cell(NamedTuple):
    """A picture to place, its caption, and the letters at its edges."""

    picture: Picture
    caption: str
    edges: tuple[str, str, str, str] | None
    caption_colour: tuple[int, int, int] = FAINT


def draw_overlay(report: Report) -> Image.Image:
    """Draw the largest lesions in three planes and axial slices through the whole head.

    Slice images are shown as they are, the ones with the largest lesions first chosen. Pixels
    are square in millimetres, radiological convention, sides marked, the notice below.
    """
    head = Head.of(report)
    rows = _slice_rows(report, head) if head.is_slices else _volume_rows(report, head)
    heights = [max(c.picture.image.height for c in row) + 26 for row in rows]
    header, footer = 74, 34 + 20 * len(report.warnings[:3])
    canvas = Image.new("RGB", (WIDTH, header + sum(heights) + GAP * len(rows) + footer), BACKGROUND)
    pen = ImageDraw.Draw(canvas)
    _draw_header(pen, report, head)
    y = header
    for row, height in zip(rows, heights, strict=True):
        _draw_row(canvas, pen, row, y, height)
        y += height + GAP
    for warning in report.warnings[:3]:
        pen.text((MARGIN, y), f"! {shortened(spelt(warning), 190)}", fill=NOTICE, font=font(14))
        y += 20
    pen.text((MARGIN, y + 6), report.notice, fill=NOTICE, font=font(15))
    return canvas


def _draw_header(pen: ImageDraw.ImageDraw, report: Report, head: Head) -> None:
    lesions, model = report.prediction.lesions, report.prediction.provenance.model
    unit = report.case.geometry.units
    if lesions:
        total = sum(v.volume_mm3 for v in lesions)
        found = (
            f"{len(lesions)} lesion{'s' if len(lesions) > 1 else ''}, {_size(total, unit, head)}"
        )
    else:
        found = _nothing(report)
    pen.text((MARGIN, 14), found, fill=TEXT, font=font(24))
    place = "as stored" if head.is_slices else "radiological: patient's right is on the left"
    text = f"{shortened(report.case.case_id, 40)}  -  {model}  -  {place}"
    pen.text((MARGIN, 46), text, fill=FAINT, font=font(15))


def _nothing(report: Report) -> str:
    settings = report.prediction.provenance.settings
    peak = settings.get("peak", settings.get("threshold"))
    limit = f" ({float(peak):g})" if isinstance(peak, (int, float)) else ""
    return f"No lesion above the operating point{limit}"


def _volume_rows(report: Report, head: Head) -> list[list[_Cell]]:
    largest = report.prediction.lesions[:LARGEST_SHOWN]
    scale = _row_scale(head)
    rows: list[list[_Cell]] = []
    for lesion in largest:
        at = np.rint(head.geometry.to_voxel(lesion.centroid_ras_mm)).astype(int)
        rows.append(_three_planes(head, at, scale, _caption(lesion, report, head), lesion.id))
    if not largest:
        middle = np.array([(low + high) // 2 for low, high in head.box])
        rows.append(_three_planes(head, middle, scale, "", 0))
    width, _ = head.extent_mm("axial")
    strip_scale = (WIDTH - 2 * MARGIN - GAP * (STRIP_COLUMNS - 1)) / STRIP_COLUMNS / width
    cells = [
        _Cell(head.cut("axial", k, px_per_mm=strip_scale), level_of(head, k), None)
        for k in key_slices(head, 2 * STRIP_COLUMNS)
    ]
    rows += [cells[n : n + STRIP_COLUMNS] for n in range(0, len(cells), STRIP_COLUMNS)]
    return rows


def _three_planes(
    head: Head, at: np.ndarray[tuple[int], np.dtype[np.int_]], scale: float, caption: str, id_: int
) -> list[_Cell]:
    cells: list[_Cell] = []
    for plane in PLANES:
        across = AXES[plane][0]
        index = int(np.clip(at[across], 0, head.grey.shape[across] - 1))
        if id_:
            index = nearest_slice_with(head, id_, across, index)
        colour = colour_of(id_) if id_ and plane == "axial" else FAINT
        text = caption if id_ and plane == "axial" else plane
        picture = head.cut(plane, index, px_per_mm=scale)
        cells.append(_Cell(picture, text, EDGES[plane], colour))
    return cells


def _row_scale(head: Head) -> float:
    """Pixels per millimetre at which three planes fit a row."""
    extents = [head.extent_mm(plane) for plane in PLANES]
    width = sum(w for w, _ in extents)
    return min(
        (WIDTH - 2 * MARGIN - 2 * GAP) / width, ROW_HEIGHT / max(height for _, height in extents)
    )


def _slice_rows(report: Report, head: Head) -> list[list[_Cell]]:
    burden = np.count_nonzero(head.ids, axis=(0, 1))
    count = head.grey.shape[2]
    chosen = sorted(np.argsort(-burden, kind="stable")[:SLICES_SHOWN].tolist())
    if count > SLICES_SHOWN and not burden.any():
        chosen = sorted({int(k) for k in np.linspace(0, count - 1, SLICES_SHOWN)})
    names = report.case.source.slice_names
    width, height = head.extent_mm("axial")
    columns = {1: 2, 2: 2, 3: 3}.get(len(chosen), 4)
    scale = min((WIDTH - 2 * MARGIN - GAP * (columns - 1)) / columns / width, 700 / height)
    cells: list[_Cell] = []
    for k in chosen:
        picture = head.cut("axial", k, px_per_mm=scale)
        caption = shortened(names[k], 36) if k < len(names) else f"slice {k}"
        if len(chosen) == 1:
            plain = head.cut("axial", k, px_per_mm=scale, outlined=False)
            cells.append(_Cell(plain, caption, None))
            caption = "   ".join(_caption(v, report, head) for v in report.prediction.lesions[:3])
        cells.append(_Cell(picture, caption, None))
    return [cells[n : n + columns] for n in range(0, len(cells), columns)]


def _caption(lesion: Lesion, report: Report, head: Head) -> str:
    unit = report.case.geometry.units
    parts = [
        f"#{lesion.id}",
        _size(lesion.volume_mm3, unit, head),
        f"{lesion.diameter_in_plane_mm:.0f} x {lesion.perpendicular_mm:.0f} {unit}",
    ]
    return "  ".join([*parts, *([lesion.where] if lesion.where else []), f"p {lesion.peak_text}"])


def _size(volume: float, unit: str, head: Head) -> str:
    if unit == "px":
        return f"{volume:.0f} px"
    if head.is_slices:
        return f"{volume / head.spacing_mm[2] / 100:.2f} cm2"
    return f"{volume / 1000:.{1 if volume >= 1000 else 2 if volume >= 10 else 3}f} mL"


def _draw_row(
    canvas: Image.Image, pen: ImageDraw.ImageDraw, row: list[_Cell], top: int, height: int
) -> None:
    """Place pictures side by side, captions above, lesion numbers and edge letters upon them."""
    used = sum(c.picture.image.width for c in row) + GAP * (len(row) - 1)
    x = MARGIN if len(row) > 3 else MARGIN + max(0, (WIDTH - 2 * MARGIN - used) // 2)
    for cell in row:
        image = cell.picture.image
        y = top + 24 + (height - 26 - image.height) // 2
        pen.rectangle((x, top + 24, x + image.width - 1, top + height - 3), fill=PANEL)
        canvas.paste(image, (x, y))
        caption, face = fitted(pen, cell.caption, image.width - 4)
        pen.text((x + 2, top + 3), caption, fill=cell.caption_colour, font=face)
        for lesion, box in cell.picture.boxes.items():
            draw_number(pen, lesion, (x, y), box, image.size)
        if cell.edges:
            draw_edges(pen, cell.edges, (x, y, x + image.width, y + image.height))
        x += image.width + GAP
