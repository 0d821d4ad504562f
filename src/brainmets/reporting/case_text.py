"""The words and numbers of a case's report."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from brainmets import __version__
from brainmets.inference.box_places import BOX_SETTING, HEAD_SETTING

if TYPE_CHECKING:
    from brainmets.domain import Lesion
    from brainmets.reporting.stored import StoredResult

__all__ = ["by_volume", "facts_of", "text_of"]

NOTE_MM = (
    "In plane: the longest diameter in one acquired slice × the longest at right angles to it in"
    " that slice (RANO-BM). 3-D: the longest in space. Place: the structure"
    " found around the lesion; lobes from the place in the brain, so that within 10 mm of a border"
    " the next one is as likely. Where no brain was found: side, and the outer third of the head"
    " (anterior or posterior, superior or inferior; central: none of these). Confidence: its"
    " highest and mean probability."
)
NOTE_SLICES = (
    "Longest diameter × the longest at right angles to it. Confidence: its highest and mean"
    " probability."
)
NOTE_PX = " The images carry no spacing: lengths and areas are in pixels."
LIMITS = (
    "A network marks what looks like the lesions it was trained on. It misses some, small ones most"
    " of all, and it marks vessels, sinuses and other enhancement. Numbers are only as right as"
    " the outlines in the pictures: look at them."
)
BOXES = frozenset({BOX_SETTING, HEAD_SETTING})
"""Settings that name places and tell a reader nothing."""


def by_volume(result: StoredResult) -> tuple[Lesion, ...]:
    """Return the lesions, largest first."""
    return tuple(sorted(result.lesions, key=lambda lesion: (-lesion.volume_mm3, lesion.id)))


def text_of(result: StoredResult, label: str) -> dict[str, object]:
    """Return all text of the report, by the names that the template uses."""
    made, lesions = result.provenance, by_volume(result)
    images = result.kind == "slices"
    return {
        "title": "Brain lesions in MRI",
        "label": label or f"case {made.input_sha256[:12]}",
        "made": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "model": made.model,
        "version": __version__,
        "notice": result.notice,
        "warnings": list(result.warnings),
        "facts": _headline(result, lesions),
        "none_found": _nothing(result),
        "columns": _columns(result),
        "rows": [_row(lesion, result) for lesion in lesions],
        "table_note": (NOTE_SLICES if images else NOTE_MM)
        + NOTE_PX * (result.mask.geometry.units == "px"),
        "provenance": _provenance(result),
        "limits": LIMITS,
    }


def facts_of(lesion: Lesion, result: StoredResult) -> str:
    """Tell a lesion in one line."""
    unit = result.mask.geometry.units
    parts = [
        _size(lesion, result),
        f"{lesion.diameter_in_plane_mm:.1f} × {lesion.perpendicular_mm:.1f} {unit}",
        lesion.where,
        f"confidence {lesion.peak_text}",
        *said_of(lesion, result),
    ]
    return " · ".join(part for part in parts if part)


def said_of(lesion: Lesion, result: StoredResult) -> list[str]:
    """Return a reader's label and comment of a lesion, as far as there are any."""
    said = result.readings.get(lesion.id, ())
    return [part.replace("_", " ") if at == 0 else part for at, part in enumerate(said) if part]


def _headline(result: StoredResult, lesions: tuple[Lesion, ...]) -> list[dict[str, str]]:
    unit = result.mask.geometry.units
    largest = max((v.diameter_in_plane_mm for v in lesions), default=0.0)
    if result.reviewed:
        review = ("Reviewed", f"{result.rejected} rejected" if result.rejected else "all kept")
    else:
        review = ("Not reviewed", "")
    size, size_unit = _amount(sum(v.volume_mm3 for v in lesions), result)
    return [
        {"name": "Lesions", "value": str(len(lesions)), "note": ""},
        {
            "name": "Total area" if result.kind == "slices" else "Total volume",
            "value": size,
            "note": size_unit,
        },
        {
            "name": "Longest diameter",
            "value": f"{largest:.1f}" if lesions else "–",
            "note": unit if lesions else "",
        },
        {"name": "By a person", "value": review[0], "note": review[1]},
    ]


def _columns(result: StoredResult) -> list[dict[str, object]]:
    unit = result.mask.geometry.units
    _, size_unit = _amount(0.0, result)
    columns = [("", False), (f"{size_unit}", False), (f"In plane, {unit}", False)]
    if result.kind == "volume":
        columns += [("3-D, mm", False), ("Place", True), ("Centre R, A, S mm", False)]
    columns += [("Image" if result.kind == "slices" else "Slice", False)]
    columns += [("Confidence", False)]
    columns += [("Reader", True)] * bool(result.readings)
    return [{"name": name, "left": left, "wide": left} for name, left in columns]


def _row(lesion: Lesion, result: StoredResult) -> list[str]:
    cells = [
        str(lesion.id),
        _amount(lesion.volume_mm3, result)[0],
        f"{lesion.diameter_in_plane_mm:.1f} × {lesion.perpendicular_mm:.1f}",
    ]
    if result.kind == "volume":
        centre = ", ".join(f"{mm:.0f}" for mm in lesion.centroid_ras_mm).replace("-", "−")
        cells += [f"{lesion.diameter_3d_mm:.1f}", lesion.where, centre]
    confidence = lesion.peak_text
    if not math.isnan(lesion.mean_probability):
        confidence += f" ({lesion.mean_probability:.2f})"
    said = [": ".join(said_of(lesion, result))] * bool(result.readings)
    return [*cells, str(lesion.slice_index + 1), confidence, *said]


def _size(lesion: Lesion, result: StoredResult) -> str:
    return " ".join(_amount(lesion.volume_mm3, result))


def _amount(volume_mm3: float, result: StoredResult) -> tuple[str, str]:
    """A volume, or the area of slices, as a number and its unit."""
    geometry = result.mask.geometry
    if geometry.units == "px":
        return f"{volume_mm3:.0f}", "px"
    if result.kind == "slices":
        return f"{volume_mm3 / geometry.spacing_mm[2]:.0f}", "mm²"
    millilitres = volume_mm3 / 1000
    return f"{millilitres:.{1 if millilitres >= 10 else 2 if millilitres >= 1 else 3}f}", "mL"


def _nothing(result: StoredResult) -> str:
    if result.reviewed and result.rejected:
        return f"No lesion is left: a reader rejected all {result.rejected} that were found."
    return "No lesion above the operating point."


def _provenance(result: StoredResult) -> list[tuple[str, str]]:
    made, geometry = result.provenance, result.mask.geometry
    size = " × ".join(map(str, geometry.shape))
    spacing = " × ".join(f"{mm:.3g}" for mm in geometry.spacing_mm)
    review = "not looked at by a person"
    if result.reviewed:
        review = f"reviewed; {result.rejected} of the lesions found were rejected"
    return [
        ("Program", f"brainmets {made.code_version}, {made.engine}"),
        ("Model", f"{made.model}, sha256 {made.model_sha256}"),
        ("Input", f"{result.format}, {', '.join(result.sequences)}, sha256 {made.input_sha256}"),
        ("Grid", f"{size} voxels of {spacing} {geometry.units}, axes {geometry.axis_codes}"),
        (
            "Settings",
            ", ".join(
                f"{name} {value}" for name, value in made.settings.items() if name not in BOXES
            ),
        ),
        ("Lesions", review),
    ]
