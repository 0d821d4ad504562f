"""Lesions do not depend on how the scanner stored the head, and measure what they should."""

from __future__ import annotations

import itertools
import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brainmets.domain import Geometry, HeadPhantom, Lesion, Mask, PhantomLesion, Volume
from brainmets.inference import OperatingPoint, find_lesions

ORIENTATIONS = [
    (axes, flips)
    for axes in itertools.permutations(range(3))
    for flips in itertools.product((False, True), repeat=3)
]
POINT = OperatingPoint(threshold=0.3, peak=0.6)


def blobs(seed: int, shape: tuple[int, int, int], spacing: tuple[float, float, float]) -> Volume:
    """Smooth random probabilities on a slightly oblique grid."""
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(seed)
    smooth = gaussian_filter(rng.normal(size=shape), 1.2)
    smooth = (smooth - smooth.min()) / np.ptp(smooth)
    angle = 0.1
    turn = np.array(
        [
            [math.cos(angle), -math.sin(angle), 0],
            [math.sin(angle), math.cos(angle), 0],
            [0, 0, 1],
        ]
    )
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag(spacing)
    affine[:3, 3] = (-12, 7, 3)
    geometry = Geometry(shape=shape, affine=affine)
    return Volume(data=np.clip(2.0 * smooth - 0.9, 0, 1).astype(np.float32), geometry=geometry)


def turned(image: Volume, axes: tuple[int, int, int], flips: tuple[bool, bool, bool]) -> Volume:
    data = np.flip(image.data.transpose(axes), [a for a in range(3) if flips[a]])
    return Volume(data=data, geometry=image.geometry.permuted(axes, flips))


def physical(lesion: Lesion) -> list[float]:
    return [
        lesion.volume_mm3,
        lesion.diameter_3d_mm,
        lesion.diameter_in_plane_mm,
        lesion.perpendicular_mm,
        *lesion.centroid_ras_mm,
        lesion.peak_probability,
        lesion.mean_probability,
    ]


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.8, 0.9, 3.0)])
@pytest.mark.parametrize(("axes", "flips"), ORIENTATIONS)
def test_the_48_axis_orientations_give_the_same_lesions(
    axes: tuple[int, int, int], flips: tuple[bool, bool, bool], spacing: tuple[float, float, float]
) -> None:
    image = blobs(3, (21, 24, 15), spacing)
    mask, lesions = find_lesions(image, POINT)
    assert len(lesions) >= 5
    turned_mask, turned_lesions = find_lesions(turned(image, axes, flips), POINT)
    back = turned(Volume(data=mask.data.astype(np.float32), geometry=mask.geometry), axes, flips)
    np.testing.assert_array_equal(turned_mask.data, back.data)
    assert [v.side for v in turned_lesions] == [v.side for v in lesions]
    np.testing.assert_allclose(
        [physical(v) for v in turned_lesions], [physical(v) for v in lesions], atol=1e-5
    )


@settings(max_examples=25)
@given(
    seed=st.integers(0, 10_000),
    threshold=st.floats(0.2, 0.6),
    rise=st.floats(0.0, 0.3),
    min_volume=st.floats(0.0, 20.0),
)
def test_what_is_kept_is_what_the_operating_point_says(
    seed: int, threshold: float, rise: float, min_volume: float
) -> None:
    image = blobs(seed, (14, 16, 12), (1.0, 1.0, 2.0))
    point = OperatingPoint(threshold=threshold, peak=threshold + rise, min_volume_mm3=min_volume)
    mask, lesions = find_lesions(image, point)
    assert set(np.unique(mask.data)) - {0} == {v.id for v in lesions}
    assert [v.id for v in lesions] == list(range(1, len(lesions) + 1))
    volumes = [v.volume_mm3 for v in lesions]
    assert volumes == sorted(volumes, reverse=True)
    assert (image.data[mask.foreground] >= np.float32(threshold)).all()
    for lesion in lesions:
        inside = mask.data == lesion.id
        assert np.count_nonzero(inside) == lesion.voxels
        assert image.data[inside].max() == np.float32(lesion.peak_probability)
        assert lesion.peak_probability >= np.float32(point.peak)
        assert lesion.volume_mm3 >= min_volume
        assert lesion.perpendicular_mm <= lesion.diameter_in_plane_mm + 1e-6
        assert lesion.diameter_in_plane_mm <= lesion.diameter_3d_mm + 1e-6
    left_out = (image.data >= np.float32(threshold)) & ~mask.foreground
    if min_volume == 0.0:
        assert not (image.data[left_out] >= np.float32(point.peak)).any()


@settings(max_examples=20)
@given(
    radii=st.tuples(st.floats(3, 12), st.floats(3, 12), st.floats(3, 12)),
    centre=st.tuples(st.floats(-8, 8), st.floats(-8, 8), st.floats(-8, 8)),
)
def test_ellipsoids_measure_their_analytic_size(
    radii: tuple[float, float, float], centre: tuple[float, float, float]
) -> None:
    tumour = PhantomLesion(centre_ras_mm=centre, radii_mm=radii)
    _, drawn = HeadPhantom(lesions=(tumour,)).render(Geometry.isotropic((44, 44, 44)))
    (lesion,) = find_lesions(as_probability(drawn), OperatingPoint())[1]
    surface = tumour.volume_mm3 / min(radii)  # an upper bound on a third of it
    assert lesion.volume_mm3 == pytest.approx(tumour.volume_mm3, abs=0.7 * surface)
    assert lesion.diameter_3d_mm == pytest.approx(2 * max(radii), abs=1.2)
    assert lesion.diameter_in_plane_mm == pytest.approx(2 * max(radii[:2]), abs=1.2)
    assert lesion.perpendicular_mm == pytest.approx(2 * min(radii[:2]), abs=1.5)
    assert lesion.centroid_ras_mm == pytest.approx(centre, abs=0.3)


