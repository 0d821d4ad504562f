"""NYUMets: `imaging/patientId/P/studyId/S/CT1.nii.gz`, a patient seen many times."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

from brainmets.io.datasets.layout import (
    Dataset,
    DatasetCase,
    first_file,
    require_cases,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from brainmets.domain import Sequence
    from brainmets.io.datasets.layout import SplitName

__all__ = ["NAME", "read", "recognise"]

NAME = "nyumets"
FILES: Mapping[Sequence, str] = {"t1c": "CT1", "t1n": "T1", "t2w": "T2", "t2f": "FLAIR"}


def recognise(root: Path) -> bool:
    """Look for `imaging/patientId`."""
    return (root / "imaging" / "patientId").is_dir()


def read(root: Path) -> Dataset:
    """List the studies; the published split CSVs, by patient, are honoured."""
    return Dataset(
        layout=NAME,
        root=root,
        cases=require_cases(_cases(root), root, "imaging/patientId/*/studyId/*"),
        labels={1: "metastasis"},
        core=(1,),
        expected=("t1c",),
        notes=("the same patient returns: split by patient, never by study",),
        may_differ=True,
    )


def _cases(root: Path) -> Iterator[DatasetCase]:
    splits = _splits(root)
    for study in sorted((root / "imaging" / "patientId").glob("*/studyId/*")):
        patient = study.parent.parent.name
        found = {name: first_file(study, f"{word}.nii*") for name, word in FILES.items()}
        mask = first_file(study, "RTSTRUCT_segmentation.nii*")
        images = {name: path for name, path in found.items() if path is not None}
        if images:
            yield DatasetCase(
                case_id=f"{patient}_{study.name}",
                patient=patient,
                images=images,
                masks=(mask,) if mask else (),
                split=splits.get(patient, ""),
            )


def _splits(root: Path) -> dict[str, SplitName]:
    """Return the part of each patient, from CSV files named after their part."""
    parts: dict[str, SplitName] = {}
    named: tuple[tuple[str, SplitName], ...] = (
        ("train", "train"),
        ("val", "validation"),
        ("test", "test"),
    )
    for path in sorted(root.rglob("*.csv")):
        part = next((name for word, name in named if word in path.stem.casefold()), "")
        with path.open(encoding="utf-8-sig", newline="") as file:
            for row in csv.DictReader(file):
                patient = row.get("patientId") or row.get("patient") or ""
                if patient and part:
                    parts[patient] = part
    return parts
