"""Progress, memory and refusals of the predictor; its answers are in tests/property."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from brainmets.domain.errors import OutOfMemory, WrongModelKind
from brainmets.inference import Bundle, Predictor, machine
from tests.bundles import random_bundle
from tests.prepared import prepared

if TYPE_CHECKING:
    from pathlib import Path

    from brainmets.domain import Case


@pytest.fixture(scope="module")
def volumetric(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return random_bundle(tmp_path_factory.mktemp("predictor") / "three", widths=(4, 8))


@pytest.fixture(scope="module")
def planar(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return random_bundle(tmp_path_factory.mktemp("predictor") / "two", dims=2, widths=(4, 8))


def test_a_head_becomes_probabilities_on_its_own_grid(
    volumetric: Bundle, planar: Bundle, phantom_case: Case
) -> None:
    for bundle in (volumetric, planar):
        ready = bundle.plan.apply(phantom_case)
        seen: list[tuple[str, float]] = []
        probability = Predictor(bundle).predict(ready, lambda s, d, seen=seen: seen.append((s, d)))
        assert probability.shape == ready.data.shape[1:]
        assert probability.dtype == np.float32
        assert 0.0 <= probability.min() < probability.max() <= 1.0
        native = ready.to_native(probability)
        assert native.geometry.same_grid(phantom_case.geometry)
        done = [d for _, d in seen]
        assert {s for s, _ in seen} == {"segment"}
        assert done == sorted(done)
        assert (done[0], done[-1]) == (0.0, 1.0)


def test_a_mirrored_model_answers_a_mirrored_slice_with_the_mirrored_answer(
    planar: Bundle, tmp_path: Path
) -> None:
    plan = planar.plan.model_copy(update={"mirrored": True})
    mirrored = random_bundle(tmp_path / "mirrored", widths=(4, 8), plan=plan)
    rng = np.random.default_rng(0)
    data = rng.random((planar.plan.channels, 40, 24, 1), dtype=np.float32)

    def answer(bundle: Bundle, *axes: int) -> np.ndarray:
        seen = Predictor(bundle).predict(prepared(np.flip(data, tuple(axis + 1 for axis in axes))))
        return np.flip(seen, axes)

    every = [answer(planar, *axes) for axes in ((), (0,), (1,), (0, 1))]
    assert np.ptp(np.stack(every), axis=0).max() > 1e-3, "the network alone is not symmetric"
    for axes in ((), (0,), (0, 1)):
        np.testing.assert_allclose(answer(mirrored, *axes), np.mean(every, axis=0), atol=1e-3)
    work = [Predictor(bundle).estimate((40, 24, 1)).operations for bundle in (planar, mirrored)]
    assert work[1] == 4 * work[0]
    several = np.repeat(data, 2, axis=3)
    assert np.array_equal(
        Predictor(mirrored).predict(prepared(several)), Predictor(planar).predict(prepared(several))
    )


def test_progress_may_cancel(volumetric: Bundle) -> None:
    class Cancelled(Exception):
        pass

    def cancel(_stage: str, done: float) -> None:
        if done > 0:
            raise Cancelled

    case = prepared(np.zeros((2, 32, 32, 32), np.float32))
    with pytest.raises(Cancelled):
        Predictor(volumetric).predict(case, cancel)


def test_too_little_memory_is_said_before_starting(volumetric: Bundle) -> None:
    predictor = Predictor(volumetric, memory_bytes=machine.used_memory() + 2**20)
    with pytest.raises(OutOfMemory, match=r"E_MEMORY: 0\.00 GB of memory to use; expected at"):
        predictor.predict(prepared(np.zeros((2, 64, 64, 64), np.float32)))


def test_a_memory_limit_chooses_windows_and_is_estimated(volumetric: Bundle) -> None:
    shape = (256, 256, 256)
    free = Predictor(volumetric).estimate(shape)
    assert free.tiling.count == 1
    limit = machine.used_memory() + int(0.6 * free.bytes)
    held = Predictor(volumetric, memory_bytes=limit).estimate(shape)
    assert held.tiling.count > 1
    assert held.bytes < free.bytes
    assert held.operations > free.operations


def test_work_is_bounded_when_memory_is_short(
    volumetric: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A halo nearly as wide as the head would need thousands of windows to be exact."""
    wide = volumetric.architecture.model_copy(update={"widths": (16, 32, 64, 128)})
    assert wide.halo > 40
    bundle = replace(volumetric, architecture=wide)
    shape = (176, 240, 256)
    whole = math.prod(shape)
    for share in (0.8, 0.5, 0.3):
        predictor = Predictor(bundle)
        monkeypatch.setattr(predictor, "_max_voxels", lambda _, n=share * whole: n)
        estimate = predictor.estimate(shape)
        assert math.prod(estimate.tiling.window) <= share * whole
        assert estimate.tiling.voxels <= 3 * whole
        assert estimate.tiling.halo >= 24
        assert estimate.exact == (estimate.tiling.halo == wide.halo)


def test_slices_run_in_batches_that_fit_the_cache(planar: Bundle) -> None:
    few = Predictor(planar).estimate((256, 256, 100))
    assert 1 < few.batch <= 16
    assert Predictor(planar).estimate((256, 256, 3)).batch == 3


def test_a_case_prepared_for_another_network_is_refused(volumetric: Bundle) -> None:
    with pytest.raises(WrongModelKind, match="3 channels"):
        Predictor(volumetric).predict(prepared(np.zeros((3, 16, 16, 16), np.float32)))


def test_the_machine_is_known() -> None:
    assert machine.count_processors() >= 1
    assert machine.used_memory() > 2**20
    assert machine.peak_memory() >= machine.used_memory() // 2
    free = machine.free_memory()
    assert free is not None
    assert free > 2**20
