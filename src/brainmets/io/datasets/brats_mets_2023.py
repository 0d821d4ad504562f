"""BraTS-METS 2023, the first part and the additional one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from brainmets.io.datasets.brats_names import find_brats_cases
from brainmets.io.datasets.layout import BRATS_2023_LABELS, Dataset, folders, require_cases

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["NAME", "read", "recognise"]

NAME = "brats-mets-2023"
CASE = re.compile(r"BraTS-MET-\d{5}-\d{3}")
PARTS = re.compile(r"ASNR-MICCAI-BraTS2023-MET-Challenge-\w+")


def recognise(root: Path) -> bool:
    """Look for the challenge's folder names."""
    return any(PARTS.fullmatch(folder.name) for folder in folders(root))


def read(root: Path) -> Dataset:
    """List the cases of all parts below the folder."""
    return Dataset(
        layout=NAME,
        root=root,
        cases=require_cases(find_brats_cases(root, CASE), root, "folders BraTS-MET-XXXXX-TTT"),
        labels=BRATS_2023_LABELS,
        core=(1, 3),
        expected=("t1c", "t1n", "t2w", "t2f"),
        notes=("skull-stripped, in atlas space, 1 mm",),
    )
