"""Planes cut from a volume as a radiologist reads them, in grey and with outlines.

Radiological convention: the patient's right is on the left of the picture, the face at the top
of axial and at the left of sagittal planes.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from brainmets.domain import Geometry, Mask, Report, Volume

__all__ = [
    "AXES",
    "COLOURS",
    "EDGES",
    "Head",
    "Picture",
    "Plane",
    "colour_of",
    "key_slices",
    "level_of",
    "nearest_slice_with",
]

Plane = Literal["axial", "coronal", "sagittal"]

COLOURS = (
    (255, 196, 0),
    (0, 214, 255),
    (255, 104, 158),
    (126, 230, 88),
    (186, 140, 255),
    (255, 138, 72),
)
"""Outline colours in turn; told apart by people with colour-blind eyes by lightness as well."""

AXES: dict[Plane, tuple[int, int, int]] = {
    "axial": (2, 0, 1),
    "coronal": (1, 0, 2),
    "sagittal": (0, 1, 2),
}
"""RAS axes of each plane: the one across, the one along columns, the one along rows."""

EDGES: dict[Plane, tuple[str, str, str, str]] = {
    "axial": ("R", "L", "A", "P"),
    "coronal": ("R", "L", "S", "I"),
    "sagittal": ("A", "P", "S", "I"),
}
"""What is at the left, right, top and bottom of each plane's picture."""

BOLD_ABOVE = 1.2
"""Pixels per millimetre from which outlines are two pixels wide."""

