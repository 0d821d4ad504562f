"""What the browser is given to threshold is compared as the service itself compares."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from brainmets.api.display import SLIDER_LEVELS, count_levels

floats = st.floats(0.0, 1.0, width=32)


@given(st.lists(floats, min_size=1, max_size=50), st.floats(0.001, 1.0))
def test_a_byte_reaches_a_level_where_its_probability_does(values: list[float], own: float) -> None:
    levels = tuple(sorted({*SLIDER_LEVELS, own}))
    near = [np.nextafter(np.float32(level), np.float32(way)) for level in levels for way in (0, 2)]
    probability = np.array([*values, *near, *levels], dtype=np.float32)
    counts = count_levels(probability, levels)
    for n, level in enumerate(levels, start=1):
        assert np.array_equal(counts >= n, probability >= np.float32(level))
