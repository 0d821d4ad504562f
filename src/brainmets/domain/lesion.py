"""A lesion as a clinician would describe it: where, how large, how sure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

__all__ = ["Lesion", "Side"]

Side = Literal["left", "right", "midline", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesion:
    """One connected lesion, measured on the input's own grid.

    Diameters run between voxel centres plus one voxel, so a single voxel has its own width and a
    ball cut into voxels measures about half a pixel more than it is (`domain.diameters`).
    `diameter_in_plane_mm` is the longest in any one acquired slice and
    `perpendicular_mm` the longest at right angles to it in that slice (RANO-BM);
    `diameter_3d_mm` the longest in space. For slice images without a known spacing every
    "mm" is a pixel and `side` is "unknown".
    """

    id: int
    voxels: int
    volume_mm3: float
    diameter_in_plane_mm: float
    perpendicular_mm: float
    diameter_3d_mm: float
    centroid_ras_mm: tuple[float, float, float]
    centroid_voxel: tuple[float, float, float]
    slice_index: int
    """Index along the slice axis of the slice that holds the longest in-plane diameter."""
    side: Side
    peak_probability: float
    mean_probability: float
    """Both NaN where no network has seen the lesion: drawn, or measured in a mask."""
    place: str = ""
    """Side and structure, as "right cerebellar hemisphere" or "left frontal lobe (approximate)";
    where the anatomy is not known, side and outer thirds of the head, as "left anterior superior"
    or "right central"; empty where nothing is known of the head."""

    @property
    def where(self) -> str:
        """The place for a reader, in the same words everywhere; empty where none is known."""
        return self.place or ("" if self.side == "unknown" else self.side)

    @property
    def peak_text(self) -> str:
        """The peak probability for a reader: two digits, or a dash where there is none."""
        return "–" if math.isnan(self.peak_probability) else f"{self.peak_probability:.2f}"
