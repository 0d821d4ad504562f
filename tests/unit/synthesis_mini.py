"""A labelled head of half size: every tissue there, a tenth of the voxels of a real one."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from brainmets.domain import Geometry, Mask
from brainmets.synthesis import Anatomy, SynthesisConfig

SHAPE = (84, 100, 88)

CLEAN = SynthesisConfig(
    contrast_weights={"mprage": 1.0},
    native_share=0.0,
    clear_share=0.0,
    thick_share=0.0,
    ghost_share=0.0,
    ringing_share=0.0,
    noise=(0.01, 0.01),
    bias=(0.0, 0.0),
    scale=(1.0, 1.0),
    rotation_deg=5.0,
    elastic_mm=(0.5, 1.0),
    diameters_mm=(2.0, 3.0, 4.0, 6.0, 9.0, 12.0),
)


@lru_cache(maxsize=1)
def mini_labels() -> Mask:
    x, y, z = np.meshgrid(*(np.arange(n) - (n - 1) / 2 for n in SHAPE), indexing="ij")

    def ball(centre: tuple[float, float, float], radii: tuple[float, float, float]) -> np.ndarray:
        return sum(((a - c) / r) ** 2 for a, c, r in zip((x, y, z), centre, radii, strict=True)) < 1

    labels = np.zeros(SHAPE, dtype=np.uint16)
    labels[ball((0, 0, 0), (41, 49, 43))] = 511
    labels[ball((0, 0, 0), (39, 47, 41))] = 507
    labels[ball((0, 0, 4), (36, 44, 36))] = 515
    labels[ball((0, 0, 4), (35, 43, 35)) & ~ball((0, 0, 4), (34, 42, 34)) & (z > 10)] = 516
    labels[ball((0, 0, 4), (33, 41, 33))] = 24
    for side, grey, white in ((-1, 3, 2), (1, 42, 41)):
        half = (x * side > 1) & (z > -8)
        labels[ball((0, 0, 4), (31, 39, 31)) & half] = grey
        labels[ball((0, 0, 4), (27, 35, 27)) & half & (z > -4)] = white
        labels[ball((side * 7, -2, 8), (3, 14, 4)) & half] = 4 if side < 0 else 43
        labels[ball((side * 7, -8, 1), (6, 8, 5)) & half] = 10 if side < 0 else 49
        labels[ball((side * 9, -20, -16), (11, 12, 8))] = 8 if side < 0 else 47
        labels[ball((side * 9, -20, -16), (7, 8, 4))] = 7 if side < 0 else 46
        labels[ball((side * 7, 8, -14), (2, 4, 2))] = 502
    labels[ball((0, -8, -14), (6, 6, 14))] = 16
    labels[ball((0, -6, 1), (1.5, 6, 4))] = 14
    labels[ball((0, -16, -14), (2.5, 2.5, 5))] = 15
    labels[ball((0, 6, -9), (4, 2, 1.5))] = 85
    return Mask(data=labels, geometry=Geometry.isotropic(SHAPE))


@lru_cache(maxsize=1)
def mini_anatomy() -> Anatomy:
    return Anatomy.of(mini_labels())
