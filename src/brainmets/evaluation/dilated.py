"""Lesions as the BraTS-METS scorers of 2023 to 2025 see them: neighbours grown together.

Reference lesions that touch after growing by one voxel count as one lesion. A predicted lesion
belongs to every reference lesion whose grown form it touches, and a reference lesion is compared
with all that belong to it together. Definition: github.com/rachitsaluja/BraTS-2023-Metrics and
BraTS-2024-Metrics (`metrics_MET.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from brainmets.evaluation.boxes import component_boxes
from brainmets.evaluation.matching import label_components

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Touch", "combine_by_growth", "grow", "touching_pairs"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Touch:
    """Which predicted lesions each reference lesion touches when grown."""

    partners: dict[int, tuple[int, ...]]

    def claimed(self) -> set[int]:
        """Return the predicted lesions that some reference lesion touches."""
        return {one for ids in self.partners.values() for one in ids}


def grow(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the mask with every face and edge neighbour added (18-connected, one step)."""
    out = mask.copy()
    for first in range(mask.ndim):
        out |= _spread(mask, first)
        for second in range(first + 1, mask.ndim):
            out |= _spread(_spread(mask, first), second)
    return out


def _spread(mask: NDArray[np.bool_], axis: int) -> NDArray[np.bool_]:
    """Return the voxels one step along the axis, either way, and the mask itself."""
    out = mask.copy()
    first, last = [slice(None)] * mask.ndim, [slice(None)] * mask.ndim
    first[axis], last[axis] = slice(None, -1), slice(1, None)
    out[tuple(last)] |= mask[tuple(first)]
    out[tuple(first)] |= mask[tuple(last)]
    return out


def combine_by_growth(mask: NDArray[np.bool_]) -> tuple[NDArray[np.integer], int]:
    """Number the lesions 1…n, those that touch after growing under one number."""
    grown, count = label_components(grow(mask))
    return np.where(mask, grown, 0), count


def touching_pairs(reference: NDArray[np.integer], prediction: NDArray[np.integer]) -> Touch:
    """Find, for each reference lesion, the predicted lesions its grown form touches."""
    partners: dict[int, tuple[int, ...]] = {}
    for number, box in component_boxes(reference, margin=1).items():
        near = np.unique(prediction[box][grow(reference[box] == number)])
        partners[number] = tuple(int(n) for n in near if n)
    return Touch(partners=partners)
