"""What diameters of digitised balls promise: a bias, known and bounded."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.diameters import errors


@pytest.mark.parametrize("pixel", [0.5, 0.9, 1.0])
@pytest.mark.parametrize("diameter", [3.0, 5.0, 8.0, 12.0])
def test_a_digitised_ball_measures_half_a_pixel_more(pixel: float, diameter: float) -> None:
    """Over places on an isotropic grid: never a pixel too much, never much too little."""
    rng = np.random.default_rng(7)
    spacing = (pixel, pixel, pixel)
    found = np.array([errors(spacing, diameter, rng) for _ in range(4)])
    in_plane, across, in_space = found.mean(axis=0) / pixel
    assert 0.0 < in_plane < 0.9
    assert -0.7 < across < 0.7
    assert 0.4 < in_space < 1.1
    assert np.abs(found).max() < 1.3 * pixel
