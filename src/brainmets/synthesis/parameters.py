"""Every random choice behind one synthetic head, drawn once, recorded, then applied."""

from __future__ import annotations

from collections.abc import Sequence  # noqa: TC003 - pydantic reads it at run time
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from brainmets.synthesis.config import Contrast, SynthesisConfig  # noqa: TC001 - pydantic too
from brainmets.synthesis.fields import generator
from brainmets.synthesis.labels import Tissue

__all__ = [
    "Acquisition",
    "Deforming",
    "LesionKind",
    "LesionParameters",
    "LesionSite",
    "SynthesisParameters",
    "draw_lesions",
    "sample_parameters",
]

LesionSite = Literal["junction", "white", "cortex", "cerebellum", "deep", "brainstem", "dural"]
LesionKind = Literal["solid", "ring", "haemorrhagic", "faint", "patchy"]
"""Patchy: a large tumour of enhancing knots and several necroses, open to its edge."""

SITE_WEIGHTS: dict[LesionSite, float] = {
    "junction": 0.56, "white": 0.08, "cortex": 0.06, "cerebellum": 0.16, "deep": 0.06,
    "brainstem": 0.03, "dural": 0.05,
}  # fmt: skip
"""Metastases lodge where arterioles narrow: at the grey–white junction, 80 % supratentorial
(Delattre et al., Arch Neurol 1988)."""


class Recorded(BaseModel):
    """A frozen record."""

    model_config = ConfigDict(frozen=True)


class LesionParameters(Recorded):
    """One lesion before it has found its place."""

    seed: int
    site: LesionSite
    kind: LesionKind
    diameter_mm: float
    """Of the sphere with the lesion's volume (enhancing and necrotic)."""
    axes: tuple[float, float, float]
    """Relative radii of the ellipsoid it grew from."""
    lobes: int
    roughness: float
    """Relative standard deviation of the radius."""
    grain: float
    """Length of the roughness, in radii."""
    from_library: bool
    enhancement: float
    """Brightness of the enhancing part: 0 as white matter, 1 as blood."""
    rim_mm: float
    """Mean thickness of the ring; the whole lesion enhances where it is thicker than that."""
    rim_variation: float
    core: float
    """Brightness of the necrosis: 0 as fluid, 1 as white matter."""
    texture: float
    oedema_mm: float
    oedema_strength: float
    mass_effect: float
    near: int | None = None
    """Number (from 0) of the lesion of which this is a satellite."""


class Deforming(Recorded):
    """How the label map is bent: affine about the head's centre, then elastic."""

    flip: bool
    rotation_deg: tuple[float, float, float]
    scale: tuple[float, float, float]
    shear: tuple[float, float, float]
    elastic_mm: float
    elastic_length_mm: float
    below_mm: float
    """How far below the brain the field of view reaches in a whole head."""


class Acquisition(Recorded):
    """How the scanner sees the head."""

    bias: float
    bias_length_mm: float
    noise: float
    blur_mm: float
    slice_axis: int
    slice_mm: float
    """1.0 stands for an isotropic scan."""
    slice_gap: float
    ringing: float
    ghost: float
    ghost_axis: int
    ghost_shift: float
    gamma: float
    scale: float
    """Intensity of white matter in the image written."""


class SynthesisParameters(Recorded):
    """Everything that makes one synthetic head from one label map."""

    seed: int
    contrast: Contrast
    contrast_medium: bool
    stripped: bool
    strip_margin_mm: float
    """How far from the parenchyma the cut keeps fluid and vessels."""
    strip_skull_mm: float
    """How far within the inner skull the cut stays; negative leaves dura and sinuses."""
    strip_roughness_mm: float
    tissues: dict[str, float]
    """Brightness by Tissue name, white matter about 1."""
    texture: float
    folia: float
    """Depth of the cerebellar fissures, 0 none to 1 as dark as fluid."""
    blood: float
    """Brightness of enhanced blood."""
    enhancement: dict[str, float]
    """Strength, thickness or number of each normal enhancement; see `enhancement.py`."""
    deforming: Deforming
    acquisition: Acquisition
    lesions: tuple[LesionParameters, ...]
    fat_islands: int = 0
    """In bone and deep soft parts; see `paint_soft_parts`."""


