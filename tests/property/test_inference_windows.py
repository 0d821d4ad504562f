"""Windows cover a volume once, carry all the context there is, and answer as one whole pass."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brainmets.inference import Bundle, Predictor
from brainmets.inference.windows import plan_tiling, round_up
from tests.bundles import random_bundle
from tests.prepared import prepared

if TYPE_CHECKING:
    from brainmets.models import ArchitectureName


@given(
    shape=st.lists(st.integers(1, 12), min_size=2, max_size=3),
    halo=st.integers(0, 4),
    stride=st.sampled_from([2, 4, 8]),
    budget=st.floats(0.01, 1.2),
)
def test_kept_parts_cover_once_and_context_is_complete(
    shape: list[int], halo: int, stride: int, budget: float
) -> None:
    size = tuple(n * stride for n in shape)
    limit = budget * math.prod(size)
    tiling = plan_tiling(size, halo=halo * stride, stride=stride, max_voxels=limit)
    if tiling is None:
        smallest = math.prod(min(n, (2 * halo + 1) * stride) for n in size)
        assert smallest > limit
        return
    covered = np.zeros(size, dtype=int)
    windows = list(tiling.windows())
    assert len(windows) == tiling.count
    assert tiling.count == 1 or math.prod(size) > limit, "one pass was possible"
    for window in windows:
        assert math.prod(s.stop - s.start for s in window.read) <= limit
        covered[window.write] += 1
        for n, read, keep, write in zip(size, window.read, window.keep, window.write, strict=True):
            assert read.start % stride == 0
            assert read.start <= max(write.start - halo * stride, 0)
            assert read.stop >= min(write.stop + halo * stride, n)
            assert (keep.start + read.start, keep.stop + read.start) == (write.start, write.stop)
    assert (covered == 1).all()


@pytest.fixture(scope="module", params=[("attention-unet", 3), ("unet-plus-plus", 2)])
def bundle(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    name: ArchitectureName = request.param[0]
    root = tmp_path_factory.mktemp("windows") / name
    return random_bundle(root, name=name, dims=request.param[1], widths=(4, 8))


@settings(max_examples=12)
@given(
    shape=st.tuples(st.integers(3, 70), st.integers(3, 50), st.integers(3, 30)),
    seed=st.integers(0, 2**16),
    share=st.floats(0.15, 0.9),
)
def test_windows_answer_as_the_whole_pass(
    bundle: Bundle, shape: tuple[int, int, int], seed: int, share: float
) -> None:
    rng = np.random.default_rng(seed)
    case = prepared(rng.normal(size=(bundle.plan.channels, *shape)).astype(np.float32))
    whole = Predictor(bundle, precision="float32")
    assert whole.estimate(shape).tiling.count == 1
    in_windows = _windowed(bundle, shape, share)
    np.testing.assert_allclose(in_windows.predict(case), whole.predict(case), atol=2e-6)


def test_less_memory_means_more_windows(bundle: Bundle) -> None:
    assert _windowed(bundle, (70, 50, 30), 0.3).estimate((70, 50, 30)).tiling.count >= 4


def _windowed(bundle: Bundle, shape: tuple[int, int, int], share: float) -> Predictor:
    """A predictor whose memory holds only a share of the volume, or the smallest window."""
    architecture = bundle.architecture
    axes = [round_up(n, architecture.stride) for n in shape[: architecture.dims]]
    smallest = math.prod(min(n, 2 * architecture.halo + architecture.stride) for n in axes)
    voxels = max(smallest, share * math.prod(axes))

    class Small(Predictor):
        def _max_voxels(self, _shape: tuple[int, int, int]) -> float:
            return voxels + 1

    return Small(bundle, precision="float32")
