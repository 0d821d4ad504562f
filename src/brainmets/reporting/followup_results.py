"""The result files of a follow-up: tables, JSON, chart, scans registered to the first."""

from __future__ import annotations

import csv
import io
import json
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING

from brainmets import __version__
from brainmets.domain import plain_cell
from brainmets.io import write_mask, write_volume
from brainmets.reporting.documents import report_json, rounded
from brainmets.reporting.followup_chart import chart_svg
from brainmets.reporting.staging import check_output, staged

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Sequence
    from pathlib import Path

    from brainmets.reporting.followup_timeline import Timeline
    from brainmets.tracking import Response, Sighting, TrackedLesion

__all__ = [
    "RESPONSE_COLUMNS",
    "RESULTS",
    "TRACKED",
    "TRACKED_COLUMNS",
    "followup_folder",
    "write_followup",
]

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


FOLLOWUP_SCHEMA = "brainmets-followup/1"
"""Name and version of the layout of tracked.json; the number rises when a field changes."""

TRACKED_COLUMNS = (
    "lesion",
    "target",
    "scan",
    "days",
    "state",
    "diameter_mm",
    "across_mm",
    "volume_mm3",
    "change_from_first",
    "change_from_smallest",
    "merged_into",
    "parts",
    "wholly_imaged",
    "notes",
    "x_ras_mm",
    "y_ras_mm",
    "z_ras_mm",
    "model",
    "model_sha256",
    "input_sha256",
    "notice",
)
"""Columns of tracked.csv, a line for each lesion in each scan; the place is the first scan's."""

RESPONSE_COLUMNS = (
    "scan",
    "days",
    "category",
    "confirmed",
    "sum_mm",
    "first_sum_mm",
    "smallest_sum_mm",
    "change_from_first",
    "change_from_smallest",
    "reasons",
    "notice",
)
"""Columns of response.csv, a line for each scan."""


def followup_document(timeline: Timeline, *, files: tuple[str, ...] = ()) -> dict[str, object]:
    """Return what tracked.json holds; every number is finite."""
    followup = timeline.followup
    return {
        "schema": FOLLOWUP_SCHEMA,
        "notice": timeline.notice,
        "code_version": __version__,
        "rules": rounded(asdict(followup.rules)),
        "scans": [
            rounded(
                {
                    "scan": number,
                    "days": days,
                    "spacing_mm": list(scan.spacing_mm),
                    "reviewed": scan.reviewed,
                    "registration": None
                    if scan.similarity is None
                    else {
                        "similarity": scan.similarity,
                        "shared": scan.shared,
                        "error_mm": scan.error_mm,
                        "doubtful": scan.doubtful,
                        "first_to_this_ras": scan.motion.matrix.tolist(),
                    },
                    "provenance": asdict(scan.provenance),
                    "warnings": list(scan.warnings),
                }
            )
            for number, (scan, days) in enumerate(
                zip(timeline.scans, followup.days, strict=True), start=1
            )
        ],
        "lesions": [_lesion(lesion) for lesion in followup.lesions],
        "responses": [_response(response) for response in followup.responses],
        "warnings": list(timeline.warnings),
        "files": list(files),
    }


def _lesion(lesion: TrackedLesion) -> object:
    return rounded(
        {
            "id": lesion.id,
            "target": lesion.target,
            "place_ras_mm": list(lesion.place_ras_mm),
            "sightings": [asdict(one) | _changes(one) for one in lesion.sightings],
        }
    )


def _response(response: Response) -> object:
    return rounded(asdict(response) | _changes(response))


def _changes(one: Sighting | Response) -> dict[str, float | None]:
    return {
        "change_from_first": one.change_from_first,
        "change_from_smallest": one.change_from_smallest,
    }


def tracked_csv(timeline: Timeline) -> str:
    """Return a line for each lesion in each scan under `TRACKED_COLUMNS`."""
    return _table(TRACKED_COLUMNS, _tracked_rows(timeline))


def _tracked_rows(timeline: Timeline) -> Iterable[Sequence[object]]:
    for lesion in timeline.followup.lesions:
        for number, (one, days, scan) in enumerate(
            zip(lesion.sightings, timeline.followup.days, timeline.scans, strict=True), start=1
        ):
            made = scan.provenance
            yield (
                *(lesion.id, lesion.target, number, days, one.state),
                *(one.diameter_mm, one.across_mm, one.volume_mm3),
                *(one.change_from_first, one.change_from_smallest, one.into),
                *(len(one.parts), one.whole, "; ".join(one.notes), *lesion.place_ras_mm),
                *(made.model, made.model_sha256, made.input_sha256, timeline.notice),
            )


def response_csv(timeline: Timeline) -> str:
    """Return a line for each scan under `RESPONSE_COLUMNS`."""
    rows = (
        (
            *(number, days, one.category or "first", one.confirmed),
            *(one.sum_mm, one.first_mm, one.smallest_mm),
            *(one.change_from_first, one.change_from_smallest),
            *("; ".join(one.reasons), timeline.notice),
        )
        for number, (one, days) in enumerate(
            zip(timeline.followup.responses, timeline.followup.days, strict=True), start=1
        )
    )
    return _table(RESPONSE_COLUMNS, rows)


def _table(columns: tuple[str, ...], rows: Iterable[Sequence[object]]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(value) for value in row])
    return buffer.getvalue()


def _cell(value: object) -> object:
    if value is None:
        return ""
    return plain_cell(value) if isinstance(value, str) else rounded(value)
