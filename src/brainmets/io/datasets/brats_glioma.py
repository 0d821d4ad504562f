"""BraTS gliomas 2013–2023, with either naming: real T1c, but not metastases."""

from __future__ import annotations

from typing import TYPE_CHECKING

from brainmets.io.datasets.layout import (
    Dataset,
    DatasetCase,
    find_images,
    first_file,
    folders,
    require_cases,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from brainmets.domain import Sequence

__all__ = ["NAME", "read", "recognise"]

NAME = "brats-glioma"
PATTERNS: Mapping[Sequence, tuple[str, ...]] = {
    "t1c": ("*-t1c.nii*", "*_t1ce.nii*", "T1c_*.nii*"),
    "t1n": ("*-t1n.nii*", "*_t1.nii*"),
    "t2w": ("*-t2w.nii*", "*_t2.nii*"),
    "t2f": ("*-t2f.nii*", "*_flair.nii*"),
}
MASKS = ("*-seg.nii*", "*_seg.nii*", "*_seg_*.nii*", "OTMultiClass.nii*")


def recognise(root: Path) -> bool:
    """Look for folders named after BraTS that hold a T1c."""
    return any(
        "brats" in folder.name.casefold()
        and "met" not in folder.name.casefold()
        and first_file(folder, *PATTERNS["t1c"])
        for folder in folders(root)
    )


def read(root: Path) -> Dataset:
    """List the cases. In `*_zscored` cases label 3 is non-enhancing tumour and 4 enhances."""
    return Dataset(
        layout=NAME,
        root=root,
        cases=require_cases(_cases(root), root, "a folder a case with a T1c"),
        labels={
            1: "necrosis",
            2: "oedema",
            3: "enhancing (2023 on) or non-enhancing (2013)",
            4: "enhancing (to 2021)",
        },
        core=(1, 3, 4),
        notes=("gliomas, not metastases",),
    )


def _cases(root: Path) -> Iterator[DatasetCase]:
    for folder in folders(root):
        images = find_images(folder, PATTERNS)
        mask = first_file(folder, *MASKS)
        if "t1c" in images:
            yield DatasetCase(
                case_id=folder.name,
                patient=_patient(folder.name),
                images=images,
                masks=(mask,) if mask else (),
            )


def _patient(case_id: str) -> str:
    """Drop the time point: `…-TTT` since 2023, `…_1` before 2019."""
    stem = case_id.removesuffix("_zscored")
    head, dash, tail = stem.rpartition("-")
    if dash and tail.isdigit() and len(tail) == 3:
        return head
    head, underscore, tail = stem.rpartition("_")
    return head if underscore and tail.isdigit() and len(tail) == 1 else stem
