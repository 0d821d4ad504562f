"""Rigid registration of two scans of one head, coarse to fine, with a check of the result.

The start is found at the coarsest level, where every shift of many turns is compared at once: for
each turn of the moving head the normalised cross-correlation within both heads is computed for all
shifts by fast Fourier transforms (Padfield 2012, IEEE Trans Image Process 21:2706), so neither
file's origin nor a common field of view is relied on.

It also tells whether a scan is stored as its mirror image, left and right exchanged. A
head fits its own mirror image fairly well, but fits itself far better: the folds of the two halves
differ. So both are tried.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from brainmets.domain import RigidMotion, silent
from brainmets.domain.errors import Mirrored, NotAligned
from brainmets.registration.pyramid import build_pyramid
from brainmets.registration.refine import Refiner

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from brainmets.domain import Geometry, Progress, Volume
    from brainmets.registration.pyramid import Level

__all__ = ["SIMILARITY_DOUBTFUL", "SIMILARITY_NEEDED", "Alignment", "align", "is_doubtful"]

SIMILARITY_NEEDED = 0.35
"""`python -m benchmarks.registration`: pairs of different heads reach at most 0.28, a head made
unlike itself by noise, coil bias, thick slices and a new lesion at least 0.50."""

SIMILARITY_DOUBTFUL = 0.45
"""Below this the two scans deserve a look before their comparison is believed."""

SHARED_NEEDED = 0.3
"""Share of the smaller head that must be seen in both scans."""

ERROR_DOUBTFUL_MM = 0.7
"""Three of these standard errors are the 2 mm that a lesion may be out of place."""

CLEAR = 0.38
"""At the middle level wrong starts end below 0.30: beyond this no other start is tried."""

MIRROR_MARGIN = 0.05
"""By how much a mirror image must fit better: of one head it is .16 (healthy) with noise and bias,
and a head that is alike on both sides cannot be told from its mirror image."""

COARSE_STEPS, MIDDLE_STEPS = 12, 15
MIDDLE_POINTS = 8_000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Alignment:
    """Where the fixed scan's anatomy is in the moving one, and how sure that is.

    Attributes:
        motion: maps RAS+ mm of the fixed scan to RAS+ mm of the moving one.
        similarity: correlation of local contrast where both heads are, -1…1; of two different
            people it is near 0.2.
        shared: share of the smaller head that is in the other, 0…1.
        error_mm: standard error of the place of a point in the head, by a jackknife.
    """

    motion: RigidMotion
    similarity: float
    shared: float
    error_mm: float

    @property
    def doubtful(self) -> bool:
        """Whether someone should look before believing it."""
        return is_doubtful(self.similarity, self.error_mm)


def is_doubtful(similarity: float, error_mm: float) -> bool:
    """Say whether someone should look before a registration this sure of itself is believed."""
    return similarity < SIMILARITY_DOUBTFUL or error_mm > ERROR_DOUBTFUL_MM


def align(fixed: Volume, moving: Volume, progress: Progress = silent) -> Alignment:
    """Find the rigid motion from one scan of a head to another, whatever their grids.

    T1-weighted scans after contrast agent, whole or skull-stripped, of any resolution,
    orientation and field of view that share a third of the head. Exchanging the scans gives the
    inverse motion; the same scans give the same motion, to the bit. Not covered: brain shift,
    scaling, images turned by more than about 50° against what their header says.

    Raises:
        NotAligned: the scans do not fit: another person's head, or too little in common.
        Mirrored: one of them has left and right exchanged.
    """
    progress("align", 0.0)
    fixed_levels, moving_levels = build_pyramid(fixed), build_pyramid(moving)
    progress("align", 0.3)
    begun = _begin(fixed_levels, moving_levels)
    progress("align", 0.7)
    finest = Refiner(fixed_levels[-1], moving_levels[-1])
    motion = finest.refine(begun)
    fit = finest.compare(motion)
    progress("align", 0.9)
    _refuse_mirrored(fixed_levels, moving_levels, motion, fit.similarity)
    if fit.similarity < SIMILARITY_NEEDED or fit.shared < SHARED_NEEDED:
        raise NotAligned(
            f"two scans that do not fit: similarity {max(fit.similarity, 0.0):.2f},"
            f" {fit.shared:.0%} of the head in both",
            expected=f"T1 scans of the same head, similarity at least {SIMILARITY_NEEDED}",
            remedy="check that both are the same patient and the same sequence",
        )
    progress("align", 1.0)
    return Alignment(
        motion=motion,
        similarity=fit.similarity,
        shared=fit.shared,
        error_mm=fit.error_mm,
    )


def _refuse_mirrored(
    fixed: tuple[Level, ...], moving: tuple[Level, ...], motion: RigidMotion, similarity: float
) -> None:
    """Refuse a scan that fits better as its mirror image; search again if it fits badly."""
    as_is, mirrored = mirrored_similarity(fixed, moving, motion)
    needed = CLEAR
    if similarity < SIMILARITY_DOUBTFUL:
        other = tuple(flipped(level) for level in moving)
        finest = Refiner(fixed[-1], other[-1])
        as_is, needed = similarity, SIMILARITY_NEEDED
        mirrored = finest.compare(finest.refine(_begin(fixed, other))).similarity
    if mirrored > max(as_is + MIRROR_MARGIN, needed):
        raise Mirrored(
            f"a scan that fits as its mirror image: similarity {mirrored:.2f} instead of"
            f" {max(as_is, 0.0):.2f}",
            expected="scans with left and right on the same sides",
            remedy="check which of the two has left and right exchanged, and convert it again from"
            " its DICOM files",
        )


def _begin(fixed: tuple[Level, ...], moving: tuple[Level, ...]) -> RigidMotion:
    """Refine promising starts, the header's own included, until one is clearly right."""
    coarse = Refiner(fixed[0], moving[0])
    middle = Refiner(fixed[1], moving[1], most_points=MIDDLE_POINTS)
    best, score = RigidMotion.identity(), -1.0
    for start in (*find_starts(fixed[0], moving[0]), RigidMotion.identity()):
        motion = middle.refine(
            coarse.refine(start, most_steps=COARSE_STEPS), most_steps=MIDDLE_STEPS
        )
        fit = middle.compare(motion)
        if fit.similarity * fit.shared > score:
            best, score = motion, fit.similarity * fit.shared
        if fit.similarity > CLEAR and fit.shared > SHARED_NEEDED:
            break
    return best


