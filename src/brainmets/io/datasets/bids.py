"""BIDS: `sub-*/[ses-*/]anat/*_{ce-*_T1w,T1w,T2w,FLAIR}.nii.gz`, masks under `derivatives`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from brainmets.io.datasets.layout import Dataset, DatasetCase, first_file, require_cases

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from brainmets.domain import Sequence

__all__ = ["NAME", "read", "recognise"]

NAME = "bids"
PATTERNS: Mapping[Sequence, tuple[str, ...]] = {
    "t1c": ("*_ce-*_T1w.nii*", "*_T1c.nii*", "*_T1gd.nii*", "*_acq-post*_T1w.nii*"),
    "t1n": ("*_T1w.nii*",),
    "t2w": ("*_T2w.nii*",),
    "t2f": ("*_FLAIR.nii*",),
}
MASKS = ("*_label-lesion*_mask.nii*", "*_dseg.nii*", "*_mask.nii*", "*_seg.nii*")
CONTRAST = re.compile(r"_ce-|_acq-post")


def recognise(root: Path) -> bool:
    """Look for `sub-*/…/anat`."""
    return any(root.glob("sub-*/anat")) or any(root.glob("sub-*/ses-*/anat"))


def read(root: Path) -> Dataset:
    """List the sessions; the subject is the patient."""
    return Dataset(
        layout=NAME,
        root=root,
        cases=require_cases(_cases(root), root, "sub-*/[ses-*/]anat"),
        labels={},
        core=(),
    )


def _cases(root: Path) -> Iterator[DatasetCase]:
    anats = [*root.glob("sub-*/anat"), *root.glob("sub-*/ses-*/anat")]
    for anat in sorted(anats):
        inside = anat.parent.relative_to(root)
        images: dict[Sequence, Path] = {}
        for sequence, patterns in PATTERNS.items():
            path = _first(anat, sequence, patterns)
            if path is not None:
                images[sequence] = path
        mask = _mask(root, inside) or first_file(anat, *MASKS)
        if images:
            yield DatasetCase(
                case_id="_".join(inside.parts),
                patient=inside.parts[0],
                images=images,
                masks=(mask,) if mask else (),
            )


def _first(anat: Path, sequence: Sequence, patterns: tuple[str, ...]) -> Path | None:
    for pattern in patterns:
        for path in sorted(anat.glob(pattern)):
            if sequence != "t1n" or not CONTRAST.search(path.name):
                return path
    return None


def _mask(root: Path, inside: Path) -> Path | None:
    """Return the mask under `derivatives`, with or without the name of a pipeline in between."""
    for base in (root / "derivatives", *sorted((root / "derivatives").glob("*"))):
        for folder in (base / inside / "anat", base / inside):
            found = first_file(folder, *MASKS)
            if found is not None:
                return found
    return None
