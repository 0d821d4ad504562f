"""To a fraction of a voxel: robust, symmetric Gauss–Newton steps on one level.

Both heads are compared in both directions, so that exchanging them gives the inverse motion;
differences that no motion explains, such as a lesion that has grown, lose their weight
(Tukey's biweight; Reuter, Rosas & Fischl 2010, NeuroImage 53:1181).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from brainmets.domain import RigidMotion

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from brainmets.registration.pyramid import Level

__all__ = ["Comparison", "Refiner"]

TUKEY = 4.685
"""Residuals beyond this many robust deviations do not count; 95 % efficient on normal noise."""

HALVES = 1.4826
"""Standard deviation of a normal distribution over its median absolute deviation."""

STILL_MM = 0.005
"""Steps smaller than this at the head's border end the iteration."""

MOST_STEPS = 30
HEAD_RADIUS_MM = 80.0

BLOCK_MM = 24.0
GROUPS = 8
"""For the jackknife: blocks of the head, dealt to so many groups."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """How well two heads agree under a motion.

    Attributes:
        similarity: normalised cross-correlation of evened contrast where both heads are, -1…1.
        shared: share of the smaller head that is in the other, 0…1.
        error_mm: standard error of the motion over the head, by a jackknife over its parts.
    """

    similarity: float
    shared: float
    error_mm: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Points:
    """Sampled voxels of one head: places (n, 3), values, gradients per mm (n, 3)."""

    places_mm: NDArray[np.float64]
    values: NDArray[np.float32]
    gradients: NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Pairs:
    """Compared points: places in the fixed head, both values, gradient there, weight."""

    places_mm: NDArray[np.float64]
    fixed: NDArray[np.float32]
    moving: NDArray[np.float32]
    gradients: NDArray[np.float64]
    weights: NDArray[np.float64]
    shared: float
    """Share of the smaller head's points that are in the other head."""