def sample_parameters(config: SynthesisConfig, seed: int) -> SynthesisParameters:
    """Draw every choice for one head; the same config and seed give the same parameters."""
    rng = generator(seed, 1)
    names = list(config.contrast_weights)
    weights = np.array(list(config.contrast_weights.values()), dtype=float)
    contrast = names[int(rng.choice(len(names), p=weights / weights.sum()))]
    wish = rng.uniform()
    fixed = config.diameters_mm is not None
    native = not fixed and wish < config.native_share
    clear = not fixed and wish < config.native_share + config.clear_share
    tissues, blood, enhancement, texture = draw_contrast(contrast, rng)
    stripped = bool(rng.uniform() < config.stripped_share)
    lesions = () if clear else draw_lesions(config, generator(seed, 2))
    lesions = tuple(_made_visible(lesion, tissues, blood) for lesion in lesions)
    return SynthesisParameters(
        seed=seed,
        contrast=contrast,
        contrast_medium=not native,
        stripped=stripped,
        strip_margin_mm=float(rng.uniform(1.5, 8.0)),
        strip_skull_mm=float(rng.uniform(-3.0, 2.5)),
        strip_roughness_mm=float(rng.uniform(0.1, 1.2)),
        tissues=tissues,
        texture=texture,
        folia=float(rng.uniform(0.0, 0.8)),
        blood=blood,
        enhancement=enhancement,
        deforming=_draw_deforming(config, rng),
        acquisition=_draw_acquisition(config, rng),
        lesions=lesions,
        fat_islands=int(generator(seed, 11).integers(*config.fat_islands, endpoint=True)),
    )


PATCHY_MM = 15.0
"""From this diameter on a lesion may be patchy."""

# Above the brightest tissue next to it, or no reader would have outlined it.
VISIBLE, VISIBLE_FAINT = 1.2, 1.08


def _made_visible(
    lesion: LesionParameters, tissues: dict[str, float], blood: float
) -> LesionParameters:
    brightest = max(tissues["white"], tissues["grey"])
    wanted = brightest * (VISIBLE_FAINT if lesion.kind == "faint" else VISIBLE)
    least = (wanted - tissues["white"]) / (blood - tissues["white"])
    return lesion.model_copy(update={"enhancement": max(lesion.enhancement, least)})


def _between(rng: np.random.Generator, ends: tuple[float, float]) -> float:
    return float(rng.uniform(*ends))


def _three(rng: np.random.Generator, low: float, high: float) -> tuple[float, float, float]:
    a, b, c = rng.uniform(low, high, 3).tolist()
    return a, b, c


def _draw_deforming(config: SynthesisConfig, rng: np.random.Generator) -> Deforming:
    size = _between(rng, config.scale)
    a, b, c = rng.uniform(-0.04, 0.04, 3).tolist()
    low, high = config.scale
    length = float(rng.uniform(18, 45))
    return Deforming(
        flip=bool(rng.uniform() < config.flip_share),
        rotation_deg=_three(rng, -config.rotation_deg, config.rotation_deg),
        scale=(
            float(np.clip(size + a, low, high)),
            float(np.clip(size + b, low, high)),
            float(np.clip(size + c, low, high)),
        ),
        shear=_three(rng, -0.04, 0.04),
        # Short waves must be shallow, or skulls ripple.
        elastic_mm=_between(rng, config.elastic_mm) * min(1.0, length / 40.0),
        elastic_length_mm=length,
        below_mm=float(rng.uniform(4, 45)),
    )


def _draw_acquisition(config: SynthesisConfig, rng: np.random.Generator) -> Acquisition:
    thick = rng.uniform() < config.thick_share
    low, high = config.noise
    return Acquisition(
        bias=_between(rng, config.bias),
        bias_length_mm=float(rng.uniform(45, 110)),
        noise=float(np.exp(rng.uniform(np.log(max(low, 1e-4)), np.log(max(high, 1e-4))))),
        blur_mm=_between(rng, config.blur_mm),
        # Mostly axial, as in practice; sagittal and coronal now and then.
        slice_axis=int(rng.choice([0, 1, 2], p=[0.15, 0.15, 0.7])),
        slice_mm=_between(rng, config.slice_mm) if thick else 1.0,
        slice_gap=float(rng.uniform(0.0, 0.25)),
        ringing=float(rng.uniform(0.3, 1.0)) if rng.uniform() < config.ringing_share else 0.0,
        ghost=float(rng.uniform(0.01, 0.05)) if rng.uniform() < config.ghost_share else 0.0,
        ghost_axis=int(rng.integers(0, 2)),
        ghost_shift=float(rng.uniform(0.2, 0.5)),
        gamma=float(np.exp(rng.normal(0.0, 0.08))),
        scale=float(np.exp(rng.uniform(np.log(150), np.log(1500)))),
    )


