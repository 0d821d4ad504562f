"""Whether slice images show a head: one connected bright body on a dark background."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from brainmets.domain import Volume

__all__ = ["SliceFacts", "doubts_of_slices", "slice_facts"]

MOST_LOOKED_AT = 24
"""Slices of a stack, spread evenly, that are looked at."""

EDGE = 256
"""Larger slices are read at about this many pixels along their longer edge."""

DARK = 0.12
"""Of the range from the 1st to the 99.5th percentile: darker pixels are background."""

LEAST_DARK_BORDER = 0.55
"""Share of a slice's border that is background; nearly all slices of heads have .78 or more."""

LEAST_ALIKE = 0.85
"""Correlation of neighbouring pixels: above .9 in most slices with brain, 0 in noise."""

LEAST_AREA, MOST_ELONGATED, LEAST_SOLID = 0.03, 2.6, 0.65
"""Of the largest body: share of the slice, ratio of its axes, share of its convex hull."""

LEAST_TEXTURE = 0.02
"""Standard deviation inside the body, of the range: a drawn disc has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceFacts:
    """Measured facts of one slice; shares are 0…1, `texture` is of the range of grey values."""

    dark_border: float
    alike: float
    area: float
    elongated: float
    solid: float
    texture: float

    @property
    def doubt(self) -> str:
        """Return what does not fit a slice of a head, empty where everything does."""
        if self.alike < LEAST_ALIKE:
            return "neighbouring pixels hardly agree, as in noise or a page of text"
        if self.dark_border < LEAST_DARK_BORDER:
            return "the border is not dark, as it is around a head"
        if self.area < LEAST_AREA:
            return "nothing in it is as large as a head"
        if self.elongated > MOST_ELONGATED or self.solid < LEAST_SOLID:
            return "what is bright in it does not have the outline of a head"
        if self.texture < LEAST_TEXTURE:
            return "what is bright in it has no structure"
        return ""


def doubts_of_slices(volume: Volume) -> tuple[str, ...]:
    """Return a warning where no slice of a stack looks like a head; none where one does."""
    count = volume.data.shape[2]
    step = -(-count // MOST_LOOKED_AT)
    doubts = [slice_facts(volume.data[:, :, n]).doubt for n in range(0, count, step)]
    if not all(doubts):
        return ()
    reason = max(set(doubts), key=doubts.count)
    which = "The slice does" if count == 1 else "The slices do"
    return (f"{which} not look like MR of a head: {reason}. What is marked here may mean nothing.",)


def slice_facts(plane: NDArray[np.float32]) -> SliceFacts:
    """Measure one slice (columns, rows)."""
    step = max(1, round(max(plane.shape) / EDGE))
    image = plane[::step, ::step].astype(np.float64)
    low, high = np.percentile(image, (1.0, 99.5))
    image = np.clip((image - low) / max(high - low, 1e-12), 0, 1)
    border = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
    body = _largest_body(image > DARK)
    return SliceFacts(
        dark_border=float(np.mean(border < DARK)),
        alike=_alike(image),
        area=float(body.mean()),
        elongated=_elongated(body),
        solid=_solid(body),
        texture=float(image[body].std()) if body.any() else 0.0,
    )


def _largest_body(bright: NDArray[np.bool_]) -> NDArray[np.bool_]:
    import cc3d

    opened = np.asarray(ndimage.binary_opening(bright), dtype=np.bool_)
    if not opened.any():
        return np.zeros_like(bright)
    labels = np.asarray(cc3d.connected_components(opened, connectivity=4))
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return np.asarray(ndimage.binary_fill_holes(labels == sizes.argmax()), dtype=np.bool_)


def _alike(image: NDArray[np.float64]) -> float:
    """Return the correlation of pixels with their neighbours."""
    centred = image - image.mean()
    variance = float((centred**2).mean())
    if variance <= 1e-12:
        return 0.0
    across = float((centred[1:] * centred[:-1]).mean())
    down = float((centred[:, 1:] * centred[:, :-1]).mean())
    return (across + down) / 2 / variance


def _elongated(body: NDArray[np.bool_]) -> float:
    at = np.argwhere(body)
    if len(at) < 3:
        return float("inf")
    shortest, longest = np.linalg.eigvalsh(np.cov(at.T))
    return float(np.sqrt(longest / max(shortest, 1e-9)))


def _solid(body: NDArray[np.bool_]) -> float:
    """Return the share of the convex hull that the body fills."""
    from scipy.spatial import ConvexHull

    inner = np.asarray(ndimage.binary_erosion(body), dtype=np.bool_)
    at = np.argwhere(body & ~inner)
    if len(at) < 3 or np.ptp(at, axis=0).min() == 0:
        return 0.0
    corners = (at[:, None] + np.argwhere(np.ones((2, 2)))).reshape(-1, 2)
    return float(np.count_nonzero(body) / ConvexHull(corners).volume)
