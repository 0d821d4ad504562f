"""The parts of synthesis: noise, vessels, bending, shapes, slices, the store."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from brainmets.domain import Geometry, Mask
from brainmets.synthesis import ShapeLibrary, anatomy_of, sample_parameters
from brainmets.synthesis.acquisition import SlicePlan
from brainmets.synthesis.anatomy import Anatomy, decode, encode
from brainmets.synthesis.deformation import Deformation
from brainmets.synthesis.fields import generator, smooth_noise, unit_noise
from brainmets.synthesis.shapes import level_set, random_rotation
from brainmets.synthesis.vessels import draw_tubes, grow_tree
from tests.unit.synthesis_mini import CLEAN, mini_anatomy, mini_labels

if TYPE_CHECKING:
    from pathlib import Path


@given(st.integers(0, 2**31), st.floats(3.0, 20.0))
def test_smooth_noise_is_standard_and_repeatable(seed: int, length: float) -> None:
    field = smooth_noise(generator(seed), (30, 34, 28), length)
    assert field.shape == (30, 34, 28)
    assert np.array_equal(field, smooth_noise(generator(seed), (30, 34, 28), length))
    assert np.abs(np.diff(field, axis=0)).max() < 12 / length


def test_noise_from_the_pool_is_standard_normal() -> None:
    noise = unit_noise(generator(1), 600_000)
    assert noise.mean() == pytest.approx(0.0, abs=0.01)
    assert noise.std() == pytest.approx(1.0, abs=0.01)
    assert abs(np.corrcoef(noise[:-1], noise[1:])[0, 1]) < 0.01


@given(st.floats(-13.0, 17.0))
def test_fields_survive_their_eight_bits(depth: float) -> None:
    value = np.array([depth], dtype=np.float32)
    assert decode("depth", encode("depth", value))[0] == pytest.approx(depth, abs=0.07)


@pytest.mark.parametrize("seed", [0, 3])
def test_forward_undoes_the_bending(seed: int) -> None:
    anatomy = mini_anatomy()
    deformation = Deformation.of(anatomy, sample_parameters(CLEAN, seed))
    points = np.argwhere(anatomy.packed > 0)[::4001].astype(np.float32)
    place = deformation.forward(points)
    size = np.array(deformation.shape) - 1
    inside = np.all((place > 0) & (place < size), axis=1)
    source = place @ deformation.matrix.T + deformation.offset + deformation._displacement(place)
    assert inside.sum() > 20
    assert np.abs(source - points)[inside].max() < 0.2


def test_vessels_taper_from_trunk_to_tip() -> None:
    routes = mini_anatomy().routes["veins"]
    points, radii = grow_tree(
        routes,
        generator(4),
        terminals=60,
        radius_mm=0.4,
        largest_mm=2.0,
        move=lambda at: np.asarray(at, dtype=np.float32),
    )
    assert len(points) == len(radii) > 200
    assert radii.max() > 2 * np.percentile(radii, 10)
    index, share = draw_tubes(mini_anatomy().geometry.shape, points, radii)
    assert len(np.unique(index)) == len(index)
    assert share.min() > 0
    assert share.max() <= 1


def test_tubes_fill_their_cross_section() -> None:
    points = np.stack([np.full(200, 15.0), np.full(200, 15.0), np.linspace(5, 25, 200)], axis=1)
    for radius in (0.3, 1.0, 2.0):
        _, share = draw_tubes(
            (31, 31, 31), points.astype(np.float32), np.full(200, radius, np.float32)
        )
        assert share.sum() / 20 == pytest.approx(np.pi * radius**2, rel=0.35)


@given(st.integers(0, 2**31))
def test_rotations_are_rotations(seed: int) -> None:
    matrix = random_rotation(generator(seed))
    assert np.allclose(matrix @ matrix.T, np.eye(3), atol=1e-5)
    assert np.linalg.det(matrix) == pytest.approx(1.0, abs=1e-4)


def test_real_shapes_keep_their_volume() -> None:
    data = np.zeros((40, 40, 40), dtype=np.uint8)
    data[8:30, 10:20, 12:22] = 3
    data[12:26, 12:18, 14:20] = 1
    data[33, 33, 33] = 3  # too small to have a shape
    geometry = Geometry.isotropic((40, 40, 40))
    library = ShapeLibrary.of([Mask(data=data, geometry=geometry)])
    assert len(library.levels) == 1
    lesion = (
        sample_parameters(CLEAN, 0)
        .lesions[0]
        .model_copy(update={"from_library": True, "diameter_mm": 16.0, "roughness": 0.0})
    )
    line = np.arange(-20, 21, dtype=np.float32)
    level = level_set(lesion, (line, line, line), generator(1), library)
    wanted = np.pi / 6 * 16.0**3
    assert np.count_nonzero(level < 0) == pytest.approx(wanted, rel=0.15)
    assert level[0, 0, 0] > 0


@given(st.floats(1.5, 6.0), st.sampled_from([0, 1, 2]), st.floats(0.0, 0.25))
def test_slices_average_without_loss(slice_mm: float, axis: int, gap: float) -> None:
    geometry = Geometry.isotropic((24, 25, 26))
    plan = SlicePlan(geometry, axis=axis, slice_mm=slice_mm, gap=gap)
    flat = np.ones(geometry.shape, dtype=np.float32)
    thick = plan.thicken(flat)
    assert thick.shape == plan.geometry.shape
    assert np.allclose(thick, 1.0, atol=1e-5)
    assert np.allclose(plan.thin(thick), 1.0, atol=1e-5)
    ramp = np.moveaxis(
        np.arange(geometry.shape[axis], dtype=np.float32)[:, None, None]
        + np.zeros([n for a, n in enumerate(geometry.shape) if a != axis], np.float32),
        0,
        axis,
    )
    first = np.moveaxis(plan.thicken(ramp), axis, 0)[0, 0, 0]
    place = plan.geometry.to_ras_mm((0, 0, 0))
    assert geometry.to_voxel(place)[axis] == pytest.approx(first, abs=0.6)


def test_an_anatomy_is_worked_out_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRAINMETS_CACHE", str(tmp_path))
    monkeypatch.setattr("brainmets.synthesis.store._held", OrderedDict())
    monkeypatch.setattr("brainmets.synthesis.store.HELD", 0)
    first = anatomy_of(mini_labels())
    kept = list((tmp_path / "anatomy").glob("*.npz"))
    assert len(kept) == 1
    monkeypatch.setattr(Anatomy, "of", lambda *_a, **_k: pytest.fail("worked out twice"))
    second = anatomy_of(mini_labels())
    assert np.array_equal(first.packed, second.packed)
    assert first.geometry.same_grid(second.geometry)
    assert first.brain_box == second.brain_box
    assert set(first.routes) == set(second.routes)
    for name in first.routes:
        assert np.array_equal(first.routes[name].parents, second.routes[name].parents)
    monkeypatch.undo()
    kept[0].write_bytes(b"broken")
    monkeypatch.setenv("BRAINMETS_CACHE", str(tmp_path))
    monkeypatch.setattr("brainmets.synthesis.store.HELD", 0)
    assert np.array_equal(anatomy_of(mini_labels()).packed, first.packed)
