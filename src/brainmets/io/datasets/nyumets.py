"""NYUMets: `imaging/patientId/P/studyId/S/CT1.nii.gz`, a patient seen many times."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

from brainmets.io.datasets.layout import (
    Dataset,
    DatasetCase,
    find_images,
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
FILES: Mapping[Sequence, tuple[str, ...]] = {
    "t1c": ("CT1.nii*",),
    "t1n": ("T1.nii*",),
    "t2w": ("T2.nii*",),
    "t2f": ("FLAIR.nii*",),
}
PARTS: tuple[tuple[str, SplitName], ...] = (
    ("train", "train"),
    ("val", "validation"),
    ("test", "test"),
)
"""Words in the names of the split files."""


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
        images = find_images(study, FILES)
        mask = first_file(study, "RTSTRUCT_segmentation.nii*")
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
    for path in sorted(root.rglob("*.csv")):
        part: SplitName = ""
        for word, name in PARTS:
            if word in path.stem.casefold():
                part = name
                break
        with path.open(encoding="utf-8-sig", newline="") as file:
            for row in csv.DictReader(file):
                patient = row.get("patientId") or row.get("patient") or ""
                if patient and part:
                    parts[patient] = part
    return parts
