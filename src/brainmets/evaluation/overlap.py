"""How much two masks share, voxel by voxel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from brainmets.domain.errors import GridMismatch

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["check_same_shape", "dice", "labelled_box"]


WORD_BYTES = 8


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


def labelled_box(
    reference: NDArray[np.unsignedinteger], prediction: NDArray[np.unsignedinteger]
) -> tuple[slice, ...]:
    """Return a box that holds every label of both arrays, at most a few voxels too wide.

    Whole scans are nearly all background, so they are skimmed eight bytes at a time.
    """
    boxes = [box for box in (_skim(reference), _skim(prediction)) if box is not None]
    if not boxes:
        return tuple(slice(0, 0) for _ in reference.shape)
    return tuple(
        slice(min(side.start for side in sides), max(side.stop for side in sides))
        for sides in zip(*boxes, strict=True)
    )


def _skim(array: NDArray[np.unsignedinteger]) -> tuple[slice, ...] | None:
    if array.flags.f_contiguous and not array.flags.c_contiguous:
        turned = _skim(array.T)
        return tuple(reversed(turned)) if turned else None
    content = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    whole = len(content) // WORD_BYTES * WORD_BYTES
    words = np.flatnonzero(content[:whole].view(np.uint64)) * WORD_BYTES
    if content[whole:].any():
        words = np.append(words, whole)
    if not len(words):
        return None
    voxel = array.dtype.itemsize
    last = np.minimum(words + WORD_BYTES, len(content)) - 1
    first_at = [np.asarray(at) for at in np.unravel_index(words // voxel, array.shape)]
    last_at = [np.asarray(at) for at in np.unravel_index(last // voxel, array.shape)]
    box: list[slice] = []
    for start, stop, size in zip(first_at, last_at, array.shape, strict=True):
        wraps = bool((stop < start).any())  # a word that runs on into the next row
        box.append(slice(0, size) if wraps else slice(int(start.min()), int(stop.max()) + 1))
    return tuple(box)
