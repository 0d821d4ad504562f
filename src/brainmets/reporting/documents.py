"""A report as report.json and lesions.csv."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import asdict
from typing import TYPE_CHECKING

from brainmets.domain import plain_cell

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from brainmets.domain import Lesion, Provenance, Report, Units

__all__ = [
    "LESION_COLUMNS",
    "SCHEMA",
    "lesions_csv",
    "lesions_document",
    "lesions_table",
    "mask_comment",
    "report_document",
    "report_json",
    "rounded",
]

SCHEMA = "brainmets-report/1"
"""Name and version of the layout of report.json; the number rises when a field changes."""

LESION_COLUMNS = (
    "id",
    "volume_mm3",
    "diameter_in_plane_mm",
    "perpendicular_mm",
    "diameter_3d_mm",
    "centroid_x_ras_mm",
    "centroid_y_ras_mm",
    "centroid_z_ras_mm",
    "side",
    "place",
    "slice_index",
    "slice_name",
    "voxels",
    "peak_probability",
    "mean_probability",
    "unit",
    "model",
    "model_sha256",
    "input_sha256",
    "notice",
)
"""Columns of lesions.csv. Where `unit` is px, every "mm" is a pixel."""

READING_COLUMNS = ("label", "comment")
"""Further columns where a reader has labelled lesions."""

DECIMALS = 4


def report_document(
    report: Report,
    *,
    timings: Mapping[str, float] | None = None,
    files: tuple[str, ...] = (),
) -> dict[str, object]:
    """Return what report.json holds; every number is finite.

    Args:
        report: the prediction and its case.
        timings: seconds by stage.
        files: names of what was written next to it.
    """
    case, prediction, geometry = report.case, report.prediction, report.case.geometry
    return {
        "schema": SCHEMA,
        "notice": report.notice,
        "case": {
            "id": case.case_id,
            "kind": case.kind,
            "format": case.source.format,
            "sha256": case.source.sha256,
            "sequences": sorted(case.images),
            "shape": list(geometry.shape),
            "spacing": [rounded(s) for s in geometry.spacing_mm],
            "unit": geometry.units,
            "orientation": geometry.axis_codes,
            "affine": geometry.affine.tolist(),
            "slice_names": list(case.source.slice_names),
        },
        "provenance": rounded(asdict(prediction.provenance)),
        **lesions_document(prediction.lesions),
        "warnings": list(report.warnings),
        "timings_s": rounded(dict(timings or {})),
        "files": list(files),
    }


def lesions_document(lesions: tuple[Lesion, ...]) -> dict[str, object]:
    """Return the parts of report.json that tell of the lesions: `summary` and `lesions`."""
    return {
        "summary": {
            "lesions": len(lesions),
            "total_volume_mm3": rounded(sum(v.volume_mm3 for v in lesions)),
        },
        "lesions": [rounded(asdict(lesion)) for lesion in lesions],
    }


def report_json(document: Mapping[str, object]) -> str:
    """Write a document as JSON, refusing NaN and infinity."""
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def lesions_csv(report: Report) -> str:
    """Return one line a lesion, largest first, under `LESION_COLUMNS`."""
    case, prediction = report.case, report.prediction
    return lesions_table(
        prediction.lesions,
        prediction.provenance,
        units=case.geometry.units,
        notice=report.notice,
        slice_names=case.source.slice_names if case.kind == "slices" else (),
    )


def lesions_table(
    lesions: Iterable[Lesion],
    provenance: Provenance,
    *,
    units: Units,
    notice: str,
    slice_names: tuple[str, ...] = (),
    readings: Mapping[int, tuple[str, str]] | None = None,
) -> str:
    """Return one line a lesion, in the order given, under `LESION_COLUMNS`.

    A reader's `readings`, label and comment by lesion, add columns of their own.
    """
    columns = (*LESION_COLUMNS, *(READING_COLUMNS if readings else ()))
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    for lesion in lesions:
        x, y, z = lesion.centroid_ras_mm
        named = lesion.slice_index < len(slice_names)
        row = {name: rounded(value) for name, value in asdict(lesion).items()} | {
            "centroid_x_ras_mm": rounded(x),
            "centroid_y_ras_mm": rounded(y),
            "centroid_z_ras_mm": rounded(z),
            "slice_name": plain_cell(slice_names[lesion.slice_index]) if named else "",
            "unit": units,
            "model": provenance.model,
            "model_sha256": provenance.model_sha256,
            "input_sha256": provenance.input_sha256,
            "notice": notice,
        }
        label, comment = (readings or {}).get(lesion.id, ("", ""))
        row |= {"label": label, "comment": plain_cell(comment)}
        writer.writerow([row[column] for column in columns])
    return buffer.getvalue()


def rounded(value: object) -> object:
    """Floats to four decimals, NaN as None, through mappings and sequences."""
    if isinstance(value, float):
        return None if math.isnan(value) else round(value, DECIMALS)
    if isinstance(value, dict):
        return {str(k): rounded(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [rounded(v) for v in value]
    return value


def mask_comment(provenance: Provenance, *, notice: str, reviewed: bool = False) -> str:
    """Return what a NIfTI mask says of itself, in a header extension: JSON."""
    told = {"notice": notice, "provenance": asdict(provenance), "reviewed": reviewed}
    return json.dumps(told)
