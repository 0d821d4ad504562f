"""The result files of a follow-up: tables, JSON, chart, scans registered to the first."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING

from brainmets.io import write_mask, write_volume
from brainmets.reporting.documents import report_json
from brainmets.reporting.followup_chart import chart_svg
from brainmets.reporting.followup_documents import (
    FOLLOWUP_SCHEMA,
    followup_document,
    response_csv,
    tracked_csv,
)
from brainmets.reporting.staging import check_output, staged

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from brainmets.reporting.followup_timeline import Timeline

__all__ = ["RESULTS", "TRACKED", "followup_folder", "write_followup"]

TRACKED = "tracked.json"
RESULTS = "results"
"""Folder for the results of scans that were segmented on the way."""

ALIGNED = "aligned"
"""Folder for what is on the first scan's grid."""

OWNED = frozenset(
    {TRACKED, "tracked.csv", "response.csv", "chart.svg", "report.pdf", ALIGNED, RESULTS}
)


@contextmanager
def followup_folder(out: Path, *, overwrite: bool) -> Generator[Path, None, None]:
    """Give a folder to write into, whose content becomes that of `out` all at once.

    Raises:
        OutputExists: `out` holds something; `overwrite` lets an earlier follow-up be replaced.
    """
    check_output(out, may_replace=lambda folder: overwrite and _is_followup(folder))
    with staged(out, owned=OWNED) as folder:
        yield folder


def write_followup(
    timeline: Timeline, folder: Path, *, pdf: bool = False, label: str = ""
) -> dict[str, str]:
    """Write every file of a follow-up into `folder`; return their names by kind.

    `aligned` holds, on the first scan's grid, each later scan as scan-2.nii.gz and so on and for
    every scan the lesions under their lasting numbers as scan-1-lesions.nii.gz and so on.

    Raises:
        OptionError: typst, which typesets the PDF, is not installed.
        DiskFull, OutputDiffers: the disk does not take the files.
    """
    names = {
        "json": TRACKED,
        "csv": "tracked.csv",
        "responses": "response.csv",
        "chart": "chart.svg",
        "aligned": ALIGNED,
    }
    if pdf:
        from brainmets.reporting.followup_pdf import followup_pdf

        names["pdf"] = "report.pdf"
        (folder / "report.pdf").write_bytes(followup_pdf(timeline, label=label))
    (folder / "chart.svg").write_text(chart_svg(timeline.followup), encoding="utf-8")
    (folder / "tracked.csv").write_text(tracked_csv(timeline), encoding="utf-8")
    (folder / "response.csv").write_text(response_csv(timeline), encoding="utf-8")
    (folder / ALIGNED).mkdir()
    for number, scan in enumerate(timeline.scans, start=1):
        if number > 1:
            write_volume(scan.image, folder / ALIGNED / f"scan-{number}.nii.gz")
        write_mask(
            scan.labels,
            folder / ALIGNED / f"scan-{number}-lesions.nii.gz",
            comment=f"Lesions of scan {number}, under the numbers of {TRACKED}. {timeline.notice}",
        )
    files = sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())
    document = followup_document(timeline, files=tuple(files))
    (folder / TRACKED).write_text(report_json(document), encoding="utf-8")
    return names


def _is_followup(folder: Path) -> bool:
    try:
        document = json.loads((folder / TRACKED).read_text(encoding="utf-8"))
        return document["schema"].partition("/")[0] == FOLLOWUP_SCHEMA.partition("/")[0]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
