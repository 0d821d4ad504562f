"""Brain-Mets-Lung-MRI-Path-Segs (TCIA): grids differ between the files of a case."""

from __future__ import annotations

from typing import TYPE_CHECKING

from brainmets.io.datasets.layout import (
    Dataset,
    DatasetCase,
    first_file,
    folders,
    require_cases,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from brainmets.domain import Sequence

__all__ = ["NAME", "read", "recognise"]

NAME = "brain-mets-lung"


def recognise(root: Path) -> bool:
    """Look for `*_t1ce_img.nii.gz`."""
    return any(first_file(folder, "*_t1ce_img.nii*") for folder in folders(root))


def read(root: Path) -> Dataset:
    """List the cases with the mask of the core."""
    return Dataset(
        layout=NAME,
        root=root,
        cases=require_cases(_cases(root), root, "folders with *_t1ce_img.nii.gz"),
        labels={1: "tumour core"},
        core=(1,),
        expected=("t1c", "t2f"),
        notes=("whole_seg, with the oedema, lies beside core_seg and is not read",),
        may_differ=True,
    )


def _cases(root: Path) -> Iterator[DatasetCase]:
    for folder in folders(root):
        t1c = first_file(folder, "*_t1ce_img.nii*")
        if t1c is None:
            continue
        images: dict[Sequence, Path] = {"t1c": t1c}
        flair = first_file(folder, "*_flair_img.nii*")
        if flair is not None:
            images["t2f"] = flair
        mask = first_file(folder, "*_core_seg.nii*")
        yield DatasetCase(
            case_id=folder.name,
            patient=folder.name,
            images=images,
            masks=(mask,) if mask else (),
        )
