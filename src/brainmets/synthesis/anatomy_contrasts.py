"""Random brightness of every tissue: true T1, T1c, T2, FLAIR and PD contrasts, or any at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from brainmets.synthesis.labels import Tissue

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["CONTRASTS", "VARIANTS", "draw_brightness"]

VARIANTS = 4
"""Kinds of patch that a tissue outside the brain is made of: fat, muscle, vessels, cartilage …"""

_ROWS: dict[Tissue, tuple[float, float, float, float, float]] = {
    Tissue.AIR: (0.0, 0.0, 0.0, 0.0, 0.0),
    Tissue.WHITE: (0.75, 0.72, 0.35, 0.42, 0.55),
    Tissue.GREY: (0.54, 0.54, 0.52, 0.56, 0.70),
    Tissue.FLUID: (0.18, 0.20, 0.95, 0.12, 0.72),
    Tissue.VENTRICLE: (0.15, 0.16, 1.00, 0.10, 0.75),
    Tissue.CEREBELLAR_WHITE: (0.73, 0.70, 0.37, 0.42, 0.55),
    Tissue.CEREBELLAR_GREY: (0.52, 0.53, 0.52, 0.55, 0.68),
    Tissue.THALAMUS: (0.63, 0.62, 0.43, 0.48, 0.62),
    Tissue.CAUDATE: (0.57, 0.56, 0.45, 0.50, 0.66),
    Tissue.PUTAMEN: (0.60, 0.59, 0.40, 0.47, 0.62),
    Tissue.PALLIDUM: (0.69, 0.67, 0.30, 0.38, 0.52),
    Tissue.HIPPOCAMPUS: (0.54, 0.53, 0.54, 0.58, 0.70),
    Tissue.AMYGDALA: (0.54, 0.53, 0.54, 0.58, 0.70),
    Tissue.ACCUMBENS: (0.56, 0.55, 0.48, 0.52, 0.66),
    Tissue.VENTRAL_DC: (0.67, 0.65, 0.38, 0.45, 0.58),
    Tissue.BRAINSTEM: (0.70, 0.68, 0.40, 0.46, 0.58),
    Tissue.CHIASM: (0.60, 0.60, 0.40, 0.44, 0.55),
    Tissue.WHITE_SPOT: (0.60, 0.58, 0.65, 0.75, 0.65),
    Tissue.ARTERY: (0.50, 0.90, 0.10, 0.15, 0.20),
    Tissue.VEIN: (0.35, 1.10, 0.15, 0.20, 0.30),
    Tissue.EYE: (0.18, 0.20, 1.00, 0.20, 0.75),
    Tissue.SOFT: (0.40, 0.45, 0.25, 0.35, 0.45),
    Tissue.EYE_MUSCLE: (0.45, 0.75, 0.30, 0.40, 0.50),
    Tissue.MUCOSA: (0.45, 0.95, 0.85, 0.80, 0.75),
    Tissue.SKIN: (0.75, 0.80, 0.55, 0.50, 0.65),
    Tissue.CORD: (0.65, 0.64, 0.42, 0.45, 0.58),
    Tissue.BONE: (0.08, 0.08, 0.06, 0.06, 0.06),
    Tissue.MARROW: (0.65, 0.65, 0.40, 0.45, 0.55),
    Tissue.OPTIC_NERVE: (0.60, 0.60, 0.45, 0.45, 0.55),
    Tissue.FAT: (1.00, 1.00, 0.75, 0.75, 0.80),
}  # fmt: skip
"""Typical brightness on T1, T1c, T2, FLAIR and PD; set by hand from what such scans show."""

CONTRASTS = ("t1", "t1c", "t2", "flair", "pd")

_PATCHY = (
    Tissue.SOFT,
    Tissue.MUCOSA,
    Tissue.SKIN,
    Tissue.MARROW,
    Tissue.BONE,
    Tissue.ARTERY,
)
"""Tissues of several kinds: their patches may be fat, muscle or fluid."""


def draw_brightness(
    rng: np.random.Generator, contrast: str | None = None, *, free: float = 0.25
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Draw mean and spread of each tissue's `VARIANTS`, at `tissue * VARIANTS + variant`.

    Args:
        rng: source of chance.
        contrast: one of `CONTRASTS`; by default drawn.
        free: how often, without a contrast, each tissue is of any brightness at all.
    """
    count = max(Tissue) + 1
    means = np.zeros((count, VARIANTS))
    at_random = contrast is None and rng.random() < free
    if at_random:
        means[:] = rng.uniform(0, 1, (count, 1))
        means[Tissue.AIR] = 0
    else:
        number = rng.choice(5, p=(0.3, 0.3, 0.15, 0.15, 0.1))
        number = number if contrast is None else CONTRASTS.index(contrast)
        for tissue, row in _ROWS.items():
            means[tissue] = row[number]
        means[1:] *= np.exp(rng.normal(0, 0.12, (count - 1, 1)))
        means[1:] += rng.normal(0, 0.03, (count - 1, 1))
        suppressed = rng.random() < 0.3
        fat = rng.uniform(0.05, 0.3) if suppressed else _ROWS[Tissue.FAT][number]
        means[Tissue.FAT] = fat
        if suppressed:
            means[Tissue.SKIN] = rng.uniform(0.1, 0.4)
            means[Tissue.MARROW] = rng.uniform(0.05, 0.3)
    fat_mean = means[Tissue.FAT, 0]
    for tissue in _PATCHY:
        kinds = np.where(
            rng.random(VARIANTS) < 0.4, fat_mean, means[tissue, 0] * rng.uniform(0.5, 1.5, VARIANTS)
        )
        keep = tissue is Tissue.BONE and rng.random() < 0.7
        means[tissue] = means[tissue] if keep else kinds
        if at_random:
            means[tissue] = rng.uniform(0, 1, VARIANTS)
    means[Tissue.EYE] += rng.normal(0, 0.05, VARIANTS)
    for tissue in (Tissue.WHITE, Tissue.GREY):
        means[tissue] += rng.normal(0, 0.015, VARIANTS)
    spreads = rng.uniform(0.0, 0.06, (count, 1)) * np.ones((1, VARIANTS))
    for tissue in _PATCHY:
        spreads[tissue] = rng.uniform(0.02, 0.15)
    spreads[Tissue.AIR] = 0
    means = np.maximum(means, 0)
    return means.ravel().astype(np.float32), spreads.ravel().astype(np.float32)
