"""UCSF-BMSR v1.3: `UCSF_BrainMetastases_TRAIN/100101A/100101A_T1post.nii.gz`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from brainmets.io.datasets.identity import patient_of
from brainmets.io.datasets.layout import (
    BRATS_2023_LABELS,
    Dataset,
    DatasetCase,
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
FILES: Mapping[Sequence, str] = {
    "t1c": "T1post",
    "t1n": "T1pre",
    "t2f": "FLAIR",
    "t2w": "T2Synth",
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
            f"BraTS-seg, with labels {dict(BRATS_2023_LABELS)}, lies beside seg and is not read",
            "T2Synth is synthesised from the other sequences",
            "overlaps BraTS-METS",
        ),
    )


def _cases(root: Path) -> Iterator[DatasetCase]:
    for folder in folders(root):
        if not CASE.fullmatch(folder.name):
            continue
        found = {name: first_file(folder, f"*_{word}.nii*") for name, word in FILES.items()}
        mask = first_file(folder, f"{folder.name}_seg.nii*")
        images = {name: path for name, path in found.items() if path is not None}
        if images or mask:
            yield DatasetCase(
                case_id=folder.name,
                patient=patient_of(folder.name),
                images=images,
                masks=(mask,) if mask else (),
                split="test" if "TEST" in folder.parent.name else "train",
            )
