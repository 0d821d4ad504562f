"""A matplotlib figure of a scan's lesions in three planes, to show in a notebook or change."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from brainmets.domain import RESEARCH_USE_ONLY
from brainmets.reporting.views import EDGES, Head, colour_of, nearest_slice_with

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from brainmets.domain import Mask, Volume
    from brainmets.evaluation import LesionScore
    from brainmets.reporting.views import Plane

__all__ = ["LesionFigure", "draw_lesion_scores", "draw_lesions"]

PLANES: tuple[Plane, ...] = ("axial", "coronal", "sagittal")
PX_PER_MM = 3.0
ROW_INCHES, WIDTH_INCHES = 3.4, 10.0
SHOWN = 3


class LesionFigure(Figure):
    """A figure that a notebook shows without pyplot."""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", bbox_inches="tight")
        return buffer.getvalue()


def draw_lesions(
    image: Volume,
    ids: Mask,
    captions: Sequence[tuple[int, str]],
    *,
    is_slices: bool = False,
    notice: str = RESEARCH_USE_ONLY,
) -> Figure:
    """Draw up to three lesions, a row each, in radiological convention; axes are in millimetres.

    Args:
        image: grey values.
        ids: lesion numbers on the same grid; each is outlined in its colour.
        captions: number and title of the lesions to show, in order; none shows the middle.
        is_slices: independent slice images: one picture a lesion, axes in pixels.
        notice: the line below.
    """
    head = Head(image, ids, is_slices=is_slices)
    chosen = list(captions[:SHOWN]) or [(0, "No lesion")]
    planes = PLANES[:1] if is_slices else PLANES
    figure = LesionFigure(
        figsize=(WIDTH_INCHES / 3 * max(len(planes), 2), ROW_INCHES * len(chosen)),
        layout="constrained",
    )
    grid = figure.subplots(len(chosen), len(planes), squeeze=False)
    for axes_row, (lesion, title) in zip(grid, chosen, strict=True):
        centre = _centre(head, lesion)
        for axes, plane in zip(axes_row, planes, strict=True):
            _draw_plane(axes, head, plane, centre, lesion)
        axes_row[0].set_title(title, loc="left", fontsize=10)
    figure.supxlabel(notice, fontsize=8)
    return figure


OUTCOMES = {"found": "#009E73", "missed": "#D55E00", "false positive": "#CC79A7"}
"""Colours that colour-blind readers tell apart."""


def draw_lesion_scores(lesions: Iterable[LesionScore]) -> Figure:
    """Draw every lesion's Dice against the diameter of the ball of its volume, in mm."""
    figure = LesionFigure(figsize=(6.0, 3.6), layout="constrained")
    axes = figure.subplots()
    listed = list(lesions)
    for outcome, colour in OUTCOMES.items():
        those = [one for one in listed if one.outcome == outcome]
        across = [2 * (3 * one.volume_mm3 / (4 * np.pi)) ** (1 / 3) for one in those]
        axes.scatter(
            across,
            [one.dice for one in those],
            s=22,
            color=colour,
            label=f"{outcome}: {len(those)}",
        )
    axes.set_xlabel("diameter of the ball of equal volume, mm")
    axes.set_ylabel("Dice of the lesion")
    axes.set_ylim(-0.05, 1.05)
    figure.legend(loc="outside upper center", ncols=3, frameon=False)
    figure.supxlabel(RESEARCH_USE_ONLY, fontsize=8)
    return figure


def _centre(head: Head, lesion: int) -> NDArray[np.int_]:
    """Return the middle voxel of a lesion, or of the head."""
    if lesion:
        return np.rint(np.argwhere(head.ids == lesion).mean(axis=0)).astype(int)
    return np.array([(low + high) // 2 for low, high in head.box])


def _draw_plane(
    axes: Axes, head: Head, plane: Plane, centre: NDArray[np.int_], lesion: int
) -> None:
    across = {"axial": 2, "coronal": 1, "sagittal": 0}[plane]
    index = int(centre[across])
    if lesion:
        index = nearest_slice_with(head, lesion, across, index)
    picture = head.cut(plane, index, px_per_mm=PX_PER_MM)
    width, height = head.extent_mm(plane)
    axes.imshow(np.asarray(picture.image), extent=(0.0, width, 0.0, height))
    if lesion in picture.boxes:
        left, top, right, _ = (value / PX_PER_MM for value in picture.boxes[lesion])
        red, green, blue = (part / 255 for part in colour_of(lesion))
        axes.annotate(
            str(lesion),
            ((left + right) / 2, height - top),
            (0, 3),
            textcoords="offset points",
            color=(red, green, blue),
        )
    axes.set_xticks([0, 50, 100, 150] if width > 150 else [0, 50, 100])
    axes.tick_params(labelsize=7)
    if head.is_slices:
        axes.set_xlabel(f"slice {index}", fontsize=8)
        return
    left_letter, right_letter, _, _ = EDGES[plane]
    axes.set_xlabel(f"{left_letter}   {plane}, mm   {right_letter}", fontsize=8)
