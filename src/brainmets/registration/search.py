"""Where to begin: every shift of many turns, compared at once at the coarsest level.

For each turn of the moving head the normalised cross-correlation within both heads is computed
for all shifts by fast Fourier transforms (Padfield 2012, IEEE Trans Image Process 21:2706), so
neither file's origin nor a common field of view is relied on.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

from brainmets.domain import RigidMotion

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from brainmets.registration.pyramid import Level

__all__ = ["STARTS", "find_starts"]

NOD_DEG = (-45.0, -30.0, -15.0, 0.0, 15.0, 30.0, 45.0)
TILT_DEG = (-15.0, 0.0, 15.0)
SHAKE_DEG = (-30.0, -15.0, 0.0, 15.0, 30.0)
"""Turns about the ear-to-ear, front-to-back and head-to-foot axes that patients lie with."""

STARTS = 12
"""How many of the best turns are refined."""

LEAST_SHARED = 0.5
"""Share of the smaller head that must be in the other: slivers correlate by chance."""


def find_starts(fixed: Level, moving: Level, count: int = STARTS) -> tuple[RigidMotion, ...]:
    """Return the most promising motions from `fixed` to `moving`, best first."""
    spacing = fixed.spacing_mm
    one, one_weight, low = _on_grid(fixed, RigidMotion.identity(), spacing)
    spectra: _Spectra | None = None
    found: list[tuple[float, RigidMotion]] = []
    middle = _middle_mm(moving)
    for turn in _turns(middle):
        two, two_weight, two_low = _on_grid(moving, turn, spacing)
        size = tuple(a + b for a, b in zip(one.shape, two.shape, strict=True))
        if spectra is None or any(s > p for s, p in zip(size, spectra.size, strict=True)):
            spectra = _Spectra(one, one_weight, size)
        score, shift = spectra.best_shift(two, two_weight)
        # voxel v of the turned head lies over voxel v + shift of the fixed one
        offset = (low - two_low) / spacing + shift
        motion = RigidMotion.of(shift_mm=-offset * spacing)
        found.append((score, turn.inverse.after(motion)))
    found.sort(key=lambda item: -item[0])
    return tuple(motion for _, motion in found[:count])


class _Spectra:
    """The fixed head's transforms, kept for all turns of the moving one."""

    def __init__(
        self, values: NDArray[np.float32], weight: NDArray[np.float32], size: tuple[int, ...]
    ) -> None:
        from scipy.fft import next_fast_len

        self.size = tuple(next_fast_len(n, real=True) for n in size)
        self._mass = float(weight.sum())
        self._parts = [
            self._forward(part) for part in (weight, values * weight, values**2 * weight)
        ]

    def best_shift(
        self, values: NDArray[np.float32], weight: NDArray[np.float32]
    ) -> tuple[float, NDArray[np.float64]]:
        """Return the best score, and the shift in voxels that reaches it."""
        one, first, second = self._parts
        parts = (weight, values * weight, values**2 * weight)
        other_one, other_first, other_second = (np.conj(self._forward(p)) for p in parts)
        least = LEAST_SHARED * min(self._mass, float(weight.sum()))
        shared = np.maximum(self._back(one * other_one), 1.0)
        sum_1, sum_2 = self._back(first * other_one), self._back(one * other_first)
        spread_1 = self._back(second * other_one) - sum_1**2 / shared
        spread_2 = self._back(one * other_second) - sum_2**2 / shared
        common = self._back(first * other_first) - sum_1 * sum_2 / shared
        spread = np.maximum(spread_1, 0.0) * np.maximum(spread_2, 0.0)
        score = common / np.sqrt(np.maximum(spread, 1e-6 * max(float(spread.max()), 1e-12)))
        score = np.where(shared >= least, score * shared, -1.0)
        at = np.unravel_index(int(np.argmax(score)), score.shape)
        shift = [i if i <= n // 2 else i - n for i, n in zip(at, score.shape, strict=True)]
        return float(score[at]), np.array(shift, dtype=np.float64)

    def _forward(self, values: NDArray[np.float32]) -> NDArray[np.complex64]:
        from scipy.fft import rfftn

        return np.asarray(rfftn(values, self.size))

    def _back(self, spectrum: NDArray[np.complex64]) -> NDArray[np.float32]:
        from scipy.fft import irfftn

        return np.asarray(irfftn(spectrum, self.size))


def _turns(centre_mm: NDArray[np.float64]) -> list[RigidMotion]:
    turns: list[RigidMotion] = []
    for nod, tilt, shake in itertools.product(NOD_DEG, TILT_DEG, SHAKE_DEG):
        turn = RigidMotion.of(rotation_deg=(nod, 0.0, 0.0), centre_mm=centre_mm)
        turn = RigidMotion.of(rotation_deg=(0.0, tilt, 0.0), centre_mm=centre_mm).after(turn)
        turns.append(
            RigidMotion.of(rotation_deg=(0.0, 0.0, shake), centre_mm=centre_mm).after(turn)
        )
    return turns


def _middle_mm(level: Level) -> NDArray[np.float64]:
    places = np.argwhere(level.weight > 0)
    middle = places.mean(axis=0) if len(places) else (np.array(level.values.shape) - 1) / 2
    return level.geometry.to_ras_mm(middle)


def _on_grid(
    level: Level, turn: RigidMotion, spacing: float
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float64]]:
    """Sample a turned level on RAS axes; return values, weights and the first voxel's place."""
    from scipy import ndimage

    last = np.array(level.values.shape) - 1
    corners = np.array(np.meshgrid(*zip((0, 0, 0), last, strict=True))).reshape(3, -1).T
    placed = turn.apply(level.geometry.to_ras_mm(corners))
    low = placed.min(axis=0)
    shape = np.ceil((placed.max(axis=0) - low) / spacing).astype(int) + 1
    grid = np.eye(4) * spacing
    grid[:3, 3], grid[3, 3] = low, 1.0
    to_voxel = np.linalg.inv(level.geometry.affine) @ turn.inverse.matrix @ grid
    size = tuple(int(n) for n in shape)

    def sampled(part: NDArray[np.float32]) -> NDArray[np.float32]:
        offset: Any = to_voxel[:3, 3]  # SciPy's stub knows only the scalar one
        turned = ndimage.affine_transform(
            part, to_voxel[:3, :3], offset, output_shape=size, order=1, mode="constant"
        )
        return np.asarray(turned, dtype=np.float32)

    values, weight = sampled(level.values * level.weight), sampled(level.weight)
    filled = weight > 0.5
    values = np.where(filled, values / np.maximum(weight, 0.5), 0.0).astype(np.float32)
    return values, filled.astype(np.float32), low
