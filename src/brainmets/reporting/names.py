"""What the files of a result folder are called, by what may be done to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "BRAIN",
    "CORRECTIONS",
    "EXPORT_FOLDER",
    "EXPORT_NAMES",
    "OWNED",
    "REPORT",
    "REVIEW",
    "REVIEWED_TABLE",
    "is_export",
    "outdated",
]

REPORT = "report.json"
BRAIN = "brain.nii.gz"
REVIEW, REVIEWED_TABLE = "review.json", "lesions-reviewed.csv"

OWNED = frozenset(
    {
        REPORT,
        BRAIN,
        "lesions.csv",
        "overlay.png",
        "mask.nii.gz",
        "mask.png",
        "masks",
        "probability.nii.gz",
        "probability.png",
        "probabilities",
    }
)
"""Names that belong to a result: a new result may replace or remove them, and nothing else."""

CORRECTIONS = frozenset({REVIEW, REVIEWED_TABLE, "mask-reviewed.nii.gz", "mask-reviewed.png"})
"""A reader's work on one result; it says nothing about another."""

EXPORT_FOLDER = "export"
PDF = "report.pdf"

EXPORT_NAMES = frozenset(
    {
        "segmentation.dcm",
        "structures.dcm",
        "measurements.dcm",
        "captures",
        "report.fhir.json",
        "lesions.nii.gz",
        "scene.mrb",
        "lesions.csv",
        REPORT,
        "images",
    }
)
"""What `workflows.export` may write."""


def is_export(folder: Path) -> bool:
    """Say whether a folder holds what an export writes and nothing else."""
    return folder.is_dir() and {path.name for path in folder.iterdir()} <= EXPORT_NAMES


def outdated(folder: Path) -> frozenset[str]:
    """Return what a new result in `folder` replaces or makes untrue, and so removes.

    That is what `OWNED` and `CORRECTIONS` name, the PDF report, and an export with nothing of
    the user's next to it.
    """
    names = OWNED | CORRECTIONS | {PDF} | {p.name for p in folder.glob("mask-reviewed-*.png")}
    return names | {EXPORT_FOLDER} if is_export(folder / EXPORT_FOLDER) else names