DARK, BRIGHT = 1.0, 99.7
"""Percentiles of the head's intensities shown as black and white."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Picture:
    """A drawn plane, and where its lesions are in it: id → (left, top, right, bottom)."""

    image: Image.Image
    boxes: dict[int, tuple[int, int, int, int]]


class Head:
    """An image and its lesion ids, turned to RAS+ axes or, for slices, as they are displayed."""

    @classmethod
    def of(cls, report: Report) -> Head:
        """Take the image that shows metastases best, and the lesions found in it."""
        images = report.case.images
        image = images["t1c" if "t1c" in images else min(images)]
        return cls(image, report.prediction.mask, is_slices=report.case.kind == "slices")

    def __init__(self, image: Volume, ids: Mask, *, is_slices: bool = False) -> None:
        """Turn, find the head, choose black and white; both are on one grid."""
        self.is_slices = is_slices
        axes, flips = (
            ((0, 1, 2), (False, False, False)) if self.is_slices else _to_ras(image.geometry)
        )
        turned = image.geometry.permuted(axes, flips)
        flipped = tuple(axis for axis in range(3) if flips[axis])
        self.grey = np.flip(image.data.transpose(axes), flipped)
        self.ids = np.flip(ids.data.transpose(axes), flipped)
        self.spacing_mm = turned.spacing_mm
        self.geometry = turned
        native = image.geometry.slice_axis
        self._acquired = axes.index(native)
        self._turned_slices = image.geometry.shape[native] if flips[self._acquired] else None
        self.low, self.high = _window(self.grey)
        self.box = self._bounds()

    @property
    def plane_across_slices(self) -> Plane:
        """The plane in which slices were acquired, and diameters are measured."""
        return next(plane for plane, (across, _, _) in AXES.items() if across == self._acquired)

    def slice_position(self, slice_index: int) -> int:
        """Where an acquired slice is along its axis here."""
        turned = self._turned_slices
        return slice_index if turned is None else turned - 1 - slice_index

    def place_in(
        self, plane: Plane, voxel: NDArray[np.float64], px_per_mm: float
    ) -> tuple[float, float]:
        """Where a voxel coordinate is in a picture of `cut`, in pixels from its corner."""
        _, column, row = AXES[plane]
        places: list[float] = []
        for axis in (column, row):
            low, high = self.box[axis]
            along = float(voxel[axis]) + 0.5 - low
            kept = along if self.is_slices else high - low - along
            places.append(kept * self.spacing_mm[axis] * px_per_mm)
        return places[0], places[1]

    def extent_mm(self, plane: Plane) -> tuple[float, float]:
        """Width and height of a plane's picture in millimetres."""
        _, column, row = AXES[plane]
        sizes = [(high - low) * s for (low, high), s in zip(self.box, self.spacing_mm, strict=True)]
        return sizes[column], sizes[row]

    def cut(self, plane: Plane, index: int, *, px_per_mm: float, outlined: bool = True) -> Picture:
        """Draw the plane at `index` of its axis, pixels square in millimetres."""
        across = AXES[plane][0]
        ids = _plane(self.ids, across, index)
        return self._drawn(
            plane, index, ids if outlined else np.zeros_like(ids), px_per_mm=px_per_mm
        )

    def project(self, plane: Plane, *, px_per_mm: float, dimmed: float) -> Picture:
        """Draw the middle plane, dimmed, and every lesion as it is seen through it."""
        across = AXES[plane][0]
        highest = np.iinfo(self.ids.dtype).max
        seen = np.where(self.ids > 0, self.ids, highest).min(axis=across)
        ids = np.where(seen == highest, 0, seen).astype(self.ids.dtype)
        low, high = self.box[across]
        return self._drawn(
            plane, (low + high) // 2, ids, px_per_mm=px_per_mm, dimmed=dimmed, filled=0.45
        )

    def _drawn(
        self,
        plane: Plane,
        index: int,
        ids: NDArray[np.unsignedinteger],
        *,
        px_per_mm: float,
        dimmed: float = 1.0,
        filled: float = 0.0,
    ) -> Picture:
        across = AXES[plane][0]
        kept = tuple(slice(*bounds) for axis, bounds in enumerate(self.box) if axis != across)
        grey, ids = _plane(self.grey, across, index)[kept], ids[kept]
        if not self.is_slices:  # rows from the top of the head, columns from the right or front
            turn = np.s_[::-1, ::-1]
            grey, ids = grey[turn], ids[turn]
        width, height = self.extent_mm(plane)
        size = (max(1, round(width * px_per_mm)), max(1, round(height * px_per_mm)))
        thickness = 2 if px_per_mm > BOLD_ABOVE else 1
        window = (self.low, self.low + (self.high - self.low) / dimmed)
        return _draw(grey.T, ids.T, size, window, thickness, filled=filled)

    def _bounds(self) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
        """Box around the head; slices keep their frame."""
        bounds: list[tuple[int, int]] = []
        bright = self.grey > self.low + 0.12 * (self.high - self.low)
        for axis, size in enumerate(self.grey.shape):
            share = bright.mean(axis=tuple(a for a in range(3) if a != axis))
            planes = np.flatnonzero(share > 0.01)
            if self.is_slices or planes.size < 2:
                bounds.append((0, size))
                continue
            margin = max(1, round(4.0 / self.spacing_mm[axis]))
            lesions = np.flatnonzero(self.ids.any(axis=tuple(a for a in range(3) if a != axis)))
            shown = np.concatenate([planes, lesions])  # drawn outside the head, they are shown too
            bounds.append((max(int(shown.min()) - margin, 0), min(int(shown.max()) + margin, size)))
        return bounds[0], bounds[1], bounds[2]


def colour_of(lesion: int) -> tuple[int, int, int]:
    """Return the colour of a lesion's outline."""
    return COLOURS[(lesion - 1) % len(COLOURS)]


def nearest_slice_with(head: Head, lesion: int, axis: int, wanted: int) -> int:
    """Slice with the lesion that is nearest its centroid: a curved one may miss its own."""
    others = tuple(a for a in range(3) if a != axis)
    present = np.flatnonzero((head.ids == lesion).any(axis=others))
    return int(present[np.argmin(np.abs(present - wanted))])


