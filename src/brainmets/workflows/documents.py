"""Figures as files: JSON that holds no NaN, tables as CSV, all files of a report or none."""

from __future__ import annotations

import csv
import io
import math
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from brainmets.domain import plain_cell

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["csv_text", "plain", "write_files"]


def plain(value: Any) -> Any:
    """Return the value with NaN as null and infinity as a word, which JSON can hold."""
    if isinstance(value, dict):
        return {str(name): plain(one) for name, one in cast("dict[Any, Any]", value).items()}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in cast("list[Any]", value)]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else "inf"
    return value


def csv_text(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows as CSV under the columns; what a row does not have stays empty.

    No text in them is one that a spreadsheet takes for a formula.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=columns, lineterminator="\n", restval="")
    writer.writeheader()
    for row in rows:
        writer.writerow(
            {name: plain_cell(v) if isinstance(v, str) else v for name, v in row.items()}
        )
    return text.getvalue()


def write_files(files: Mapping[str, bytes], out: Path) -> tuple[Path, ...]:
    """Write all files into the folder or none, replacing earlier ones."""
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".report-") as scratch:
        for name, content in files.items():
            (Path(scratch) / name).write_bytes(content)
        for name in files:
            (Path(scratch) / name).replace(out / name)
    return tuple(out / name for name in files)
