"""The naming that BraTS has used since 2023: `CASE/CASE-{t1n,t1c,t2w,t2f,seg}.nii.gz`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from brainmets.io.datasets.identity import patient_of
from brainmets.io.datasets.layout import DatasetCase, find_images, first_file, folders

if TYPE_CHECKING:
    import re
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from brainmets.domain import Sequence
    from brainmets.io.datasets.layout import SplitName

__all__ = ["find_brats_cases"]

PATTERNS: Mapping[Sequence, tuple[str, ...]] = {
    "t1c": ("*-t1c.nii*",),
    "t1n": ("*-t1n.nii*",),
    "t2w": ("*-t2w.nii*",),
    "t2f": ("*-t2f.nii*",),
}


def find_brats_cases(root: Path, pattern: re.Pattern[str]) -> Iterator[DatasetCase]:
    """Yield the cases whose folder's name matches; a missing sequence is left out."""
    for folder in folders(root):
        if not pattern.fullmatch(folder.name):
            continue
        images = find_images(folder, PATTERNS)
        mask = first_file(folder, "*-seg.nii*")
        if images or mask:
            yield DatasetCase(
                case_id=folder.name,
                patient=patient_of(folder.name),
                images=images,
                masks=(mask,) if mask else (),
                split=_split_of(folder.parent.name),
                group=folder.parent.name if "UCSD" in folder.parent.name else "",
            )


def _split_of(folder: str) -> SplitName:
    name = folder.casefold()
    if "valid" in name:
        return "validation"
    return "test" if "test" in name else "train" if "train" in name else ""
