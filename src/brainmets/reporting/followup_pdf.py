"""A follow-up as a PDF: response categories, chart, tables, each lesion over time. Anonymous."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from brainmets import __version__
from brainmets.reporting.case_pictures import CasePicture
from brainmets.reporting.followup_chart import BADGE, chart_svg
from brainmets.reporting.typeset import typeset
from brainmets.reporting.views import Head, colour_of

if TYPE_CHECKING:
    from brainmets.reporting.followup_timeline import AlignedScan, Timeline
    from brainmets.tracking import Response, Sighting, TrackedLesion

__all__ = ["followup_pdf"]

TEMPLATE = Path(__file__).with_name("followup_report.typ")

MOST_STRIPS = 12
QUALITY = 90

NOTE = (
    "Longest diameter in one acquired slice of each scan, mm; of lesions in several parts the sum."
    " * target: counted in the sum. Growing: 20 % and 2 mm above the nadir; shrinking:"
    " 30 % and 2 mm below the first. RANO-BM (Lin et al. 2015) also weighs corticosteroids and the"
    " clinical state, which are not known here."
)
LIMITS = (
    "Sizes follow from outlines that a network drew, unless a reader has corrected them; a small"
    " change may be the outline's, not the lesion's. Look at the pictures."
)


def followup_pdf(timeline: Timeline, *, label: str = "") -> bytes:
    """Return the report of a follow-up as a PDF; `label` is what it calls the patient.

    Raises:
        OptionError: typst is not installed.
    """
    followup = timeline.followup
    names = [
        f"Scan {number}" if day is None else f"Day {day}"
        for number, day in enumerate(followup.days, start=1)
    ]
    with tempfile.TemporaryDirectory(prefix="brainmets-followup-") as scratch:
        folder = Path(scratch)
        (folder / "chart.svg").write_text(chart_svg(followup), encoding="utf-8")
        data = {
            "title": "Brain lesions over time",
            "label": label or "unnamed patient",
            "made": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
            "version": __version__,
            "notice": timeline.notice,
            "limits": LIMITS,
            "warnings": list(timeline.warnings),
            "scans": names,
            "responses": [
                _verdict(name, one) for name, one in zip(names, followup.responses, strict=True)
            ],
            "rows": [_row(lesion) for lesion in followup.lesions],
            "note": NOTE,
            "strips": _strips(timeline, names, folder),
            "provenance": [
                {"name": name, "text": _provenance(scan)}
                for name, scan in zip(names, timeline.scans, strict=True)
            ],
        }
        return typeset(TEMPLATE.read_text(encoding="utf-8"), data, folder)


def _verdict(name: str, response: Response) -> dict[str, str]:
    category = response.category or "baseline"
    reasons = list(response.reasons)
    if response.confirmed is not None:
        reasons.append("confirmed" if response.confirmed else "not yet confirmed by a later scan")
    return {
        "scan": name,
        "category": category,
        "colour": BADGE.get(category, "#66707a"),
        "sum": "–" if response.sum_mm is None else f"{response.sum_mm:.1f}",
        "first": _share(response.change_from_first),
        "smallest": _share(response.change_from_smallest),
        "reasons": "; ".join(reasons),
    }


def _row(lesion: TrackedLesion) -> list[str]:
    return [f"{lesion.id}{'*' * lesion.target}", *(told(one) for one in lesion.sightings)]


def _strips(timeline: Timeline, names: list[str], folder: Path) -> list[dict[str, object]]:
    """Show targets first, then what changes most."""
    order = sorted(timeline.followup.lesions, key=lambda one: (not one.target, one.id))
    strips = Strips(timeline)
    shown: list[dict[str, object]] = []
    for lesion in order[:MOST_STRIPS]:
        files: list[dict[str, str]] = []
        for scan, picture in zip(names, strips.of(lesion), strict=True):
            file = f"lesion-{lesion.id}-{len(files) + 1}.jpg"
            picture.image.save(folder / file, quality=QUALITY, subsampling=0)
            files.append({"file": file, "caption": f"{scan}: {picture.caption}"})
        colour = "#{:02x}{:02x}{:02x}".format(*colour_of(lesion.id))
        title = f"Lesion {lesion.id}{', target' * lesion.target}"
        shown.append({"title": title, "colour": colour, "pictures": files})
    return shown


def _provenance(scan: AlignedScan) -> str:
    made = scan.provenance
    spacing = " × ".join(f"{mm:.3g}" for mm in scan.spacing_mm)
    parts = [
        f"{made.model} (sha256 {made.model_sha256[:16]}), brainmets {made.code_version}",
        f"input sha256 {made.input_sha256[:16]}",
        f"voxels of {spacing} mm",
        "reviewed by a reader" if scan.reviewed else "not looked at by a person",
    ]
    if scan.similarity is not None:
        parts.append(
            f"registered to the first scan with similarity {scan.similarity:.2f},"
            f" standard error {scan.error_mm:.2f} mm"
        )
    return "; ".join(parts)


def _share(change: float | None) -> str:
    return "–" if change is None else f"{change:+.0%}".replace("-", "−")


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
