"""How much two masks share, voxel by voxel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from brainmets.domain.errors import GridMismatch

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["check_same_shape", "dice"]


def check_same_shape(reference: NDArray[np.generic], prediction: NDArray[np.generic]) -> None:
    """Refuse arrays that cannot be compared voxel by voxel.

    Raises:
        GridMismatch: the shapes differ.
    """
    if reference.shape != prediction.shape:
        raise GridMismatch(
            f"a reference of shape {reference.shape} and a prediction of {prediction.shape}",
            expected="both on one grid",
            remedy="resample the prediction to the reference's grid, nearest neighbour",
        )


def dice(
    reference: NDArray[np.bool_], prediction: NDArray[np.bool_], *, both_empty: float = 1.0
) -> float:
    """Return twice the shared voxels over the sum of both, 0…1 (Dice 1945).

    `both_empty` is what two empty masks score. One empty mask scores 0.

    Raises:
        GridMismatch: the shapes differ.
    """
    check_same_shape(reference, prediction)
    reference, prediction = reference.astype(bool, copy=False), prediction.astype(bool, copy=False)
    total = int(np.count_nonzero(reference)) + int(np.count_nonzero(prediction))
    if total == 0:
        return both_empty
    return 2.0 * int(np.count_nonzero(reference & prediction)) / total
