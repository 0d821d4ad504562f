"""Pretreat-MetsToBrain-Masks (TCIA): 200 patients before treatment."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from brainmets.io.datasets.brats_names import find_brats_cases
from brainmets.io.datasets.layout import Dataset, folders, require_cases

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["NAME", "read", "recognise"]

NAME = "pretreat"
CASE = re.compile(r"BraTS-MET-\d{5}-\d{3}|\d{5}-\d{3}")


def recognise(root: Path) -> bool:
    """Look for the collection's name above folders named as in BraTS."""
    named = any("pretreat" in folder.name.casefold() for folder in folders(root))
    return named and any(CASE.fullmatch(folder.name) for folder in folders(root))


def read(root: Path) -> Dataset:
    """List the cases."""
    return Dataset(
        layout=NAME,
        root=root,
        cases=require_cases(find_brats_cases(root, CASE), root, "folders named as in BraTS-METS"),
        labels={1: "necrosis", 2: "oedema", 3: "enhancing tumour"},
        core=(1, 3),
        expected=("t1c", "t1n", "t2w", "t2f"),
        notes=("its patients are also in BraTS-METS: do not train on one and test on the other",),
    )