def mirrored_similarity(
    fixed: tuple[Level, ...], moving: tuple[Level, ...], motion: RigidMotion
) -> tuple[float, float]:
    """Return how well a head fits another under a motion, and its mirror image near that motion.

    Both at the middle level, so that they compare; -1…1.
    """
    other = tuple(flipped(level) for level in moving)
    coarse = Refiner(fixed[0], other[0])
    middle = Refiner(fixed[1], other[1], most_points=MIDDLE_POINTS)
    as_is = Refiner(fixed[1], moving[1], most_points=MIDDLE_POINTS).compare(motion).similarity
    best = -1.0
    for start in _starts(fixed[1], moving[1].geometry, motion):
        found = middle.refine(
            coarse.refine(start, most_steps=COARSE_STEPS), most_steps=MIDDLE_STEPS
        )
        best = max(best, middle.compare(found).similarity)
    return as_is, best


def _side_axis(geometry: Geometry) -> int:
    return next(axis for axis, (ras, _) in enumerate(geometry.closest_axes) if ras == 0)


def flipped(level: Level) -> Level:
    """Return the level with left and right exchanged in its grid."""
    axis = _side_axis(level.geometry)
    return replace(
        level,
        values=np.ascontiguousarray(np.flip(level.values, axis)),
        weight=np.ascontiguousarray(np.flip(level.weight, axis)),
    )


def _starts(fixed: Level, moving: Geometry, motion: RigidMotion) -> tuple[RigidMotion, ...]:
    """Return the motion as it is, and turned as if the fixed head lay straight in its grid."""
    axis = _side_axis(moving)
    normal = moving.affine[:3, axis] / moving.spacing_mm[axis]
    centre = moving.to_ras_mm((np.array(moving.shape) - 1) / 2)
    places = np.argwhere(fixed.weight > 0)
    head = fixed.geometry.to_ras_mm(places.mean(axis=0)) if len(places) else np.zeros(3)
    turned = (
        _reflection(normal, centre) @ motion.matrix @ _reflection(np.array([1.0, 0.0, 0.0]), head)
    )
    return motion, RigidMotion(matrix=turned)


def _reflection(
    normal: NDArray[np.float64], through_mm: NDArray[np.float64]
) -> NDArray[np.float64]:
    matrix = np.eye(4)
    matrix[:3, :3] -= 2.0 * np.outer(normal, normal)
    matrix[:3, 3] = 2.0 * normal * float(normal @ through_mm)
    return matrix


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
