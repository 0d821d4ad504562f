"""The fixed synthetic benchmark: which seeds, and which lesions of which size."""

from __future__ import annotations

import numpy as np

from brainmets.synthesis.config import SynthesisConfig
from brainmets.synthesis.fields import generator

__all__ = ["BENCHMARK_BINS_MM", "benchmark_config", "benchmark_seeds"]

BENCHMARK_BINS_MM = ((2.0, 3.0), (3.0, 5.0), (5.0, 10.0), (10.0, 30.0))
"""Size bins of every report; each benchmark head has lesions of each."""
LESIONS_PER_BIN = (2, 3, 3, 1)
FIRST_SEED = 17_000


def benchmark_seeds(heads: int, *, first: int = 0) -> tuple[int, ...]:
    """Return the seeds of the benchmark's heads, the same for every label map."""
    return tuple(FIRST_SEED + first + number for number in range(heads))


def benchmark_config(seed: int) -> SynthesisConfig:
    """Return the config of one benchmark head: nine lesions, two or three of each size bin.

    Odd seeds are skull-stripped, a quarter has slices of 1.5 to 3 mm. Contrasts are the two
    real families, never fully random.
    """
    rng = generator(seed, 99)
    sizes = [
        float(np.exp(rng.uniform(np.log(low), np.log(high))))
        for (low, high), number in zip(BENCHMARK_BINS_MM, LESIONS_PER_BIN, strict=True)
        for _ in range(number)
    ]
    return SynthesisConfig(
        contrast_weights={"mprage": 0.6, "spin-echo": 0.4},
        diameters_mm=tuple(sizes),
        stripped_share=float(seed % 2),
        thick_share=0.25,
        slice_mm=(1.5, 3.0),
    )
