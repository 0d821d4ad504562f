"""Which predicted lesion is which reference lesion.

Components are 26-connected unless said otherwise: two voxels that share a face, an edge or a
corner belong together. In 2-D arrays that is 8-connected.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from brainmets.evaluation.overlap import check_same_shape

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "Connectivity",
    "Matching",
    "MatchingRule",
    "label_components",
    "match_lesions",
    "overlap_table",
]

Connectivity = Literal[4, 6, 8, 18, 26]
"""Neighbours of a voxel: 4 or 8 in 2-D; 6, 18 or 26 in 3-D."""

MatchingRule = Literal["one-to-one", "any-overlap"]
"""`one-to-one`: each lesion has at most one partner, chosen for the largest summed Dice.
`any-overlap`: every pair that shares a voxel is a pair."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Matching:
    """The components of two masks and which of them belong together.

    `reference_labels` and `prediction_labels` number the components 1…n (0 is background).
    `pairs` holds (reference id, prediction id); `dice` one value for each pair.
    """

    reference_labels: NDArray[np.integer]
    prediction_labels: NDArray[np.integer]
    n_reference: int
    n_prediction: int
    pairs: tuple[tuple[int, int], ...]
    dice: tuple[float, ...]

    @property
    def found(self) -> tuple[int, ...]:
        """Reference lesions that have a partner, ascending."""
        return tuple(sorted({reference for reference, _ in self.pairs}))

    @property
    def missed(self) -> tuple[int, ...]:
        """Reference lesions without a partner, ascending."""
        found = set(self.found)
        return tuple(i for i in range(1, self.n_reference + 1) if i not in found)

    @property
    def false_alarms(self) -> tuple[int, ...]:
        """Predicted lesions without a partner, ascending."""
        true = {prediction for _, prediction in self.pairs}
        return tuple(i for i in range(1, self.n_prediction + 1) if i not in true)

    @property
    def sensitivity(self) -> float:
        """Share of the reference lesions that were found; NaN where there is none."""
        return len(self.found) / self.n_reference if self.n_reference else float("nan")

    @property
    def precision(self) -> float:
        """Share of the predicted lesions that are real; NaN where there is none."""
        if not self.n_prediction:
            return float("nan")
        return 1.0 - len(self.false_alarms) / self.n_prediction


def label_components(
    mask: NDArray[np.bool_], *, connectivity: Connectivity | None = None
) -> tuple[NDArray[np.integer], int]:
    """Number the connected components of a 2-D or 3-D mask 1…n.

    `connectivity` is 6, 18 or 26 in 3-D and 4 or 8 in 2-D; the largest by default.
    """
    import cc3d

    if connectivity is None:
        connectivity = 26 if mask.ndim == 3 else 8
    if not mask.any():
        return np.zeros(mask.shape, dtype=np.uint16), 0
    labels, count = cc3d.connected_components(
        np.ascontiguousarray(mask), connectivity=connectivity, return_N=True, binary_image=True
    )
    return labels, int(count)


def overlap_table(
    reference_labels: NDArray[np.integer], prediction_labels: NDArray[np.integer]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return (reference id, prediction id, shared voxels) for each pair that shares a voxel.

    Sorted by reference id, then prediction id. Cost is that of one pass over the voxels.
    """
    both = (reference_labels > 0) & (prediction_labels > 0)
    reference = reference_labels[both].astype(np.int64)
    prediction = prediction_labels[both].astype(np.int64)
    stride = int(prediction.max(initial=0)) + 1
    keys, shared = np.unique(reference * stride + prediction, return_counts=True)
    return keys // stride, keys % stride, shared.astype(np.int64)


def match_lesions(
    reference: NDArray[np.bool_],
    prediction: NDArray[np.bool_],
    *,
    rule: MatchingRule = "one-to-one",
    min_dice: float = 0.0,
    connectivity: Connectivity | None = None,
) -> Matching:
    """Find the lesions of both masks and pair those that overlap.

    A pair needs a shared voxel and a Dice above `min_dice`. Swapping reference and prediction
    swaps every pair, so sensitivity and precision change places.

    Raises:
        GridMismatch: the shapes differ.
    """
    check_same_shape(reference, prediction)
    reference_labels, n_reference = label_components(reference, connectivity=connectivity)
    prediction_labels, n_prediction = label_components(prediction, connectivity=connectivity)
    ids_r, ids_p, shared = overlap_table(reference_labels, prediction_labels)
    size_r = np.bincount(reference_labels.ravel(), minlength=n_reference + 1)
    size_p = np.bincount(prediction_labels.ravel(), minlength=n_prediction + 1)
    scores = 2.0 * shared / (size_r[ids_r] + size_p[ids_p])
    kept = scores > min_dice
    ids_r, ids_p, scores = ids_r[kept], ids_p[kept], scores[kept]
    if rule == "one-to-one" and len(scores):
        chosen = _best_partners(ids_r, ids_p, scores)
        ids_r, ids_p, scores = ids_r[chosen], ids_p[chosen], scores[chosen]
    return Matching(
        reference_labels=reference_labels,
        prediction_labels=prediction_labels,
        n_reference=n_reference,
        n_prediction=n_prediction,
        pairs=tuple((int(r), int(p)) for r, p in zip(ids_r, ids_p, strict=True)),
        dice=tuple(float(s) for s in scores),
    )


def _best_partners(
    ids_r: NDArray[np.int64], ids_p: NDArray[np.int64], scores: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Return the positions of the one-to-one pairs with the largest summed Dice."""
    from scipy.optimize import linear_sum_assignment

    rows, row = np.unique(ids_r, return_inverse=True)
    columns, column = np.unique(ids_p, return_inverse=True)
    gain = np.zeros((len(rows), len(columns)))
    gain[row, column] = scores
    picked = set(
        zip(*(a.tolist() for a in linear_sum_assignment(gain, maximize=True)), strict=True)
    )
    positions = [n for n, pair in enumerate(zip(row, column, strict=True)) if tuple(pair) in picked]
    return np.array(positions, dtype=np.int64)
