"""One case as a PDF to file: counts, pictures, a line a lesion, how it was made. Anonymous.

Neither the file's name nor anything from its header is shown; who files it gives a label.
"""

from __future__ import annotations

import math
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from brainmets import __version__
from brainmets.inference.places import BOX_SETTING, HEAD_SETTING
from brainmets.reporting.case_pictures import (
    CasePicture,
    close_ups,
    projections,
    slice_pairs,
    survey,
)
from brainmets.reporting.typeset import typeset
from brainmets.reporting.views import Head, colour_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from brainmets.domain import Lesion, Volume
    from brainmets.reporting.stored import StoredResult

__all__ = ["case_pdf", "facts_of", "text_of"]

TEMPLATE = Path(__file__).with_name("case_report.typ")

CLOSE_UPS = 6
"""Largest lesions shown close up: two pages."""

SURVEY_SLICES, SURVEY_COLUMNS = 15, 5
SLICES_SHOWN = 4

QUALITY = 90


def case_pdf(
    result: StoredResult,
    *,
    image: Volume | None = None,
    label: str = "",
    overview: Path | None = None,
    notify: Callable[[str], None] = lambda _: None,
) -> bytes:
    """Return the report of a case as a PDF.

    Args:
        result: what was found.
        image: what it was found in, on the mask's grid; without it there are no close-ups.
        label: what to call the case; by default the first digits of its content's hash.
        overview: a picture to show where there is no image.
        notify: gets sentences on what could not be printed as it is.

    Raises:
        OptionError: typst is not installed.
    """
    head = None
    if image is not None:
        head = Head(image, result.mask, is_slices=result.kind == "slices")
    with tempfile.TemporaryDirectory(prefix="brainmets-report-") as scratch:
        folder = _Folder(Path(scratch))
        text = text_of(result, label)
        shown = _shown(result, head, folder) if head else _overview(overview, folder)
        template = TEMPLATE.read_text(encoding="utf-8")
        return typeset(template, text | shown, folder.path, notify=notify)


class _Folder:
    """Where pictures lie for the template to place."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._count = 0

    def add(self, picture: CasePicture) -> dict[str, object]:
        """Write a picture; return what the template needs to know of it.

        Pictures in a row get widths in proportion to `share`, so that all are equally high.
        """
        self._count += 1
        name, image = f"picture-{self._count:03d}.jpg", picture.image
        image.save(self.path / name, quality=QUALITY, subsampling=0)  # thin coloured outlines
        share = round(image.width / image.height, 4)
        return {"file": name, "caption": picture.caption, "share": share}


def _overview(overview: Path | None, folder: _Folder) -> dict[str, object]:
    """Show the overview picture alone, or no picture."""
    shown: list[dict[str, object]] = []
    if overview is not None:
        from PIL import Image

        with Image.open(overview) as picture:
            shown.append(folder.add(CasePicture("", picture.convert("RGB"))))
    return {  # after the table: it takes a page of its own
        "overview": [],
        "lesions": [],
        "survey": shown,
        "survey_title": "Overview",
        "survey_columns": 1,
    }


def _shown(result: StoredResult, head: Head, folder: _Folder) -> dict[str, object]:
    if head.is_slices:
        return {
            "overview": [],
            "lesions": [],
            "survey": [folder.add(one) for one in slice_pairs(head, SLICES_SHOWN)],
            "survey_title": "The images with the largest lesions, plain and outlined",
            "survey_columns": 2,
        }
    lesions = by_volume(result)
    largest = lesions[:CLOSE_UPS]
    all_shown = len(largest) == len(lesions)
    return {
        "overview": [folder.add(one) for one in projections(head, lesions)],
        "overview_title": "Lesion locations" if lesions else "The head",
        "lesions": [
            {
                "title": f"Lesion {lesion.id}",
                "facts": facts_of(lesion, result),
                "colour": "#{:02x}{:02x}{:02x}".format(*colour_of(lesion.id)),
                "pictures": [folder.add(one) for one in close_ups(head, lesion)],
            }
            for lesion in largest
        ],
        "lesions_title": "Close up" if all_shown else f"The {len(largest)} largest, close up",
        "survey": [folder.add(one) for one in survey(head, SURVEY_SLICES)],
        "survey_title": "The head from top to base",
        "survey_columns": SURVEY_COLUMNS,
    }


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


def _signature(result: StoredResult) -> str:
    """Say who reviewed a result and when, as far as that is known."""
    when = ""
    if result.read_at is not None:
        when = f"{datetime.fromtimestamp(result.read_at, UTC):%Y-%m-%d %H:%M} UTC"
    return " ".join(filter(None, (result.reader and f"by {result.reader}", when)))


def _headline(result: StoredResult, lesions: tuple[Lesion, ...]) -> list[dict[str, str]]:
    unit = result.mask.geometry.units
    largest = max((v.diameter_in_plane_mm for v in lesions), default=0.0)
    if result.reviewed:
        kept = f"{result.rejected} rejected" if result.rejected else "all kept"
        review = ("Reviewed", ", ".join(filter(None, (kept, _signature(result)))))
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
        if signed := _signature(result):
            review += f"; {signed}"
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
