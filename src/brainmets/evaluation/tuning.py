"""Operating points chosen on validation cases: components once, every point from their table."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from brainmets.evaluation.matching import match_lesions

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

__all__ = [
    "GROWS",
    "PEAKS",
    "VOLUMES_MM3",
    "CaseCandidates",
    "Choice",
    "PointFigures",
    "best_point",
    "candidates_of",
    "detection",
    "figures_at",
    "grid",
]

GROWS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
PEAKS = (
    0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.825,
    0.85, 0.875, 0.9, 0.925, 0.95, 0.97, 0.98, 0.985, 0.99, 0.993, 0.995, 0.997, 0.998, 0.9985,
    0.999, 0.9993, 0.9995, 0.9997, 0.9999,
)  # fmt: skip
VOLUMES_MM3 = (0.0, 3.0, 6.0, 12.0, 25.0, 50.0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CaseCandidates:
    """The components of one case at one growing threshold, each with what decides about it.

    Attributes:
        case: Its number.
        patient: What intervals and folds take together.
        source: What it is one of, such as real or made: each source weighs the same.
        peak: Of each component, or how likely a rejector holds it to be real.
        volume_mm3: Of each component.
        voxels, overlap: Its voxels, and those that are lesion.
        real: Whether it is some reference lesion's partner.
        features: (components, features), for a rejector.
        reference_voxels, lesions: Of the truth.
    """

    case: int
    patient: str
    source: str
    grow: float
    peak: NDArray[np.float64]
    volume_mm3: NDArray[np.float64]
    voxels: NDArray[np.float64]
    overlap: NDArray[np.float64]
    real: NDArray[np.bool_]
    features: NDArray[np.float64]
    reference_voxels: int
    lesions: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A point of the grid."""

    grow: float
    peak: float
    min_volume_mm3: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PointFigures:
    """What a choice does, each source weighing the same.

    Attributes:
        dice: Mean over the cases with a lesion.
        sensitivity: Lesions found over lesions there are.
        false_alarms: A scan, the source with most.
    """

    dice: float
    sensitivity: float
    false_alarms: float

    @property
    def utility(self) -> float:
        """The mean of Dice and sensitivity, or the one that is known."""
        known = [value for value in (self.dice, self.sensitivity) if not np.isnan(value)]
        return float(np.mean(known)) if known else 0.0


def candidates_of(
    probability: NDArray[np.float32],
    truth: NDArray[np.bool_],
    labels: NDArray[np.integer],
    features: NDArray[np.float64],
    *,
    number: int,
    patient: str,
    source: str,
    grow: float,
    voxel_mm3: float,
) -> CaseCandidates:
    """Tabulate the components `labels` (1…n, features in that order) against the truth."""
    count = len(features)
    inside = labels > 0
    ids = labels[inside].astype(np.int64)
    peak = np.zeros(count + 1)
    np.maximum.at(peak, ids, probability[inside])
    voxels = np.bincount(ids, minlength=count + 1)
    overlap = np.bincount(ids[truth[inside]], minlength=count + 1)
    matching = match_lesions(truth, inside)
    # matching numbers components its own way: carry partners over by a voxel of each
    partners = {prediction for _, prediction in matching.pairs}
    real = np.zeros(count + 1, dtype=bool)
    theirs = matching.prediction_labels[inside]
    first = np.unique(ids, return_index=True)
    for own, place in zip(*first, strict=True):
        real[own] = int(theirs[place]) in partners
    return CaseCandidates(
        case=number,
        patient=patient,
        source=source,
        grow=grow,
        peak=peak[1:],
        volume_mm3=voxels[1:].astype(np.float64) * voxel_mm3,
        voxels=voxels[1:].astype(np.float64),
        overlap=overlap[1:].astype(np.float64),
        real=real[1:],
        features=features,
        reference_voxels=int(np.count_nonzero(truth)),
        lesions=matching.n_reference,
    )


def figures_at(
    cases: Sequence[CaseCandidates],
    choice: Choice,
    *,
    weights: Mapping[str, float] | None = None,
) -> PointFigures:
    """Return what a choice does on the cases of its growing threshold.

    `weights` says how often each patient counts, for the bootstrap; once by default.
    """
    return _Table.of(cases, choice.grow, weights).figures(choice)


def grid(grows: Sequence[float] = GROWS, *, least_peak: float | None = None) -> Iterator[Choice]:
    """Yield every choice there is; no peak lies below `least_peak`, by default the threshold.

    With a rejector peaks are likelihoods, which have nothing to do with the threshold.
    """
    for grow, peak, volume in product(grows, PEAKS, VOLUMES_MM3):
        if peak >= (grow if least_peak is None else least_peak):
            yield Choice(grow=grow, peak=peak, min_volume_mm3=volume)


