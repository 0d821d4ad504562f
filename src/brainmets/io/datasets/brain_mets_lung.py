"""Brain-Mets-Lung-MRI-Path-Segs (TCIA): grids differ between the files of a case."""

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

NAME = "brain-mets-lung"
FILES: Mapping[Sequence, tuple[str, ...]] = {
    "t1c": ("*_t1ce_img.nii*",),
    "t2f": ("*_flair_img.nii*",),
}


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
        notes=("whole_seg, with the oedema, is next to core_seg and is not read",),
        may_differ=True,
    )


def _cases(root: Path) -> Iterator[DatasetCase]:
    for folder in folders(root):
        images = find_images(folder, FILES)
        if "t1c" not in images:
            continue
        mask = first_file(folder, "*_core_seg.nii*")
        yield DatasetCase(
            case_id=folder.name,
            patient=folder.name,
            images=images,
            masks=(mask,) if mask else (),
        )
