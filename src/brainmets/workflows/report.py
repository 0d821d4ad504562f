"""A result as a PDF report with pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from brainmets.io.nifti_write import write_atomically
from brainmets.reporting.case_pdf import case_pdf
from brainmets.reporting.stored import read_result
from brainmets.workflows.segmented_image import read_segmented

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["OVERVIEW", "ReportOptions", "write_report"]

OVERVIEW = "overlay.png"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportOptions:
    """How to report.

    `source` is the image that was segmented; without it the overview picture of the result
    stands in for the report's own, unless lesions were reviewed or edited since. `series`
    chooses among several. `label` names the case. `original` leaves a reader's corrections
    aside, `review` is the folder that holds them, by default the result's own.
    """

    source: Path | None = None
    series: str | None = None
    label: str = ""
    original: bool = False
    review: Path | None = None


def write_report(
    folder: Path,
    path: Path,
    options: ReportOptions | None = None,
    *,
    notify: Callable[[str], None] = lambda _: None,
) -> Path:
    """Write the PDF report of what `segment` left in `folder`, replacing an earlier one.

    `notify` gets sentences on what the report lacks.

    Raises:
        NotAResult: `folder` holds no result.
        InputError: the source cannot be used, or is not what was segmented.
        OptionError: typst, which typesets the pages, is not installed.
        OutputExists, DiskFull: the file cannot be written.
    """
    options = options or ReportOptions()
    result = read_result(folder, review=options.review, original=options.original)
    overview: Path | None = folder / OVERVIEW
    image = None
    if options.source is not None:
        image = read_segmented(result, options.source, series=options.series)
    elif result.reviewed or result.edited:
        overview = None
        notify("Without --source the report has no pictures: the overview shows the lesions found.")
    else:
        notify("Without --source the report has no close-ups.")
    content = case_pdf(
        result,
        image=image,
        label=options.label,
        overview=overview if overview and overview.is_file() else None,
        notify=notify,
    )
    return write_atomically(path, content)
