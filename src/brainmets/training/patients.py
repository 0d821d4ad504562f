"""Which patient a case is of, which fold the patient is in, and which parts of a mask count."""

from __future__ import annotations

import csv
import hashlib
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from brainmets.domain.errors import DatasetLayout

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["faint_parts", "patient_fold", "patients_of"]


def patient_fold(patient: str, folds: int) -> int:
    """Return the fold of a patient, 0 to `folds` - 1, by a digest of the patient's number.

    It depends on nothing else, so that volumes, slices and later deliveries of one patient are
    always in the same fold.
    """
    return int(hashlib.sha256(patient.encode()).hexdigest(), 16) % folds


@cache
def patients_of(table: Path) -> dict[str, str]:
    """Return the patient of every exam that a table lists.

    Raises:
        DatasetLayout: there is no such table, or it has no such columns.
    """
    return {row["exam"]: row["patient"] for row in _rows(table, ("exam", "patient"))}


@cache
def _contrasts(table: Path) -> dict[str, dict[int, float]]:
    found: dict[str, dict[int, float]] = {}
    for row in _rows(table, ("exam", "component", "contrast_to_ring")):
        contrast = float(row["contrast_to_ring"] or "nan")
        found.setdefault(row["exam"], {})[int(row["component"])] = contrast
    return found


def faint_parts(
    lesion: NDArray[np.bool_], table: Path, exam: str, least_contrast: float
) -> NDArray[np.bool_]:
    """Mark the connected parts of a mask that are hardly brighter than what is around them.

    Such parts are treated lesions or planning margins: nothing to learn from.

    Args:
        lesion: the mask (i, j, k); parts touch by a face, an edge or a corner.
        table: `exam`, `component` from 1 in array order, `contrast_to_ring`.
        exam: the case's row name in it.
        least_contrast: mean of the part over mean of its ring, from which it counts.

    Raises:
        DatasetLayout: the table lists other parts than the mask has.
    """
    from scipy import ndimage

    labels = np.empty(lesion.shape, dtype=np.int32)
    count = int(ndimage.label(lesion, structure=np.ones((3, 3, 3)), output=labels))  # pyright: ignore[reportArgumentType]
    contrasts = _contrasts(table).get(exam, {})
    if sorted(contrasts) != [*range(1, count + 1)]:
        raise DatasetLayout(
            f"{count} parts in the mask of {exam} and {len(contrasts)} in {table.name}",
            expected="a row for every connected part",
            remedy="write the table again from these masks",
        )
    faint = [part for part, contrast in contrasts.items() if not contrast >= least_contrast]
    return np.isin(labels, faint) & lesion


def _rows(table: Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    try:
        with table.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except OSError:
        rows = []
    if not rows or not set(columns) <= set(rows[0]):
        raise DatasetLayout(
            f"no {table.name} with the column{'s' if len(columns) > 1 else ''} "
            f"{', '.join(columns)}",
            expected="a table next to the images",
            remedy="correct the recipe, or point BRAINMETS_DATA to the folder with the data",
        )
    return rows
