"""The pictures of a case's report: where the lesions lie, each close up, the head in slices."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from brainmets.domain.diameters import Ruler
from brainmets.reporting.lettering import PANEL, TEXT, draw_edges, draw_number, font
from brainmets.reporting.views import AXES, EDGES, Head, Plane, key_slices, level_of
from brainmets.reporting.views import nearest_slice_with as nearest

if TYPE_CHECKING:
    from brainmets.domain import Lesion
    from brainmets.reporting.views import Picture

__all__ = ["CasePicture", "close_ups", "projections", "slice_pairs", "survey"]

PLANES: tuple[Plane, ...] = ("axial", "coronal", "sagittal")
CLOSE_UP_MM, AROUND_MM = 70.0, 40.0
"""Width of a close-up, and the least around a lesion that is larger than that allows."""

CLOSE_UP_PX, PROJECTION_PX, SURVEY_PX, SLICE_PX = 560, 620, 360, 760
LETTERS_PX = 26
BAR_MM = 10.0
DIMMED = 0.55
NUMBERED = 15
"""Most lesions numbered in one projection: more would hide each other."""


class CasePicture(NamedTuple):
    """A picture and its caption."""

    caption: str
    image: Image.Image


def projections(head: Head, lesions: tuple[Lesion, ...]) -> list[CasePicture]:
    """Draw the three middle planes, dimmed, with every lesion projected onto them, numbered."""
    drawn: list[CasePicture] = []
    scale = PROJECTION_PX / max(head.extent_mm(plane)[0] for plane in PLANES)
    for plane in PLANES:
        picture = head.project(plane, px_per_mm=scale, dimmed=DIMMED)
        pen = ImageDraw.Draw(picture.image)
        for lesion in lesions[:NUMBERED]:
            if box := picture.boxes.get(lesion.id):
                draw_number(pen, lesion.id, (0, 0), box, picture.image.size, height=LETTERS_PX)
        draw_edges(pen, EDGES[plane], (0, 0, *picture.image.size), height=LETTERS_PX)
        drawn.append(CasePicture(f"{plane}, all lesions projected", picture.image))
    return drawn


def close_ups(head: Head, lesion: Lesion) -> list[CasePicture]:
    """Cut three planes through a lesion's middle, the surroundings left in, with a 10 mm bar."""
    at = np.rint(head.geometry.to_voxel(lesion.centroid_ras_mm)).astype(int)
    measured = head.plane_across_slices
    width_mm = max(CLOSE_UP_MM, lesion.diameter_3d_mm + AROUND_MM)
    scale = CLOSE_UP_PX / width_mm
    drawn: list[CasePicture] = []
    for plane in PLANES:
        across = AXES[plane][0]
        wanted = head.slice_position(lesion.slice_index) if plane == measured else int(at[across])
        index = nearest(head, lesion.id, across, wanted)
        picture = head.cut(plane, index, px_per_mm=scale)
        if plane == measured:
            _draw_diameters(head, picture, lesion, index, px_per_mm=scale)
        image = _around(picture, lesion.id)
        pen = ImageDraw.Draw(image)
        draw_edges(pen, EDGES[plane], (0, 0, *image.size), height=LETTERS_PX)
        _draw_bar(pen, scale)
        caption = f"{plane}, slice {lesion.slice_index + 1}" if plane == measured else plane
        drawn.append(CasePicture(caption, image))
    return drawn


def _draw_diameters(
    head: Head, picture: Picture, lesion: Lesion, index: int, *, px_per_mm: float
) -> None:
    """Draw both diameters of a lesion where they are measured; the picture is of that slice."""
    plane = head.plane_across_slices
    across = AXES[plane][0]
    voxels = np.argwhere(head.ids == lesion.id)
    voxels = voxels[voxels[:, across] == index]
    if not len(voxels):
        return
    pen = ImageDraw.Draw(picture.image)
    for line in Ruler(head.geometry, slice_axis=across).lines(voxels):
        ends = [head.place_in(plane, end, px_per_mm) for end in line]
        pen.line(ends, fill=PANEL, width=4)
        pen.line(ends, fill=TEXT, width=2)


def survey(head: Head, count: int) -> list[CasePicture]:
    """Cut axial slices from the top of the head to its base, moved to lesions nearby."""
    scale = SURVEY_PX / head.extent_mm("axial")[0]
    return [
        CasePicture(level_of(head, k), _numbered(head.cut("axial", k, px_per_mm=scale)))
        for k in key_slices(head, count)
    ]


def slice_pairs(head: Head, most: int) -> list[CasePicture]:
    """Show the slice images with the largest lesions, each as it is and with outlines.

    They go by number: the names of files may be names of people.
    """
    burden = np.count_nonzero(head.ids, axis=(0, 1))
    chosen = sorted(np.argsort(-burden, kind="stable")[:most].tolist())
    scale = SLICE_PX / max(head.extent_mm("axial"))
    drawn: list[CasePicture] = []
    for k in chosen:
        plain = head.cut("axial", k, px_per_mm=scale, outlined=False)
        drawn.append(CasePicture(f"image {k + 1}", plain.image))
        drawn.append(CasePicture("", _numbered(head.cut("axial", k, px_per_mm=scale))))
    return drawn


def _around(picture: Picture, lesion: int) -> Image.Image:
    """Crop to a square around a lesion, black beyond the edge."""
    left, top, right, bottom = picture.boxes[lesion]
    x, y = (left + right - CLOSE_UP_PX) // 2, (top + bottom - CLOSE_UP_PX) // 2
    return picture.image.crop((x, y, x + CLOSE_UP_PX, y + CLOSE_UP_PX))


def _numbered(picture: Picture) -> Image.Image:
    pen = ImageDraw.Draw(picture.image)
    for lesion, box in picture.boxes.items():
        draw_number(pen, lesion, (0, 0), box, picture.image.size, height=20)
    return picture.image


def _draw_bar(pen: ImageDraw.ImageDraw, px_per_mm: float) -> None:
    x, y = 14, CLOSE_UP_PX - 18
    pen.rectangle((x - 1, y - 1, x + BAR_MM * px_per_mm + 1, y + 5), fill=PANEL)
    pen.rectangle((x, y, x + BAR_MM * px_per_mm, y + 4), fill=TEXT)
    pen.text(
        (x, y - 6), f"{BAR_MM:.0f} mm", fill=TEXT, font=font(20), anchor="ld", stroke_width=2,
        stroke_fill=PANEL,
    )  # fmt: skip
