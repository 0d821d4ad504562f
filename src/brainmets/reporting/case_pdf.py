"""One case as a PDF to file: counts, pictures, a line a lesion, how it was made. Anonymous.

Neither the file's name nor anything from its header is shown; who files it gives a label.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from brainmets.reporting.case_pictures import (
    CasePicture,
    close_ups,
    projections,
    slice_pairs,
    survey,
)
from brainmets.reporting.case_text import by_volume, facts_of, text_of
from brainmets.reporting.typeset import typeset
from brainmets.reporting.views import Head, colour_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from brainmets.domain import Volume
    from brainmets.reporting.stored import StoredResult

__all__ = ["case_pdf"]

TEMPLATE = Path(__file__).with_name("case_report.typ")

CLOSE_UPS = 6
"""Largest lesions shown close up: two pages."""

SURVEY_SLICES, SURVEY_COLUMNS = 20, 5
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
