"""A head made of formulas, with the label numbers of a real one: synthesis without any file."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from brainmets.domain.geometry import Geometry
from brainmets.domain.volume import Mask
from brainmets.synthesis.anatomy import Anatomy
from brainmets.synthesis.config import SynthesisConfig
from brainmets.synthesis.fields import generator, smooth_noise
from brainmets.synthesis.head import synthesize_head

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from brainmets.synthesis.case import SyntheticCase

__all__ = ["analytic_labels", "sample_head"]

SHAPE = (164, 200, 184)
CENTRE = (0.0, 4.0, 8.0)
BRAIN_MM = (66.0, 83.0, 68.0)

SAMPLE = SynthesisConfig(
    contrast_weights={"mprage": 1.0},
    native_share=0.0,
    clear_share=0.0,
    thick_share=0.0,
    ghost_share=0.0,
    ringing_share=0.0,
    noise=(0.012, 0.03),
    bias=(0.03, 0.12),
    elastic_mm=(1.0, 2.5),
    count_weights=((3, 7, 1.0),),
)
"""What the sample button shows: a clean scan with a few lesions."""


def sample_head(seed: int = 0, config: SynthesisConfig = SAMPLE) -> SyntheticCase:
    """Make a synthetic T1c head from formulas alone, for demonstrations and tests."""
    return synthesize_head(_anatomy(seed % 3), config, seed)


@lru_cache(maxsize=3)
def _anatomy(variant: int) -> Anatomy:
    return Anatomy.of(analytic_labels(variant))


def analytic_labels(seed: int = 0) -> Mask:
    """Draw a labelled head: skull, folded cortex, ventricles, deep nuclei, cerebellum, vessels.

    Plausible in proportion, not a person: gyri are noise, nuclei are ellipsoids.
    """
    rng = generator(seed, 77)
    geometry = Geometry.isotropic(SHAPE)
    x, y, z = (
        (np.arange(n, dtype=np.float32) - (n - 1) / 2 - c)[
            tuple(slice(None) if a == axis else None for a in range(3))
        ]
        for axis, (n, c) in enumerate(zip(SHAPE, CENTRE, strict=True))
    )
    labels = np.zeros(SHAPE, dtype=np.uint16)

    def ball(
        centre: tuple[float, float, float], radii: tuple[float, float, float], power: float = 2.0
    ) -> NDArray[np.float32]:
        """Normalised radius: below 1 inside."""
        total = sum(
            np.abs((axis - c) / r) ** power
            for axis, c, r in zip((x, y, z), centre, radii, strict=True)
        )
        return np.asarray(total, dtype=np.float32) ** np.float32(1 / power)

    a, b, c = BRAIN_MM
    lump = 0.012 * smooth_noise(rng, SHAPE, 40.0)
    skull = ball((0, 0, 0), BRAIN_MM, 2.3) + lump
    # The vault, flattened below: the skull base rises towards the front.
    base = z - (-40.0 + np.where(y > 12, 0.42 * (y - 12), 0.0))
    base = np.broadcast_to(base, SHAPE) + 60 * lump
    vault = np.maximum(skull, 1 - base / 30)
    head = np.minimum(
        ball((0, 2, 4), (a + 13, b + 14, c + 15), 2.2), ball((0, 14, -60), (58, 66, 70), 2.4)
    )
    head = head + lump
    labels[head < 1.0] = 511
    labels[head < 0.975] = 507
    labels[(skull < 1.13) & (base > -30)] = 515
    labels[(skull < 1.10) & (skull > 1.05) & (base > -4)] = 516
    face = ball((0, 78, -42), (13, 22, 22))
    labels[(face < 1) & (head < 0.97)] = 509
    labels[(ball((0, 78, -40), (6, 19, 18)) < 1) & (head < 0.97)] = 0
    for side in (-1, 1):
        labels[ball((side * 33, 74, -26), (12, 12, 12)) < 1] = 506

    fossa = np.minimum(vault, ball((0, -46, -42), (50, 36, 30), 2.4) + lump)
    labels[fossa < 1.0] = 24
    _cerebrum(labels, rng, (x, y, z), ball, vault, base)
    _hindbrain(labels, rng, (x, y, z), ball)
    _deep(labels, (x, y, z), ball)
    for side in (-1, 1):  # carotid siphons beside the sella
        labels[ball((side * 12, 14, -36), (3.2, 8, 3.2)) < 1] = 502
        labels[ball((side * 13, 10, -50), (3.0, 3.0, 14)) < 1] = 502
        labels[ball((side * 47, -24, -46), (4, 9, 9)) < 1] = 514
    return Mask(data=labels, geometry=geometry)


def _cerebrum(labels, rng, axes, ball, vault, base) -> None:
    x, y, z = axes
    fold = smooth_noise(rng, SHAPE, 7.0) + 0.6 * smooth_noise(rng, SHAPE, 4.5)
    crease = np.abs(fold)  # sulci lie where the noise crosses zero
    depth = (1 - vault) * 66.0
    tentorium = z - (-18.0 + np.where(y < 0, -0.25 * (y + 46), 11.0) - 0.10 * np.abs(x))
    shape = (depth > 2.5) & (np.broadcast_to(tentorium, SHAPE) > 2.0)
    # Lateral (Sylvian) fissures part the temporal lobes from what lies above.
    sylvian = (
        np.abs(z + 12 - 0.35 * y)
        + np.maximum(0, 44 - np.abs(x)) * 0.5
        + np.maximum(0, np.abs(y - 12) - 26)
    )
    shape &= np.broadcast_to(sylvian, SHAPE) > 2.0
    shape &= np.broadcast_to(np.abs(x), SHAPE) > np.where(
        np.broadcast_to((z < 8) & (np.abs(y) < 34), SHAPE), 0.0, 1.4
    )
    sulcus = (crease < 0.16) & (depth < 17)
    ribbon = (depth < 6.0) | (crease < 0.62) & (depth < 20.5)
    inner = np.broadcast_to(np.abs(x), SHAPE) < 4.5
    ribbon |= inner & ((np.broadcast_to(z, SHAPE) > 24) | (np.abs(np.broadcast_to(y, SHAPE)) > 42))
    near_tent = np.broadcast_to(tentorium, SHAPE) < 6
    ribbon |= near_tent
    right = np.broadcast_to(x, SHAPE) >= 0
    grey = shape & ribbon & ~sulcus
    labels[shape & ~sulcus & ~ribbon] = 2
    labels[grey] = 3
    del base
    for left, other in ((2, 41), (3, 42)):
        labels[(labels == left) & right] = other


def _hindbrain(labels, rng, axes, ball) -> None:
    x, y, z = axes
    right = np.broadcast_to(x, SHAPE) >= 0
    leaf = 0.05 * smooth_noise(rng, SHAPE, (9.0, 5.0, 3.0))
    for side in (-1, 1):
        lobe = ball((side * 22, -50, -40), (25, 26, 19), 2.3) + leaf
        half = right if side > 0 else ~right
        here = (lobe < 1) & half
        labels[here] = 47 if side > 0 else 8
        tree = (ball((side * 20, -44, -40), (15, 15, 9)) + 3 * leaf) < 1
        labels[tree & half] = 46 if side > 0 else 7
    stem = np.hypot(x, (y + 14 + 0.30 * (z + 30)) * 1.1)
    width = np.where(np.abs(z + 34) < 14, 15.0, 10.5)
    labels[
        (np.broadcast_to(stem, SHAPE) < np.broadcast_to(width, SHAPE))
        & np.broadcast_to((z < -12) & (z > -84), SHAPE)
    ] = 16
    labels[ball((0, -27, -36), (6, 5, 11)) < 1] = 15


def _deep(labels, axes, ball) -> None:
    x = axes[0]
    for side, shift in ((-1, 0), (1, 1)):
        half = np.broadcast_to(x, SHAPE) * side > 0.5
        horn = np.minimum(
            ball((side * 11, 14, 15), (7, 24, 8)), ball((side * 15, -14, 17), (6, 24, 7))
        )
        atrium = np.minimum(
            ball((side * 23, -36, 8), (7.5, 13, 10)), ball((side * 33, -12, -14), (4, 20, 4))
        )
        parts = (
            (ball((side * 27, 4, 3), (7, 20, 12)), (12, 51)),
            (ball((side * 20, 0, 1), (5, 10, 7)), (13, 52)),
            (ball((side * 14, 14, 13), (6.5, 21, 9)), (11, 50)),
            (ball((side * 10.5, -12, 5), (9.5, 14, 9)), (10, 49)),
            (ball((side * 9, -10, -8), (8, 9, 6)), (28, 60)),
            (ball((side * 27, -18, -19), (5, 19, 5)), (17, 53)),
            (ball((side * 24, 4, -19), (8, 8, 8)), (18, 54)),
            (horn, (4, 43)),
            (atrium, (4, 43)),
            (ball((side * 10.5, -12, 3), (9.5, 13, 9)), (10, 49)),
        )
        for radius, numbers in parts:
            labels[(radius < 1) & half] = numbers[shift]
    labels[ball((0, -8, 2), (2.2, 12, 9)) < 1] = 14
    labels[ball((0, 8, -22), (9, 3, 2.5)) < 1] = 85