def test_thick_slices_measure_in_plane_as_acquired() -> None:
    affine = np.diag([0.7, 5.0, 0.7, 1.0])  # coronal slices of 5 mm
    affine[:3, 3] = (-30, -60, -30)
    grid = Geometry(shape=(86, 24, 86), affine=affine)
    tumour = PhantomLesion(centre_ras_mm=(1.0, 0.0, 2.0), radii_mm=(8.0, 14.0, 6.0))
    (lesion,) = find_lesions(
        as_probability(HeadPhantom(lesions=(tumour,)).render(grid)[1]), OperatingPoint()
    )[1]
    assert lesion.diameter_in_plane_mm == pytest.approx(16.0, abs=0.8)
    assert lesion.perpendicular_mm == pytest.approx(12.0, abs=0.8)
    assert lesion.diameter_3d_mm == pytest.approx(28.0, abs=5.0)
    assert lesion.slice_index == 12


def test_a_single_voxel_has_its_own_width() -> None:
    affine = np.diag([1.0, 2.0, 5.0, 1.0])
    data = np.zeros((5, 5, 5), np.float32)
    data[2, 2, 2] = 0.9
    volume = Volume(data=data, geometry=Geometry(shape=(5, 5, 5), affine=affine))
    (lesion,) = find_lesions(volume, OperatingPoint())[1]
    assert (lesion.diameter_3d_mm, lesion.diameter_in_plane_mm) == pytest.approx((5.0, 2.0))
    assert lesion.perpendicular_mm == pytest.approx(1.0)
    assert lesion.slice_index == 2


@pytest.mark.parametrize(("x", "side"), [(-20.0, "left"), (20.0, "right"), (2.0, "midline")])
def test_sides_are_the_patients(x: float, side: str) -> None:
    tumour = PhantomLesion(centre_ras_mm=(x, 0, 0), radii_mm=(4, 4, 4))
    _, drawn = HeadPhantom(lesions=(tumour,)).render(Geometry.isotropic((64, 20, 20)))
    for axes, flips in ORIENTATIONS[::5]:
        (lesion,) = find_lesions(turned(as_probability(drawn), axes, flips), OperatingPoint())[1]
        assert lesion.side == side


def test_sides_are_told_from_the_heads_middle_not_the_origin() -> None:
    grid = Geometry.isotropic((64, 20, 20))
    tumour = PhantomLesion(centre_ras_mm=(20.0, 0, 0), radii_mm=(4, 4, 4))
    probability = as_probability(HeadPhantom(lesions=(tumour,)).render(grid)[1])
    (lesion,) = find_lesions(probability, OperatingPoint(), midline_x_mm=60.0)[1]
    assert lesion.side == "left"


def test_slices_are_separate_and_have_no_side() -> None:
    data = np.zeros((20, 20, 3), np.float32)
    data[5:9, 5:9, :] = 0.8
    data[15, 15, 1] = data[16, 16, 1] = 0.7
    affine = np.diag([-1.0, -1.0, 1.0, 1.0])
    grid = Geometry(shape=(20, 20, 3), affine=affine, units="px")
    mask, lesions = find_lesions(Volume(data=data, geometry=grid), OperatingPoint(), kind="slices")
    assert [v.voxels for v in lesions] == [16, 16, 16, 2]
    assert {v.side for v in lesions} == {"unknown"}
    assert sorted(v.slice_index for v in lesions) == [0, 1, 1, 2]
    assert {int(mask.data[6, 6, k]) for k in range(3)} == {1, 2, 3}
    assert lesions[0].diameter_3d_mm == lesions[0].diameter_in_plane_mm


def test_nothing_above_the_threshold_is_no_lesion() -> None:
    empty = Volume(data=np.zeros((4, 4, 4), np.float32), geometry=Geometry.isotropic((4, 4, 4)))
    mask, lesions = find_lesions(empty, OperatingPoint())
    assert lesions == ()
    assert not mask.data.any()


def test_cost_grows_linearly_with_the_number_of_lesions() -> None:
    grid = Geometry.isotropic((120, 120, 60))
    seconds: list[float] = []
    for count in (200, 3200):
        data = np.zeros(grid.shape, np.float32)
        sites = np.random.default_rng(0).permutation(30 * 30 * 15)[:count]
        i, j, k = np.unravel_index(sites, (30, 30, 15))
        for step in range(3):
            data[4 * i + step % 2, 4 * j + step // 2, 4 * k] = 0.9
        start = time.perf_counter()
        assert len(find_lesions(Volume(data=data, geometry=grid), OperatingPoint())[1]) == count
        seconds.append(time.perf_counter() - start)
    assert seconds[1] < 16 * 3 * seconds[0] + 1.0


def as_probability(drawn: Mask) -> Volume:
    return Volume(data=0.9 * drawn.foreground.astype(np.float32), geometry=drawn.geometry)
