"""Boxes around what matters: nearly all of a scan is background."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["bounding_box", "component_boxes", "joint_box", "labelled_box"]

WORD_BYTES = 8


def bounding_box(mask: NDArray[np.bool_]) -> tuple[slice, ...]:
    """Return the smallest box that holds every true voxel; empty slices where there is none."""
    box: list[slice] = []
    shadow = mask
    shadows = [mask]
    for _ in range(mask.ndim - 1):  # each shadow is much smaller than the one before
        shadow = np.asarray(shadow.any(axis=-1))
        shadows.append(shadow)
    for shadow in reversed(shadows):
        inside = shadow[tuple(box)]
        line = np.flatnonzero(inside.any(axis=tuple(range(len(box)))))
        box.append(slice(int(line[0]), int(line[-1]) + 1) if len(line) else slice(0, 0))
    return tuple(box)


def joint_box(*boxes: tuple[slice, ...]) -> tuple[slice, ...]:
    """Return the smallest box that holds all the boxes."""
    return tuple(
        slice(min(side.start for side in sides), max(side.stop for side in sides))
        for sides in zip(*boxes, strict=True)
    )


def component_boxes(
    labels: NDArray[np.integer], *, margin: int = 0
) -> dict[int, tuple[slice, ...]]:
    """Return each label's bounding box, widened by a margin within the array."""
    from scipy.ndimage import find_objects

    boxes: dict[int, tuple[slice, ...]] = {}
    if not labels.any():
        return boxes
    for number, box in enumerate(find_objects(labels), start=1):
        if box is not None:
            boxes[number] = tuple(
                slice(max(side.start - margin, 0), min(side.stop + margin, size))
                for side, size in zip(box, labels.shape, strict=True)
            )
    return boxes


def labelled_box(
    reference: NDArray[np.unsignedinteger], prediction: NDArray[np.unsignedinteger]
) -> tuple[slice, ...]:
    """Return a box that holds every label of both arrays, at most a few voxels too wide.

    Whole scans are nearly all background, so they are skimmed eight bytes at a time.
    """
    boxes = [box for box in (_skim(reference), _skim(prediction)) if box is not None]
    if not boxes:
        return tuple(slice(0, 0) for _ in reference.shape)
    return joint_box(*boxes)


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
