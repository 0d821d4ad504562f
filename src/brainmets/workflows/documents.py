"""Figures as files: JSON that holds no NaN, tables as CSV, all files of a report or none."""

from __future__ import annotations

import csv
import io
import math
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

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
    """Return rows as CSV under the columns; what a row does not have stays empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=columns, lineterminator="\n", restval="")
    writer.writeheader()
    writer.writerows(rows)
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