def draw_lesions(config: SynthesisConfig, rng: np.random.Generator) -> tuple[LesionParameters, ...]:
    """Draw how many lesions a head has and what each looks like, the largest first."""
    diameters = _draw_diameters(config, rng)
    lesions = [_draw_lesion(config, diameter, rng) for diameter in sorted(diameters, reverse=True)]
    if config.diameters_mm is None:
        for index in range(1, len(lesions)):
            host = int(rng.integers(0, index))
            small = lesions[index].diameter_mm < 0.5 * lesions[host].diameter_mm
            if small and lesions[host].diameter_mm > 12 and rng.uniform() < 0.2:
                lesions[index] = lesions[index].model_copy(update={"near": host})
    return tuple(lesions)


def _draw_diameters(config: SynthesisConfig, rng: np.random.Generator) -> Sequence[float]:
    if config.diameters_mm is not None:
        return config.diameters_mm
    counts = np.array([weight for _, _, weight in config.count_weights])
    low, high, _ = config.count_weights[int(rng.choice(len(counts), p=counts / counts.sum()))]
    number = int(rng.integers(low, high + 1))
    bins = np.array([weight for _, _, weight in config.diameter_weights])
    if number > 6:  # many lesions are mostly small ones
        bins = bins * np.linspace(1.3, 0.35, len(bins))
    if number == 1:
        bins = bins * np.linspace(0.6, 1.6, len(bins))
    chosen = rng.choice(len(bins), size=number, p=bins / bins.sum())
    return [
        float(np.exp(rng.uniform(*np.log(config.diameter_weights[index][:2])))) for index in chosen
    ]


def _draw_lesion(
    config: SynthesisConfig, diameter: float, rng: np.random.Generator
) -> LesionParameters:
    sites: list[LesionSite] = list(SITE_WEIGHTS)
    site = sites[int(rng.choice(len(sites), p=list(SITE_WEIGHTS.values())))]
    ring_share = float(np.clip((diameter - 4.0) / 12.0, 0.02, 0.72))
    look = rng.uniform()
    kind: LesionKind = (
        "ring" if look < ring_share
        else "haemorrhagic" if look > 0.97
        else "faint" if diameter > 4 and look > (0.88 if diameter < 15 else 0.95)
        else "solid"
    )  # fmt: skip
    lobes = 1 if diameter < 6 else int(rng.choice([1, 2, 3, 4, 5], p=[0.6, 0.18, 0.11, 0.07, 0.04]))
    large = diameter >= 5.0
    oedema = large and rng.uniform() < config.oedema_share
    lowest = 0.4 if diameter < 5 else 0.22  # what is small and faint is not outlined
    enhancement = rng.uniform(0.12, 0.3) if kind == "faint" else rng.uniform(lowest, 1.1)
    # what is off draws nothing, so that older recipes and the benchmark keep their lesions
    if config.patchy_share and diameter >= PATCHY_MM and rng.random() < config.patchy_share:
        kind, enhancement = "patchy", rng.uniform(0.4, 1.1)
    axes = np.exp(rng.normal(0.0, 0.16, 3))
    axes /= axes.prod() ** (1 / 3)
    return LesionParameters(
        seed=int(rng.integers(2**31)),
        site=site,
        kind=kind,
        diameter_mm=diameter,
        axes=(float(axes[0]), float(axes[1]), float(axes[2])),
        lobes=lobes,
        roughness=float(rng.uniform(0.02, 0.2) if large else rng.uniform(0.0, 0.1)),
        grain=float(rng.uniform(0.35, 0.9)),
        from_library=bool(large and rng.uniform() < config.library_share),
        enhancement=float(enhancement),
        rim_mm=float(diameter * np.exp(rng.uniform(-3.5, -1.4)) + rng.uniform(0.5, 1.2)),
        rim_variation=float(rng.uniform(0.1, 0.7)),
        core=float(rng.beta(1.6, 1.6)) * 0.95,
        texture=float(rng.uniform(0.02, 0.18)),
        oedema_mm=float(min(rng.gamma(2.2, 3.5) + 2.0, diameter + 4.0, 18.0)) if oedema else 0.0,
        oedema_strength=float(rng.uniform(0.3, 0.95)),
        mass_effect=float(rng.uniform(0.0, 0.6)) if diameter > 10 else 0.0,
    )


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
