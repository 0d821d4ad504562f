import numpy as np

from brainmets.synthesis import sample_head


def test_the_same_seed_gives_the_same_head() -> None:
    first, second = sample_head(0), sample_head(0)
    assert np.array_equal(first.image.data, second.image.data)
    assert np.array_equal(first.lesions.data, second.lesions.data)
    assert first.placed
