"""BraTS-METS 2025 and 2026, its UCSD folder included."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from brainmets.io.datasets.brats_names import find_brats_cases
from brainmets.io.datasets.layout import BRATS_LABELS, Dataset, folders, require_cases

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["NAME", "read", "recognise"]

NAME = "brats-mets-2025"
CASE = re.compile(r"BraTS-MET-\d{5}-\d{3}")


def recognise(root: Path) -> bool:
    """Look for `BraTS-MET-XXXXX-TTT` folders."""
    return any(CASE.fullmatch(folder.name) for folder in folders(root))


def read(root: Path) -> Dataset:
    """List the cases; the last number is the time point, so patients are grouped without it."""
    return Dataset(
        layout=NAME,
        root=root,
        cases=require_cases(find_brats_cases(root, CASE), root, "folders BraTS-MET-XXXXX-TTT"),
        labels=BRATS_LABELS,
        core=(1, 3),
        expected=("t1c", "t1n", "t2w", "t2f"),
        notes=(
            "T2w is sometimes absent and 28 masks are empty in the published set",
            "grids differ between sites: take volumes from the header's spacing",
        ),
    )
