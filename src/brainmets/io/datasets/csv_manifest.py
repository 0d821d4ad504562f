"""A CSV file that names everything: `case_id,patient,t1c,mask,split`, paths relative to it."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, cast, get_args

from brainmets.domain import Sequence
from brainmets.io.datasets.identity import patient_of
from brainmets.io.datasets.layout import (
    Dataset,
    DatasetCase,
    SplitName,
    layout_error,
    require_cases,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["NAME", "read", "recognise"]

NAME = "csv"
SEQUENCES: tuple[Sequence, ...] = get_args(Sequence)
SPLITS = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
}


def recognise(root: Path) -> bool:
    """Look for a CSV file, or a `manifest.csv`, whose header names a case and a sequence."""
    path = _manifest(root)
    if path is None:
        return False
    with path.open(encoding="utf-8-sig", newline="") as file:
        header = next(csv.reader(file), [])
    return "case_id" in header and any(name in header for name in SEQUENCES)


def read(root: Path) -> Dataset:
    """List the rows; files that are named and missing are an error, empty cells are not.

    Raises:
        DatasetLayout: a column or a file is missing.
    """
    path = _manifest(root)
    if path is None or not recognise(root):
        raise layout_error(
            f"no manifest in {root.name}",
            expected="manifest.csv with the columns case_id, t1c and mask",
            remedy="write one row a scan",
        )
    return Dataset(
        layout=NAME,
        root=path.parent,
        cases=require_cases(_cases(path), root, "a row a scan"),
        labels={},
        core=(),
    )


def _manifest(root: Path) -> Path | None:
    path = root if root.suffix == ".csv" else root / "manifest.csv"
    return path if path.is_file() else None


def _cases(manifest: Path) -> Iterator[DatasetCase]:
    with manifest.open(encoding="utf-8-sig", newline="") as file:
        for row in csv.DictReader(file):
            images: dict[Sequence, Path] = {
                name: _existing(manifest, row[name], row["case_id"])
                for name in SEQUENCES
                if row.get(name)
            }
            mask = row.get("mask")
            yield DatasetCase(
                case_id=row["case_id"],
                patient=row.get("patient") or patient_of(row["case_id"]),
                images=images,
                masks=(_existing(manifest, mask, row["case_id"]),) if mask else (),
                split=cast("SplitName", SPLITS.get((row.get("split") or "").casefold(), "")),
                group=row.get("group") or "",
            )


def _existing(manifest: Path, name: str, case_id: str) -> Path:
    path = manifest.parent / name
    if not path.exists():
        raise layout_error(
            f"{path.name} of case {case_id} is named in {manifest.name} and is not there",
            expected="paths relative to the manifest",
            remedy="correct the row or bring the file",
        )
    return path