def key_slices(head: Head, count: int) -> list[int]:
    """Axial slices spread over the head, from the top, each moved to lesions nearby."""
    low, high = head.box[2]
    ends = round(0.04 * (high - low))  # nothing but scalp lies there
    low, high = low + ends, high - ends
    count = min(count, high - low)
    step = (high - low) / count
    edges = [high - round(number * step) for number in range(count + 1)]
    burden = np.count_nonzero(head.ids, axis=(0, 1))
    chosen: list[int] = []
    for end, first in pairwise(edges):
        last = end
        if chosen:  # not right below the slice before
            last = max(min(end, int(chosen[-1] - step / 2)), first + 1)
        part = burden[first:last]
        chosen.append(first + (int(np.argmax(part)) if part.any() else len(part) // 2))
    return chosen


def level_of(head: Head, k: int) -> str:
    """Name an axial slice by its height."""
    middle = [(n - 1) / 2 for n in head.grey.shape]
    z = float(head.geometry.to_ras_mm((middle[0], middle[1], k))[2])
    return f"z {z:.0f} mm"


def _to_ras(
    geometry: Geometry,
) -> tuple[tuple[int, int, int], tuple[bool, bool, bool]]:
    closest = geometry.closest_axes
    order = sorted(range(3), key=lambda voxel: closest[voxel][0])
    flips = [closest[voxel][1] < 0 for voxel in order]
    return (order[0], order[1], order[2]), (flips[0], flips[1], flips[2])


def _plane(data: NDArray[Any], axis: int, index: int) -> NDArray[Any]:
    """Return one plane as a view; `take` would first copy a turned volume whole."""
    return data[(slice(None),) * axis + (index,)]


def _window(grey: NDArray[np.float32]) -> tuple[float, float]:
    from brainmets.preprocessing.intensity import find_foreground

    step = max(1, round((grey.size / 2_000_000) ** (1 / 3)))
    sample = np.ascontiguousarray(grey[::step, ::step, :: step if grey.shape[2] > 8 else 1])
    inside = sample[find_foreground(sample)]
    low, high = np.percentile(inside, (DARK, BRIGHT))
    return float(low), float(high) if high > low else float(low) + 1.0


def _draw(
    grey: NDArray[np.float32],
    ids: NDArray[np.unsignedinteger],
    size: tuple[int, int],
    window: tuple[float, float],
    thickness: int,
    *,
    filled: float = 0.0,
) -> Picture:
    """Grey values (row, column) scaled to `size`, each lesion outlined in its colour.

    `filled` is how much of that colour lies over the lesion itself.
    """
    low, high = window
    shade = np.clip((grey - low) / (high - low), 0.0, 1.0) ** 0.9 * 255
    base = Image.fromarray(np.rint(shade).astype(np.uint8)).resize(size, Image.Resampling.BICUBIC)
    canvas = np.repeat(np.asarray(base)[:, :, None], 3, axis=2)
    boxes: dict[int, tuple[int, int, int, int]] = {}
    for lesion in np.unique(ids[ids > 0]).tolist():
        inside = _scaled(ids == lesion, size)
        rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
        boxes[lesion] = (int(columns[0]), int(rows[0]), int(columns[-1]), int(rows[-1]))
        canvas[_outline(inside, thickness)] = colour_of(lesion)
        if filled:
            colour = filled * np.array(colour_of(lesion))
            canvas[inside] = np.rint((1 - filled) * canvas[inside] + colour).astype(np.uint8)
    return Picture(image=Image.fromarray(canvas), boxes=boxes)


def _scaled(inside: NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Scale a region smoothly; a voxel smaller than a pixel still shows."""
    shrinks = size[0] < inside.shape[1] or size[1] < inside.shape[0]
    method = Image.Resampling.BOX if shrinks else Image.Resampling.BILINEAR
    grey = np.asarray(Image.fromarray(inside.astype(np.uint8) * 255).resize(size, method))
    found = grey >= 128
    return found if found.any() else grey >= max(1, int(grey.max()))


def _outline(inside: NDArray[np.bool_], thickness: int) -> NDArray[np.bool_]:
    """Pixels just around a region: the region itself stays visible."""
    grown = np.pad(inside, thickness)
    for _ in range(thickness):
        spread = grown.copy()
        for axis in (0, 1):
            for step in (-1, 1):
                spread |= np.roll(grown, step, axis=axis)
        grown = spread
    return grown[thickness:-thickness, thickness:-thickness] & ~inside