class Refiner:
    """Two levels of equal spacing, and the points of each that are compared."""

    def __init__(self, fixed: Level, moving: Level, *, most_points: int = 60_000) -> None:
        """Choose the points, evenly over each head."""
        self._fixed, self._moving = fixed, moving
        self._fixed_points = _points(fixed, most_points)
        self._moving_points = _points(moving, most_points)
        self._centre = self._fixed_points.places_mm.mean(axis=0)

    def refine(self, motion: RigidMotion, *, most_steps: int = MOST_STEPS) -> RigidMotion:
        """Return the motion that agrees best near the given one."""
        longest = 1.5 * self._fixed.spacing_mm
        for _ in range(most_steps):
            pairs = self._pairs(motion)
            if len(pairs.fixed) < 100:
                return motion
            matrix, vector, _ = self._normal_equations(pairs)
            step = _solved(matrix.sum(axis=0), vector.sum(axis=0))
            size = float(np.linalg.norm(step[:3])) * HEAD_RADIUS_MM
            size += float(np.linalg.norm(step[3:]))
            step *= min(1.0, longest / max(size, 1e-12))
            motion = motion.after(self._small(step))
            if size < STILL_MM:
                break
        return _orthonormal(motion)

    def compare(self, motion: RigidMotion) -> Comparison:
        """Say how well the heads agree, and how sure the motion is."""
        pairs = self._pairs(motion)
        if len(pairs.fixed) < 100:
            return Comparison(similarity=0.0, shared=0.0, error_mm=float("inf"))
        return Comparison(
            similarity=_correlation(pairs),
            shared=pairs.shared,
            error_mm=self._standard_error_mm(pairs),
        )

    def _pairs(self, motion: RigidMotion) -> _Pairs:
        """Compare the fixed head's points, then the moving head's, where both heads are."""
        one, two = self._fixed_points, self._moving_points
        rotation = motion.matrix[:3, :3]
        there = motion.apply(one.places_mm)
        moving, moving_weight = _sampled(self._moving, there)
        back = motion.inverse.apply(two.places_mm)
        fixed, fixed_weight = _sampled(self._fixed, back)
        weights = np.concatenate((moving_weight, fixed_weight))
        kept = weights > 0.5
        return _Pairs(
            places_mm=np.concatenate((one.places_mm, back))[kept],
            fixed=np.concatenate((one.values, fixed))[kept],
            moving=np.concatenate((moving, two.values))[kept],
            gradients=np.concatenate((one.gradients, two.gradients @ rotation))[kept],
            weights=weights[kept].astype(np.float64),
            shared=max(float(np.mean(moving_weight > 0.5)), float(np.mean(fixed_weight > 0.5))),
        )

    def _normal_equations(
        self, pairs: _Pairs
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
        """Return the equations of each block group: (g, 6, 6), (g, 6), points in each (g,)."""
        residual = (pairs.moving - pairs.fixed).astype(np.float64)
        residual -= np.median(residual)
        scale = max(HALVES * float(np.median(np.abs(residual))), 1e-6)
        ratio = np.minimum(np.abs(residual) / (TUKEY * scale), 1.0)
        weights = pairs.weights * (1.0 - ratio**2) ** 2
        away = pairs.places_mm - self._centre
        rows = np.concatenate((np.cross(away, pairs.gradients), pairs.gradients), axis=1)
        group = _group(pairs.places_mm)
        order = np.argsort(group, kind="stable")
        counts = np.bincount(group, minlength=GROUPS)
        pieces = np.split(order, np.cumsum(counts)[:-1])
        matrices = np.stack([(rows[p] * weights[p, None]).T @ rows[p] for p in pieces])
        vectors = np.stack([-(rows[p] * weights[p, None]).T @ residual[p] for p in pieces])
        return matrices, vectors, counts

    def _standard_error_mm(self, pairs: _Pairs) -> float:
        """Delete-a-group jackknife: how far leaving out a part of the head moves it."""
        matrices, vectors, counts = self._normal_equations(pairs)
        used = np.flatnonzero(counts)
        if len(used) < 3:
            return float("inf")
        whole, right = matrices.sum(axis=0), vectors.sum(axis=0)
        steps = np.stack([_solved(whole - matrices[g], right - vectors[g]) for g in used])
        steps -= steps.mean(axis=0)
        away = pairs.places_mm[:: max(1, len(pairs.places_mm) // 2000)] - self._centre
        moved = np.cross(steps[:, None, :3], away[None]) + steps[:, None, 3:]
        variance = (len(used) - 1) / len(used) * np.square(moved).sum(axis=2).sum(axis=0)
        return float(np.sqrt(variance.mean()))

    def _small(self, step: NDArray[np.float64]) -> RigidMotion:
        return RigidMotion.of(
            rotation_deg=np.degrees(step[:3]), shift_mm=step[3:], centre_mm=self._centre
        )


def _points(level: Level, most: int) -> _Points:
    places = np.flatnonzero(level.weight > 0.5)
    # a stride that shares no factor with the rows spreads the points over all of them
    places = places[:: max(1, round(len(places) / most))]
    voxels = np.stack(np.unravel_index(places, level.values.shape), axis=1)
    to_mm = np.linalg.inv(level.geometry.affine[:3, :3])
    slopes = np.stack([_slope(level.values, axis).ravel()[places] for axis in range(3)], axis=1)
    return _Points(
        places_mm=level.geometry.to_ras_mm(voxels),
        values=level.values.ravel()[places],
        gradients=slopes.astype(np.float64) @ to_mm,
    )


def _slope(values: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    return np.asarray(np.gradient(values, axis=axis), dtype=np.float32)


def _sampled(
    level: Level, places_mm: NDArray[np.float64]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Values and weights at places, 0 outside."""
    from scipy import ndimage

    at = level.geometry.to_voxel(places_mm).T
    values, weights = (
        np.asarray(ndimage.map_coordinates(part, at, order=1, output=np.float32), dtype=np.float32)
        for part in (level.values, level.weight)
    )
    return values, weights


def _group(places_mm: NDArray[np.float64]) -> NDArray[np.int64]:
    """Deal blocks of the head to groups so that neighbours fall into different ones."""
    blocks = np.floor(places_mm / BLOCK_MM).astype(np.int64)
    return (blocks @ np.array([1, 3, 5])) % GROUPS


def _solved(matrix: NDArray[np.float64], vector: NDArray[np.float64]) -> NDArray[np.float64]:
    damping = 1e-6 * np.diag(np.diag(matrix)) + 1e-9 * np.eye(6)
    return np.asarray(np.linalg.solve(matrix + damping, vector), dtype=np.float64)


def _correlation(pairs: _Pairs) -> float:
    one = pairs.fixed - np.average(pairs.fixed, weights=pairs.weights)
    two = pairs.moving - np.average(pairs.moving, weights=pairs.weights)
    spread = float((pairs.weights * one**2).sum() * (pairs.weights * two**2).sum())
    return float((pairs.weights * one * two).sum() / np.sqrt(spread)) if spread > 0 else 0.0


def _orthonormal(motion: RigidMotion) -> RigidMotion:
    """Take rounding out of a rotation that many steps have made."""
    u, _, v = np.linalg.svd(motion.matrix[:3, :3])
    matrix = np.array(motion.matrix)
    matrix[:3, :3] = u @ v
    return RigidMotion(matrix=matrix)