def best_point(
    cases: Sequence[CaseCandidates],
    choices: Sequence[Choice],
    *,
    most_false_alarms: float,
    by_sensitivity: bool = False,
) -> tuple[Choice, PointFigures]:
    """Return the choice of most utility, or sensitivity, within so many false positives a scan.

    Where no choice is as specific as that, the one with the fewest false positives.
    """
    tables = {grow: _Table.of(cases, grow) for grow in {choice.grow for choice in choices}}
    measured = [(choice, tables[choice.grow].figures(choice)) for choice in choices]
    allowed = [one for one in measured if one[1].false_alarms <= most_false_alarms]
    if not allowed:
        return min(measured, key=lambda one: (one[1].false_alarms, -one[1].utility))

    def worth(one: tuple[Choice, PointFigures]) -> tuple[float, float]:
        figures = one[1]
        sensitivity = 0.0 if np.isnan(figures.sensitivity) else figures.sensitivity
        if by_sensitivity:
            return round(sensitivity, 6), figures.utility
        return figures.utility, sensitivity

    return max(allowed, key=worth)


def detection(
    cases: Sequence[CaseCandidates],
    rates: Sequence[float],
    *,
    weights: Mapping[str, float] | None = None,
) -> float:
    """Return the share of lesions found, its mean over allowed false positives a scan (`rates`).

    Read off the FROC curve of the cases, which share a growing threshold; each source weighs the
    same, and none may have more false positives than a rate. NaN without lesions.
    """
    table = _Table.of(cases, cases[0].grow, weights)
    order = np.argsort(-table.peak, kind="stable")
    peak, real, counts = table.peak[order], table.real[order], table.weights[table.case][order]
    alarms = np.zeros(len(peak) + 1)
    found: list[NDArray[np.float64]] = []
    for source in np.unique(table.sources):
        ours = table.sources == source
        mine, scans = ours[table.case][order] * counts, table.weights[ours].sum()
        if not scans:
            continue
        rate = np.append(0.0, np.cumsum(mine * ~real) / scans)
        alarms = np.maximum(alarms, rate)
        lesions = table.weights[ours] @ table.lesions[ours]
        if lesions:
            found.append(np.append(0.0, np.cumsum(mine * real) / lesions))
    if not found:
        return float("nan")
    curve = np.mean(found, axis=0)
    # a threshold takes all components of one peak, or none
    ends = np.diff(peak, prepend=np.inf, append=-np.inf) < 0
    best = [curve[ends & (alarms <= rate)].max() for rate in rates]
    return float(np.mean(best))


class _Table:
    """All components of one growing threshold in flat arrays: a choice costs microseconds."""

    def __init__(
        self, cases: Sequence[CaseCandidates], weights: Mapping[str, float] | None
    ) -> None:
        def flat(name: str) -> NDArray[Any]:
            return np.concatenate([getattr(one, name) for one in cases] or [np.zeros(0)])

        self.peak, self.volume = flat("peak"), flat("volume_mm3")
        self.voxels, self.overlap = flat("voxels"), flat("overlap")
        self.real = flat("real").astype(bool)
        self.case = np.repeat(np.arange(len(cases)), [len(one.peak) for one in cases])
        self.reference = np.array([one.reference_voxels for one in cases], dtype=float)
        self.lesions = np.array([one.lesions for one in cases], dtype=float)
        self.sources = np.array([one.source for one in cases])
        self.weights = np.array([1.0 if weights is None else weights[o.patient] for o in cases])

    @classmethod
    def of(
        cls,
        cases: Sequence[CaseCandidates],
        grow: float,
        weights: Mapping[str, float] | None = None,
    ) -> _Table:
        return cls([one for one in cases if one.grow == grow], weights)

    def figures(self, choice: Choice) -> PointFigures:
        kept = (self.peak >= choice.peak) & (self.volume >= choice.min_volume_mm3)
        size = self._by_case(kept, self.voxels) + self.reference
        overlap = self._by_case(kept, self.overlap)
        found = self._by_case(kept & self.real, np.ones(len(kept)))
        alarms = self._by_case(kept & ~self.real, np.ones(len(kept)))
        ill = self.reference > 0
        dice: list[float] = []
        sensitivity: list[float] = []
        rates = [0.0]
        for source in np.unique(self.sources):
            weight = np.where(self.sources == source, self.weights, 0.0)
            if not weight.sum():
                continue
            rates.append(float(weight @ alarms / weight.sum()))
            if weight @ ill:
                scores = 2 * overlap / np.maximum(size, 1.0)
                dice.append(float((weight * ill) @ scores / (weight @ ill)))
            if weight @ self.lesions:
                sensitivity.append(float(weight @ found / (weight @ self.lesions)))
        return PointFigures(
            dice=float(np.mean(dice)) if dice else float("nan"),
            sensitivity=float(np.mean(sensitivity)) if sensitivity else float("nan"),
            false_alarms=max(rates),
        )

    def _by_case(self, kept: NDArray[np.bool_], values: NDArray[np.float64]) -> NDArray[np.float64]:
        counts = np.bincount(self.case[kept], weights=values[kept], minlength=len(self.reference))
        return counts.astype(np.float64)
