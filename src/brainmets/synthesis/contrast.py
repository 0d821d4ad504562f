"""Brightness of every tissue, by contrast family, and of what takes up contrast medium."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from brainmets.synthesis.labels import Tissue

if TYPE_CHECKING:
    from brainmets.synthesis.config import Contrast

__all__ = ["draw_contrast"]

T = Tissue
# White matter is 1. Orders and ratios as measured on the T1c scans of BraTS and BraTS-METS.
MPRAGE = {
    T.AIR: 0.0, T.WHITE: 1.0, T.GREY: 0.81, T.FLUID: 0.33, T.VENTRICLE: 0.28,
    T.CEREBELLAR_WHITE: 0.97, T.CEREBELLAR_GREY: 0.82, T.THALAMUS: 0.88, T.CAUDATE: 0.83,
    T.PUTAMEN: 0.82, T.PALLIDUM: 0.92, T.HIPPOCAMPUS: 0.79, T.AMYGDALA: 0.78, T.ACCUMBENS: 0.79,
    T.VENTRAL_DC: 0.88, T.BRAINSTEM: 0.93, T.CHIASM: 0.85, T.WHITE_SPOT: 0.72, T.ARTERY: 0.55,
    T.VEIN: 0.55, T.EYE: 0.24, T.SOFT: 0.62, T.EYE_MUSCLE: 0.70, T.MUCOSA: 0.72, T.SKIN: 0.85,
    T.CORD: 0.90, T.BONE: 0.12, T.MARROW: 0.85, T.OPTIC_NERVE: 0.8, T.FAT: 1.4,
}  # fmt: skip
SPIN_ECHO = MPRAGE | {
    T.GREY: 0.88, T.FLUID: 0.45, T.VENTRICLE: 0.40, T.CEREBELLAR_WHITE: 0.97,
    T.CEREBELLAR_GREY: 0.88, T.THALAMUS: 0.93, T.CAUDATE: 0.90, T.PUTAMEN: 0.90,
    T.PALLIDUM: 0.93, T.HIPPOCAMPUS: 0.88, T.AMYGDALA: 0.87, T.ACCUMBENS: 0.88,
    T.VENTRAL_DC: 0.94, T.BRAINSTEM: 0.95, T.WHITE_SPOT: 0.8, T.ARTERY: 0.3, T.VEIN: 0.45,
    T.EYE: 0.4, T.SOFT: 0.72, T.EYE_MUSCLE: 0.8, T.MUCOSA: 0.85, T.BONE: 0.2, T.MARROW: 1.0,
    T.FAT: 1.75,
}  # fmt: skip
GREYS = (T.GREY, T.CEREBELLAR_GREY, T.CAUDATE, T.PUTAMEN, T.HIPPOCAMPUS, T.AMYGDALA, T.ACCUMBENS)
FLUIDS = (T.FLUID, T.VENTRICLE, T.EYE)


def draw_contrast(
    family: Contrast, rng: np.random.Generator
) -> tuple[dict[str, float], float, dict[str, float], float]:
    """Draw tissue brightness, blood, normal enhancement, and texture strength."""
    base = SPIN_ECHO if family == "spin-echo" else MPRAGE
    if family in {"randomised", "free"}:
        mix = rng.uniform(-0.15, 1.15)
        base = {t: (1 - mix) * MPRAGE[t] + mix * SPIN_ECHO[t] for t in MPRAGE}
    spread = {"mprage": 0.04, "spin-echo": 0.04, "randomised": 0.11, "free": 0.11}[family]
    levels = {t: value * float(np.exp(rng.normal(0.0, spread))) for t, value in base.items()}
    # What is of one kind moves together; each part keeps a little of its own.
    for group, width in ((GREYS, 1.6), (FLUIDS, 4.0)):
        shift = float(np.exp(rng.normal(0.0, spread * width)))
        levels |= {t: levels[t] * shift for t in group}
    for tissue, width in ((T.FAT, 0.3), (T.MARROW, 0.35), (T.SOFT, 0.15), (T.MUCOSA, 0.2)):
        levels[tissue] *= float(np.exp(rng.normal(0.0, width)))
    if family == "free":
        levels = {t: float(rng.uniform(0.1, 1.2)) for t in levels}
        levels[T.AIR] = 0.0
    if rng.uniform() < 0.4:  # flow voids
        levels[T.ARTERY] *= 0.3
    brain = max(levels[t] for t in (T.WHITE, T.GREY, T.THALAMUS, T.BRAINSTEM))
    low, high = {"mprage": (1.4, 2.8), "spin-echo": (1.25, 2.1)}.get(family, (1.3, 2.8))
    blood = brain * float(rng.uniform(low, high))
    texture = float(rng.uniform(0.005, 0.05))
    named = {Tissue(t).name.lower(): round(value, 4) for t, value in levels.items()}
    return named, blood, _draw_enhancement(family, rng), texture


def _draw_enhancement(family: Contrast, rng: np.random.Generator) -> dict[str, float]:
    """Draw strengths (0 none … 1 as bright as blood), radii in mm, and numbers of vessels."""
    spin_echo = family == "spin-echo"

    def strength(low: float, high: float, never: float = 0.0) -> float:
        value = float(rng.uniform(low, high))
        return 0.0 if rng.uniform() < never else round(value, 4)

    return {
        "sinus": strength(0.5, 1.05, 0.04),
        "sinus_radius_mm": strength(2.8, 6.5),
        "sinus_left": strength(0.3, 1.0),
        "sinus_right": strength(0.3, 1.0),
        "straight_radius_mm": strength(1.0, 2.6),
        "labelled_vein": strength(0.3, 1.0, 0.15),
        "falx": strength(0.05, 0.6, 0.25),
        "tentorium": strength(0.05, 0.8, 0.25),
        "dura": strength(0.05, 0.7, 0.35),
        "dura_mm": strength(0.4, 1.6),
        "cavernous": strength(0.35, 1.0, 0.05),
        "pituitary": strength(0.3, 1.0, 0.05),
        "stalk": strength(0.3, 1.0, 0.15),
        "plexus": strength(0.25, 1.0, 0.06),
        "plexus_mm": strength(0.6, 3.2),
        "glomus_mm": strength(2.0, 6.0),
        "veins": strength(0.45, 1.2, 0.05) * (0.8 if spin_echo else 1.0),
        "veins_number": strength(50, 260),
        "veins_radius_mm": strength(0.38, 0.75),
        "arteries": strength(0.25, 1.3, 0.45 if spin_echo else 0.15),
        "arteries_number": strength(50, 220),
        "arteries_radius_mm": strength(0.32, 0.68),
        "artery_trunk": strength(0.1, 1.0, 0.5 if spin_echo else 0.2),
        "medullary": strength(0.1, 0.6, 0.3),
        "medullary_number": strength(20, 300),
        "deep": strength(0.4, 1.1, 0.08),
        "deep_number": strength(25, 120),
        "deep_radius_mm": strength(0.3, 0.6),
        "pia": strength(0.02, 0.3, 0.5),
        "mucosa": strength(0.2, 1.0),
        "skin": strength(0.0, 0.3),
        "muscle": strength(0.0, 0.25),
    }
