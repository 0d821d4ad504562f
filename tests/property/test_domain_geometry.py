"""Geometry: every orientation of a head is the same head."""

from __future__ import annotations

from itertools import permutations, product
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from brainmets.domain import Geometry, HeadPhantom

if TYPE_CHECKING:
    from numpy.typing import NDArray

Axes = tuple[int, int, int]
Flips = tuple[bool, bool, bool]

ORIENTATIONS: list[tuple[Axes, Flips]] = [
    (axes, flips) for axes in permutations((0, 1, 2)) for flips in product((False, True), repeat=3)
]
orientations = st.sampled_from(ORIENTATIONS)


def rotation(angles_rad: tuple[float, float, float]) -> NDArray[np.float64]:
    """Rotate about x, then y, then z."""
    matrix = np.eye(3)
    for axis, angle in enumerate(angles_rad):
        turn = np.eye(3)
        a, b = (axis + 1) % 3, (axis + 2) % 3
        turn[a, a] = turn[b, b] = np.cos(angle)
        turn[a, b], turn[b, a] = -np.sin(angle), np.sin(angle)
        matrix = turn @ matrix
    return matrix


@st.composite
def geometries(draw: st.DrawFn) -> Geometry:
    """Oblique, anisotropic, shifted grids in any axis order and handedness."""
    sizes = st.integers(1, 40)
    angle = st.floats(-0.5, 0.5)
    spacing = st.floats(0.2, 8.0)
    offset = st.floats(-300.0, 300.0)
    affine = np.eye(4)
    affine[:3, :3] = rotation((draw(angle), draw(angle), draw(angle))) @ np.diag(
        [draw(spacing), draw(spacing), draw(spacing)]
    )
    affine[:3, 3] = (draw(offset), draw(offset), draw(offset))
    straight = Geometry(shape=(draw(sizes), draw(sizes), draw(sizes)), affine=affine)
    axes, flips = draw(orientations)
    return straight.permuted(axes, flips)


def test_there_are_48_orientations_and_each_has_its_own_codes() -> None:
    grid = Geometry.isotropic((4, 5, 6))

    codes = {grid.permuted(axes, flips).axis_codes for axes, flips in ORIENTATIONS}

    assert len(ORIENTATIONS) == 48
    assert len(codes) == 48
    assert {"RAS", "LPS", "LAS", "PIR", "ASL"} <= codes


@pytest.mark.parametrize(("axes", "flips"), ORIENTATIONS)
def test_phantom_rendered_on_a_permuted_grid_is_the_permuted_phantom(
    axes: Axes, flips: Flips
) -> None:
    straight = Geometry(
        shape=(20, 25, 14),
        affine=np.diag([8.0, 8.0, 14.0, 1.0])
        - [[0, 0, 0, 78], [0, 0, 0, 98], [0, 0, 0, 92], [0, 0, 0, 0]],
    )
    phantom = HeadPhantom(noise=0.0)

    expected = phantom.render(straight)[0].data.transpose(axes)
    expected = np.flip(expected, [axis for axis, flip in enumerate(flips) if flip])
    rendered = phantom.render(straight.permuted(axes, flips))[0].data

    np.testing.assert_array_equal(rendered, expected)


@given(geometries(), st.tuples(*[st.floats(-50.0, 50.0)] * 3))
def test_voxel_to_millimetres_and_back(geometry: Geometry, ijk: tuple[float, ...]) -> None:
    back = geometry.to_voxel(geometry.to_ras_mm(ijk))

    np.testing.assert_allclose(back, ijk, atol=1e-6)


@given(geometries(), orientations)
def test_permuting_moves_no_voxel(geometry: Geometry, orientation: tuple[Axes, Flips]) -> None:
    axes, flips = orientation
    permuted = geometry.permuted(axes, flips)
    last = np.array(permuted.shape) - 1

    for corner in product((0, 1), repeat=3):
        new = np.array(corner) * last
        unflipped = np.where(flips, last - new, new)
        old = np.empty(3)
        old[list(axes)] = unflipped
        np.testing.assert_allclose(permuted.to_ras_mm(new), geometry.to_ras_mm(old), atol=1e-6)


@given(geometries(), orientations)
def test_permuting_keeps_volume_and_spacings(
    geometry: Geometry, orientation: tuple[Axes, Flips]
) -> None:
    permuted = geometry.permuted(*orientation)

    assert permuted.voxel_volume_mm3 == pytest.approx(geometry.voxel_volume_mm3)
    assert sorted(permuted.spacing_mm) == pytest.approx(sorted(geometry.spacing_mm))


@given(geometries())
def test_closest_axes_are_a_permutation(geometry: Geometry) -> None:
    assert sorted(ras for ras, _ in geometry.closest_axes) == [0, 1, 2]
    assert len(set(geometry.axis_codes)) == 3


@given(geometries(), st.tuples(*[st.integers(-10, 10)] * 3))
def test_cropping_starts_where_it_says_and_can_be_undone(
    geometry: Geometry, start: tuple[int, int, int]
) -> None:
    cropped = geometry.cropped(start, (7, 8, 9))
    back = cropped.cropped((-start[0], -start[1], -start[2]), geometry.shape)

    np.testing.assert_allclose(cropped.to_ras_mm((0, 0, 0)), geometry.to_ras_mm(start), atol=1e-6)
    assert back.same_grid(geometry)


@given(geometries())
def test_a_grid_is_the_same_as_itself_and_not_as_a_shifted_one(geometry: Geometry) -> None:
    shifted = np.array(geometry.affine)
    shifted[0, 3] += 0.01

    assert geometry.same_grid(Geometry(shape=geometry.shape, affine=geometry.affine))
    assert not geometry.same_grid(Geometry(shape=geometry.shape, affine=shifted))
    assert not geometry.same_grid(geometry.cropped((0, 0, 0), (41, 41, 41)))
