"""A lesion at the same place in every scan, side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from brainmets.reporting.case_pictures import CasePicture
from brainmets.reporting.views import Head

if TYPE_CHECKING:
    from brainmets.reporting.followup_timeline import Timeline
    from brainmets.tracking import Sighting, TrackedLesion

__all__ = ["Strips", "told"]

EDGE_MM = 56.0
PX_PER_MM = 6.0


class Strips:
    """Cuts the same axial plane out of all scans of a follow-up."""

    def __init__(self, timeline: Timeline) -> None:
        """Prepare every scan; all are shown in the first one's frame, each in its own window."""
        self._heads = [Head(scan.image, scan.labels) for scan in timeline.scans]
        for head in self._heads[1:]:
            head.box = self._heads[0].box

    def of(self, lesion: TrackedLesion) -> list[CasePicture]:
        """Cut a strip through where a lesion was first seen, a picture a scan."""
        first = self._heads[0]
        at = first.geometry.to_voxel(lesion.place_ras_mm)
        k = int(np.clip(round(float(at[2])), 0, first.grey.shape[2] - 1))
        half = EDGE_MM * PX_PER_MM / 2
        x, y = (
            (first.box[axis][1] - float(at[axis]) - 0.5) * first.spacing_mm[axis] * PX_PER_MM
            for axis in (0, 1)
        )
        box = round(x - half), round(y - half), round(x + half), round(y + half)
        return [
            CasePicture(told(sighting), head.cut("axial", k, px_per_mm=PX_PER_MM).image.crop(box))
            for head, sighting in zip(self._heads, lesion.sightings, strict=True)
        ]


def told(sighting: Sighting) -> str:
    """Tell what a lesion is in a scan in two words, such as "growing 14.2 mm"."""
    if sighting.into is not None:
        return f"merged into {sighting.into}"
    if not sighting.seen or sighting.diameter_mm is None:
        return sighting.state
    return f"{sighting.state} {sighting.diameter_mm:.1f} mm"
