"""The fixed synthetic benchmark: which heads, from which seeds, with which lesions."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from brainmets.synthesis.config import SynthesisConfig
from brainmets.synthesis.fields import generator

if TYPE_CHECKING:
    from brainmets.synthesis.config import Contrast

__all__ = [
    "BENCHMARK_BINS_MM",
    "BENCHMARK_HEADS",
    "BENCHMARK_MAPS",
    "BENCHMARK_VERSION",
    "FIRST_SEED",
    "VALIDATION_SEED",
    "benchmark_config",
    "benchmark_seeds",
    "validation_config",
]

BENCHMARK_VERSION = 2
"""Raised whenever a head, a lesion or a seed changes: figures of two versions do not compare."""

BENCHMARK_MAPS = tuple(f"training_seg_{number}.nii.gz" for number in (17, 18, 19, 20))
"""Label maps the published figures use; no recipe trains on them."""

FIRST_SEED = 2**32
"""Training and `brainmets train` draw seeds below 2³¹, so that no head of the benchmark can be
one of theirs, whatever the label map."""

VALIDATION_SEED = 2**33
"""Where the seeds begin of heads that operating points are chosen on: apart from both."""

BENCHMARK_BINS_MM = ((1.7, 2.4), (2.6, 4.0), (4.4, 8.0), (9.5, 26.0))
"""Diameters drawn, of spheres of equal volume, so that longest diameters fall below 3, into
3–5, into 5–10 and to 10 mm and more."""

LESIONS_PER_BIN = (4, 5, 5, 4)


class _Scan(NamedTuple):
    contrast: Contrast
    stripped: bool
    slice_mm: float


HEADS: tuple[_Scan, ...] = (
    _Scan("mprage", stripped=False, slice_mm=1.0),
    _Scan("mprage", stripped=True, slice_mm=1.0),
    _Scan("spin-echo", stripped=False, slice_mm=1.0),
    _Scan("mprage", stripped=True, slice_mm=1.5),
    _Scan("mprage", stripped=False, slice_mm=1.0),
    _Scan("spin-echo", stripped=True, slice_mm=1.0),
    _Scan("randomised", stripped=False, slice_mm=1.0),
    _Scan("mprage", stripped=True, slice_mm=1.0),
    _Scan("spin-echo", stripped=False, slice_mm=2.0),
    _Scan("randomised", stripped=True, slice_mm=1.0),
    _Scan("mprage", stripped=False, slice_mm=1.0),
    _Scan("spin-echo", stripped=True, slice_mm=3.0),
)
BENCHMARK_HEADS = len(HEADS)


def benchmark_seeds(heads: int = BENCHMARK_HEADS, *, first: int = 0) -> tuple[int, ...]:
    """Return the seeds of the benchmark's heads, the same for every label map."""
    return tuple(FIRST_SEED + first + number for number in range(heads))


def benchmark_config(seed: int) -> SynthesisConfig:
    """Return the config of one head: eighteen lesions, four or five of each size bin.

    Half the heads are skull-stripped, three of twelve have slices of 1.5 to 3 mm, two a contrast
    randomised around the real families.
    """
    scan = HEADS[(seed - FIRST_SEED) % BENCHMARK_HEADS]
    rng = generator(seed, 99)
    sizes = [
        float(np.exp(rng.uniform(np.log(low), np.log(high))))
        for (low, high), number in zip(BENCHMARK_BINS_MM, LESIONS_PER_BIN, strict=True)
        for _ in range(number)
    ]
    return SynthesisConfig(
        contrast_weights={scan.contrast: 1.0},
        native_share=0.0,
        clear_share=0.0,
        diameters_mm=tuple(sizes),
        stripped_share=float(scan.stripped),
        thick_share=float(scan.slice_mm > 1.0),
        slice_mm=(scan.slice_mm, scan.slice_mm),
    )


def validation_config(seed: int) -> SynthesisConfig:
    """Return the config of a head to choose operating points on: every fourth has no lesion.

    Half of those have no contrast medium either, as a healthy head without it.
    """
    number = seed - VALIDATION_SEED
    config = benchmark_config(seed)
    if number % 4 != 3:
        return config
    native = number % 8 == 3
    return config.model_copy(
        update={
            "native_share": float(native),
            "clear_share": float(not native),
            "diameters_mm": None,
            "stripped_share": float(number % 16 >= 8),
        }
    )
