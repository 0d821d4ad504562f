"""Which scans belong to one patient, and which two files belong to one scan, by their names."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["bare_name", "case_of", "is_mask_name", "patient_of"]

SUFFIXES = (".nii.gz", ".nii", ".png", ".tif", ".tiff", ".jpg", ".jpeg", ".mha", ".nrrd")

ROLE = r"(?:seg(?:mentation)?|masks?|msk|labels?|pred(?:iction)?s?|gt|lesions?)"
ROLE_AFTER = re.compile(rf"(?:^|[-_. ]){ROLE}$", re.IGNORECASE)
ROLE_BEFORE = re.compile(rf"^{ROLE}(?:[-_. ]|$)", re.IGNORECASE)

PATIENTS = (
    re.compile(r"^(BraTS-[A-Za-z]+-\d{5})-\d{3}$"),  # BraTS 2023 on: patient, then time point
    re.compile(r"^(\d{6})[A-Z]$"),  # UCSF-BMSR: six digits, then the examination's letter
    re.compile(r"^(sub-[A-Za-z0-9]+)(?:_ses-[A-Za-z0-9]+)?(?:_.*)?$"),  # BIDS
    re.compile(r"^(TCGA_[A-Z0-9]{2}_[A-Za-z0-9]{4})_\d{8}(?:_\d+)?$"),  # LGG: patient, date, slice
)


def bare_name(path: Path) -> str:
    """Return a file's name without its image suffix, .nii.gz included."""
    lower = path.name.lower()
    for suffix in SUFFIXES:
        if lower.endswith(suffix):
            return path.name[: -len(suffix)]
    return path.name


def is_mask_name(path: Path) -> bool:
    """Say whether a name speaks of a segmentation: `…-seg`, `…_mask`, `SEG-…`, `labels…`."""
    name = bare_name(path)
    return bool(ROLE_AFTER.search(name) or ROLE_BEFORE.search(name))


def case_of(path: Path) -> str:
    """Return the case a mask belongs to: its name without its role, else its folder's name."""
    name = ROLE_BEFORE.sub("", ROLE_AFTER.sub("", bare_name(path)))
    return name.strip("-_. ") or path.parent.name


def patient_of(case_id: str) -> str:
    """Return the patient of a case in the naming of the known data sets, else the case itself.

    BraTS-MET-00110-000 and BraTS-MET-00110-001 are one patient, and so are 100101A and 100101B.
    """
    for pattern in PATIENTS:
        found = pattern.match(case_id)
        if found:
            return found[1]
    return case_id
