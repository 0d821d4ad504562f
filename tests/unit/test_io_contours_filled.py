"""Filling a polygon gives back the pixels it was drawn around, and agrees with scikit-image."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.draw import polygon2mask

from brainmets.io.contours import filled, outlines


@settings(deadline=None)
@given(shape=st.tuples(st.integers(1, 9), st.integers(1, 9)), seed=st.integers(0, 2**16))
def test_outlines_filled_are_their_pixels(shape: tuple[int, int], seed: int) -> None:
    inside = np.random.default_rng(seed).random(shape) < 0.6
    found = np.zeros(shape, dtype=bool)
    for outline in outlines(inside):
        found ^= filled(outline, shape)
    np.testing.assert_array_equal(found, inside)


@settings(deadline=None)
@given(seed=st.integers(0, 2**16), corners=st.integers(3, 9))
def test_any_polygon_is_filled_as_elsewhere(seed: int, corners: int) -> None:
    """Corners beyond the picture and edges that cross included."""
    points = np.random.default_rng(seed).uniform(-5.0, 25.0, size=(corners, 2))
    np.testing.assert_array_equal(filled(points, (20, 17)), polygon2mask((20, 17), points))
