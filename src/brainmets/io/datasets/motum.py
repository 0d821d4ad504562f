"""MOTUM: BIDS-like, masks by sequence under `derivatives`, several kinds of tumour."""

from __future__ import annotations

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

__all__ = ["NAME", "read", "recognise"]

NAME = "motum"
FILES: Mapping[Sequence, tuple[str, ...]] = {
    "t1c": ("*_t1ce.nii*",),
    "t2f": ("*_flair.nii*",),
}


def recognise(root: Path) -> bool:
    """Look for `derivatives/sub-*/t1ce_seg_*`."""
    return any(root.glob("derivatives/sub-*/*_seg_*.nii*"))


def read(root: Path) -> Dataset:
    """List the patients with the mask drawn on T1c."""
    return Dataset(
        layout=NAME,
        root=root,
        cases=require_cases(_cases(root), root, "sub-*/anat and derivatives/sub-*"),
        labels={},
        core=(1,),
        expected=("t1c", "t2f"),
        notes=(
            "gliomas and other tumours besides metastases: choose by participants.tsv",
            "what the mask values mean is not published: look before training",
        ),
        may_differ=True,
    )


def _cases(root: Path) -> Iterator[DatasetCase]:
    for folder in sorted(root.glob("sub-*")):
        images = find_images(folder / "anat", FILES)
        mask = first_file(root / "derivatives" / folder.name, "t1ce_seg_*.nii*", "*t1ce_seg*.nii*")
        if images:
            yield DatasetCase(
                case_id=folder.name,
                patient=folder.name,
                images=images,
                masks=(mask,) if mask else (),
            )
