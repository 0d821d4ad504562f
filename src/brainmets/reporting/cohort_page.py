"""A cohort of results as two tables and a page: what was found, what was refused, what to check."""

from __future__ import annotations

import csv
import html
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from brainmets.domain import RESEARCH_USE_ONLY
from brainmets.io.refused_picture import draw_refused
from brainmets.reporting.documents import LESION_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

__all__ = ["CohortRow", "write_cohort"]

CASE_COLUMNS = (
    "case", "state", "code", "lesions", "total_volume_mm3", "warnings", "seconds", "attempts",
    "worker",
)  # fmt: skip
MOST_SHOWN = 12
"""Results with pictures on the page."""

PICTURES = "refused"

STYLE = """body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem}
figure{display:inline-block;margin:0 1rem 1.5rem 0;vertical-align:top;max-width:34rem}
img{max-width:100%;background:#000}
table{border-collapse:collapse}td,th{padding:.2rem .8rem .2rem 0;text-align:left}"""


@dataclass(frozen=True, slots=True, kw_only=True)
class CohortRow:
    """One case of a cohort: its input, and its result or why it has none.

    `result` holds `lesions`, `total_volume_mm3` and `warnings`.
    """

    case: str
    source: Path
    result: Mapping[str, Any] | None
    code: str = ""
    error: str = ""
    seconds: float = 0.0
    attempts: int = 0
    worker: str = ""


def write_cohort(folder: Path, rows: Sequence[CohortRow]) -> dict[str, Path]:
    """Write cohort.csv (a row a lesion), cases.csv (a row a case) and summary.html.

    The page links to `CASE/overlay.png` of the results in `folder`.
    """
    pictures = {row.case: _picture_of_refused(folder, row) for row in rows if row.result is None}
    texts = {
        "cohort.csv": _lesion_table(folder, rows),
        "cases.csv": _case_table(rows),
        "summary.html": _page(rows, pictures),
    }
    for name, text in texts.items():
        part = folder / f".{name}.part"
        part.write_text(text, encoding="utf-8")
        part.replace(folder / name)
    return {name: folder / name for name in texts}


def _lesion_table(folder: Path, rows: Iterable[CohortRow]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(("case", *LESION_COLUMNS))
    for row in rows:
        if row.result is None:
            continue
        with (folder / row.case / "lesions.csv").open(encoding="utf-8", newline="") as file:
            writer.writerows([row.case, *line] for line in list(csv.reader(file))[1:])
    return buffer.getvalue()


def _case_table(rows: Iterable[CohortRow]) -> str:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, CASE_COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        result = row.result or {}
        writer.writerow(
            {
                "case": row.case,
                "state": "failed" if row.result is None else "done",
                "code": row.code,
                "lesions": result.get("lesions", ""),
                "total_volume_mm3": result.get("total_volume_mm3", ""),
                "warnings": " ".join(result.get("warnings", ())),
                "seconds": row.seconds,
                "attempts": row.attempts,
                "worker": row.worker,
            }
        )
    return buffer.getvalue()


def _picture_of_refused(folder: Path, row: CohortRow) -> str | None:
    image = draw_refused(row.source)
    if image is None:
        return None
    (folder / PICTURES).mkdir(exist_ok=True)
    image.save(folder / PICTURES / f"{row.case}.png")
    return f"{PICTURES}/{quote(row.case)}.png"


def _page(rows: Sequence[CohortRow], pictures: Mapping[str, str | None]) -> str:
    done = [(row, row.result) for row in rows if row.result is not None]
    refused = [row for row in rows if row.result is None]
    done.sort(key=lambda one: (-len(one[1]["warnings"]), -one[1]["lesions"], one[0].case))
    lesions = sum(result["lesions"] for _, result in done)
    facts = {
        "Cases": len(rows),
        "Segmented": len(done),
        "Failed": len(refused),
        "Lesions": lesions,
        "Cases without a lesion": sum(result["lesions"] == 0 for _, result in done),
        "Cases with a warning": sum(bool(result["warnings"]) for _, result in done),
    }
    table = "".join(f"<tr><th>{name}</th><td>{value}</td></tr>" for name, value in facts.items())
    parts = [f"<h1>Cohort</h1><p><b>{RESEARCH_USE_ONLY}</b></p><table>{table}</table>"]
    parts.append(
        "<p>Every lesion is in <a href='cohort.csv'>cohort.csv</a>, every case in "
        "<a href='cases.csv'>cases.csv</a>.</p>"
    )
    if refused:
        parts.append(f"<h2>Failed ({len(refused)})</h2>")
        parts += [_figure(row.case, pictures[row.case], row.error) for row in refused]
    if done:
        parts.append(
            "<h2>Check these first</h2><p>Results with the most warnings, then those with the "
            f"most lesions; at most {MOST_SHOWN} are shown.</p>"
        )
        parts += [_result_figure(row, result) for row, result in done[:MOST_SHOWN]]
    return (
        f"<!doctype html><html lang='en'><meta charset='utf-8'><title>Cohort</title>"
        f"<style>{STYLE}</style>{''.join(parts)}</html>\n"
    )


def _result_figure(row: CohortRow, result: Mapping[str, Any]) -> str:
    count = result["lesions"]
    text = f"{count} lesion{'' if count == 1 else 's'}, {result['total_volume_mm3']:.0f} mm³"
    return _figure(
        row.case, f"{quote(row.case)}/overlay.png", " ".join([f"{text}.", *result["warnings"]])
    )


def _figure(case: str, picture: str | None, text: str) -> str:
    image = f"<a href='{picture}'><img src='{picture}' alt=''></a>" if picture else ""
    return (
        f"<figure>{image}<figcaption><b>{html.escape(case)}</b> {html.escape(text)}"
        f"{'' if picture else ' No picture: the input could not be decoded.'}</figcaption></figure>"
    )
