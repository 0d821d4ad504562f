"""A follow-up as tables and JSON: days since the first scan, never dates."""

from __future__ import annotations

import csv
import io
from dataclasses import asdict
from typing import TYPE_CHECKING

from brainmets import __version__
from brainmets.domain import plain_cell
from brainmets.reporting.documents import rounded

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from brainmets.reporting.followup_timeline import Timeline
    from brainmets.tracking import Response, Sighting, TrackedLesion

__all__ = [
    "FOLLOWUP_SCHEMA",
    "RESPONSE_COLUMNS",
    "TRACKED_COLUMNS",
    "followup_document",
    "response_csv",
    "tracked_csv",
]

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
