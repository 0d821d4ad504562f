"""Masks without their images, a file or a folder a case: enough to check and to score."""

from __future__ import annotations

from typing import TYPE_CHECKING

from brainmets.domain.errors import InputError
from brainmets.io.datasets.identity import patient_of
from brainmets.io.datasets.layout import Dataset, DatasetCase
from brainmets.io.datasets.pairing import find_masks

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["NAME", "read", "recognise"]

NAME = "masks"


def recognise(root: Path) -> bool:
    """Look for images that no other layout has claimed."""
    try:
        return bool(find_masks(root))
    except InputError:
        return False


def read(root: Path) -> Dataset:
    """List the masks by case.

    Raises:
        DatasetLayout: there is none, or one case has two.
    """
    return Dataset(
        layout=NAME,
        root=root,
        cases=tuple(
            DatasetCase(case_id=case, patient=patient_of(case), images={}, masks=(path,))
            for case, path in find_masks(root).items()
        ),
        labels={},
        core=(),
        expected=(),
        notes=("masks without images: sides, grids and places cannot be checked",),
    )
