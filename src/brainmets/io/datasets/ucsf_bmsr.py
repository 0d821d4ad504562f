"""UCSF-BMSR v1.3: `UCSF_BrainMetastases_TRAIN/100101A/100101A_T1post.nii.gz`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from brainmets.io.datasets.identity import patient_of
from brainmets.io.datasets.layout import (
    BRATS_2023_LABELS,
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

NAME = "ucsf-bmsr"
CASE = re.compile(r"\d{6}[A-Z]")
FILES: Mapping[Sequence, tuple[str, ...]] = {
    "t1c": ("*_T1post.nii*",),
    "t1n": ("*_T1pre.nii*",),
    "t2f": ("*_FLAIR.nii*",),
    "t2w": ("*_T2Synth.nii*",),
}


def recognise(root: Path) -> bool:
    """Look for folders of six digits and a letter that hold a `_T1post`."""
    return any(
        CASE.fullmatch(folder.name) and first_file(folder, "*_T1post.nii*")
        for folder in folders(root)
    )


def read(root: Path) -> Dataset:
    """List the cases with the metastasis mask `seg`; the six digits are the patient."""
    return Dataset(
        layout=NAME,
        root=root,
        cases=require_cases(_cases(root), root, "folders such as 100101A"),
        labels={1: "metastasis"},
        core=(1,),
        expected=("t1c", "t1n", "t2f"),
        notes=(
            f"BraTS-seg, with labels {dict(BRATS_2023_LABELS)}, is next to seg and is not read",
            "T2Synth is synthesised from the other sequences",
            "overlaps BraTS-METS",
        ),
    )


def _cases(root: Path) -> Iterator[DatasetCase]:
    for folder in folders(root):
        if not CASE.fullmatch(folder.name):
            continue
        images = find_images(folder, FILES)
        mask = first_file(folder, f"{folder.name}_seg.nii*")
        if images or mask:
            yield DatasetCase(
                case_id=folder.name,
                patient=patient_of(folder.name),
                images=images,
                masks=(mask,) if mask else (),
                split="test" if "TEST" in folder.parent.name else "train",
            )
