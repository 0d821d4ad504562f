"""Intervals and paired tests in which the patient, not the lesion or the scan, is the unit.

Lesions of one patient resemble each other, so resampling lesions would make intervals too narrow.
Every interval here comes from the bootstrap over patients (Efron & Tibshirani 1993, percentile
method), seeded.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = [
    "RESAMPLES",
    "Interval",
    "PairedTest",
    "bootstrap_counts",
    "holm",
    "mean_interval",
    "paired_test",
    "ratio_interval",
]

RESAMPLES = 2000
"""Enough for two digits of a 95 % interval."""

CONFIDENCE = 0.95
SIGN_FLIPS = 10_000
EXACT_FLIPS_UP_TO = 13
"""Up to this many pairs all 2ⁿ sign flips are tried."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A value with its 95 % interval and the number of patients behind it."""

    value: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        """Three decimals each, or a dash where there is no value."""
        if np.isnan(self.value):
            return "–"
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedTest:
    """B minus A on the same patients.

    Attributes:
        difference: Mean difference with its bootstrap interval.
        median: Median difference.
        p_flip: Two-sided sign-flip permutation test of the mean.
        p_wilcoxon: Two-sided Wilcoxon signed-rank test; NaN if no pair differs.
        cohen_dz: Mean difference over the standard deviation of the differences.
        rank_biserial: Share of rank sum in favour of B minus that of A, −1…1.
        better: Pairs in which B is larger.
        worse: Pairs in which B is smaller.
    """

    difference: Interval
    median: float
    p_flip: float
    p_wilcoxon: float
    cohen_dz: float
    rank_biserial: float
    better: int
    worse: int


@lru_cache(maxsize=4)
def bootstrap_counts(n: int, *, resamples: int = RESAMPLES, seed: int = 0) -> NDArray[np.float64]:
    """Return how often each of n patients is drawn in each resample: (resamples, n), read-only.

    Every figure of a cohort is resampled in the same way, so the counts are kept.
    """
    if n == 0:
        return np.zeros((resamples, 0))
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(n, np.full(n, 1.0 / n), size=resamples).astype(np.float64)
    counts.setflags(write=False)
    return counts


def mean_interval(
    values: NDArray[np.float64] | Sequence[float], *, seed: int = 0, resamples: int = RESAMPLES
) -> Interval:
    """Return the mean over patients with its interval; patients with NaN are left out."""
    array = np.asarray(values, dtype=np.float64)
    array = array[~np.isnan(array)]
    return ratio_interval(array, np.ones(len(array)), seed=seed, resamples=resamples)


def ratio_interval(
    numerators: NDArray[np.float64] | Sequence[float],
    denominators: NDArray[np.float64] | Sequence[float],
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Interval:
    """Return Σ numerator / Σ denominator over patients with its interval; NaN of 0/0.

    One infinite numerator makes the ratio infinite, and each resample that drew it.
    """
    top = np.asarray(numerators, dtype=np.float64)
    bottom = np.asarray(denominators, dtype=np.float64)
    total = float(bottom.sum())
    if total == 0.0:
        return Interval(value=float("nan"), low=float("nan"), high=float("nan"), n=len(top))
    counts = bootstrap_counts(len(top), seed=seed, resamples=resamples)
    below = counts @ bottom
    finite = np.isfinite(top)
    above = counts @ np.where(finite, top, 0.0)
    above[counts @ ~finite > 0] = np.inf
    ratios = above[below > 0] / below[below > 0]
    low, high = np.quantile(
        ratios,
        ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2),
        method="linear" if finite.all() else "nearest",  # nothing lies between a number and inf
    )
    return Interval(value=float(top.sum()) / total, low=float(low), high=float(high), n=len(top))


def paired_test(
    a: NDArray[np.float64] | Sequence[float],
    b: NDArray[np.float64] | Sequence[float],
    *,
    seed: int = 0,
) -> PairedTest:
    """Compare two models on the same patients, in the same order; pairs with NaN are left out."""
    difference = np.asarray(b, dtype=np.float64) - np.asarray(a, dtype=np.float64)
    difference = difference[~np.isnan(difference)]
    if not len(difference):
        nan = float("nan")
        return PairedTest(
            difference=Interval(value=nan, low=nan, high=nan, n=0),
            median=nan,
            p_flip=nan,
            p_wilcoxon=nan,
            cohen_dz=nan,
            rank_biserial=nan,
            better=0,
            worse=0,
        )
    spread = float(np.std(difference, ddof=1)) if len(difference) > 1 else 0.0
    p_wilcoxon, rank_biserial = _signed_ranks(difference)
    return PairedTest(
        difference=mean_interval(difference, seed=seed),
        median=float(np.median(difference)),
        p_flip=_sign_flip(difference, seed),
        p_wilcoxon=p_wilcoxon,
        cohen_dz=float(difference.mean()) / spread if spread > 0 else float("nan"),
        rank_biserial=rank_biserial,
        better=int(np.count_nonzero(difference > 0)),
        worse=int(np.count_nonzero(difference < 0)),
    )


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Return p-values adjusted for having tested several things (Holm 1979); NaN stays NaN."""
    tested = [n for n, p in enumerate(p_values) if not np.isnan(p)]
    adjusted = [float("nan")] * len(p_values)
    running = 0.0
    for rank, position in enumerate(sorted(tested, key=lambda n: p_values[n])):
        running = max(running, min(1.0, (len(tested) - rank) * p_values[position]))
        adjusted[position] = running
    return tuple(adjusted)


def _sign_flip(difference: NDArray[np.float64], seed: int) -> float:
    """Return how often random signs give a mean as far from 0 as the one seen."""
    n = len(difference)
    seen = abs(float(difference.sum()))
    margin = 1e-12 * float(np.abs(difference).sum())  # sums differ by rounding
    if n <= EXACT_FLIPS_UP_TO:
        signs = 1.0 - 2.0 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1)
        return float(np.mean(np.abs(signs @ difference) >= seen - margin))
    rng = np.random.default_rng(seed)
    extreme = 0
    for _ in range(0, SIGN_FLIPS, 1000):  # in blocks, so that memory stays small
        signs = rng.integers(0, 2, size=(1000, n)) * 2.0 - 1.0
        extreme += int(np.count_nonzero(np.abs(signs @ difference) >= seen - margin))
    return (extreme + 1) / (SIGN_FLIPS + 1)


def _signed_ranks(difference: NDArray[np.float64]) -> tuple[float, float]:
    """Return Wilcoxon's p and the matched-pairs rank-biserial correlation (Kerby 2014)."""
    from scipy.stats import rankdata, wilcoxon

    moved = difference[difference != 0]
    if not len(moved):
        return float("nan"), 0.0
    ranks = np.asarray(rankdata(np.abs(moved)))
    in_favour = float(ranks[moved > 0].sum())
    against = float(ranks[moved < 0].sum())
    p_value = float(np.asarray(wilcoxon(moved))[1])  # (statistic, p)
    return p_value, (in_favour - against) / (in_favour + against)
