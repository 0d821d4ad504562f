"""What a plan promises for every head: no orientation, scale or spacing changes the answer."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brainmets.domain import Case, Geometry, HeadPhantom, Source, Volume
from brainmets.domain.errors import GridMismatch, MissingSequence, WrongModelKind
from brainmets.preprocessing import Plan
from brainmets.preprocessing.resampling import resample_axis, resample_centres

ORIENTATIONS = [
    (axes, flips) for axes in permutations((0, 1, 2)) for flips in product((False, True), repeat=3)
]
COARSE = Plan(spacing_mm=3.0)


def as_case(volume: Volume, kind: str = "volume") -> Case:
    return Case(
        images={"t1c": volume},
        geometry=volume.geometry,
        source=Source(format="nifti", sha256=""),
        case_id="phantom",
        kind=kind,  # pyright: ignore[reportArgumentType]
    )


def head(spacing_mm: tuple[float, float, float] = (3.0, 3.0, 3.0), *, stripped: bool = False):
    edges = tuple(round(n / s) for n, s in zip((180, 220, 200), spacing_mm, strict=True))
    affine = np.diag([*spacing_mm, 1.0])
    affine[:3, 3] = [-s * (n - 1) / 2 for s, n in zip(spacing_mm, edges, strict=True)]
    geometry = Geometry(shape=(edges[0], edges[1], edges[2]), affine=affine)
    return HeadPhantom(stripped=stripped).render(geometry)


def turned(volume: Volume, axes, flips) -> Volume:
    data = np.flip(volume.data.transpose(axes), tuple(a for a in range(3) if flips[a]))
    return Volume(data=data, geometry=volume.geometry.permuted(axes, flips))


def test_all_48_orientations_prepare_to_the_same_values() -> None:
    image, _ = head()
    reference = COARSE.apply(as_case(image))
    assert len(ORIENTATIONS) == 48
    for axes, flips in ORIENTATIONS:
        prepared = COARSE.apply(as_case(turned(image, axes, flips)))
        assert np.array_equal(prepared.data, reference.data)
        assert prepared.geometry.same_grid(reference.geometry)
        back = prepared.to_native((reference.data[0] > 1.5).astype(np.float32))
        again = turned(
            reference.to_native((reference.data[0] > 1.5).astype(np.float32)), axes, flips
        )
        assert np.array_equal(back.data, again.data)


@given(gain=st.floats(0.01, 1000.0), offset=st.floats(-50.0, 50.0))
@settings(max_examples=15, deadline=None)
def test_units_do_not_matter(gain: float, offset: float) -> None:
    image, _ = head(stripped=True)
    other = Volume(data=image.data * np.float32(gain) + np.float32(offset), geometry=image.geometry)
    plan = Plan(spacing_mm=3.0, clahe=None)
    expected, found = plan.apply(as_case(image)).data, plan.apply(as_case(other)).data
    assert expected.shape == found.shape
    assert np.abs(expected - found).max() < 0.05


@pytest.mark.parametrize("spacing_mm", [(1.0, 1.0, 5.0), (2.0, 0.9, 0.9), (4.0, 4.0, 4.0)])
def test_a_mask_survives_the_way_there_and_back(spacing_mm) -> None:
    image, mask = head(spacing_mm)
    plan = Plan(spacing_mm=2.0, clahe=None)
    prepared = plan.apply(as_case(image))
    wanted = mask.data == 1  # the largest lesion, 16–18 mm
    there = prepared.from_native(Volume(data=wanted.astype(np.float32), geometry=image.geometry))
    back = prepared.to_native(there).data >= 0.5
    overlap = 2 * (back & wanted).sum() / (back.sum() + wanted.sum())
    assert overlap > 0.85
    assert back.shape == image.geometry.shape


def test_the_crop_holds_the_head_and_brain_is_one() -> None:
    for stripped in (False, True):
        image, _ = head(stripped=stripped)
        prepared = COARSE.apply(as_case(image))
        assert prepared.data.shape[1:] < image.data.shape
        margins = image.data.copy()
        margins[tuple(slice(low, high) for low, high in prepared.bounds)] = 0
        assert margins.max() == 0  # nothing of the head was cut off
        centre = prepared.geometry.to_voxel((30.0, -20.0, 30.0)).round().astype(int)
        assert 0.7 < prepared.data[(0, *centre)] < 1.5


def test_a_background_value_inside_the_range_is_no_tissue() -> None:
    """Z-scored, skull-stripped images keep 0 outside while tissue runs from -5 to 20."""
    image, _ = head(stripped=True)
    inside = image.data > 0
    scored = np.where(inside, (image.data - 450) / 60, 0).astype(np.float32)
    prepared = COARSE.apply(as_case(Volume(data=scored, geometry=image.geometry)))
    plain = COARSE.apply(as_case(image))
    assert np.abs(prepared.data[0] - plain.data[0]).max() < 0.05
    assert prepared.data[0][0, 0, 0] == 0


@given(
    size=st.integers(2, 40),
    spacing=st.floats(0.3, 6.0),
    target=st.floats(0.3, 6.0),
    value=st.floats(-10, 10),
)
@settings(max_examples=60, deadline=None)
def test_resampling_keeps_constants_and_stays_in_range(size, spacing, target, value) -> None:
    centres = resample_centres(size, spacing, target)
    flat = np.full((size, 2, 2), value, dtype=np.float32)
    assert np.allclose(resample_axis(flat, 0, centres), value, atol=1e-4)
    rng = np.random.default_rng(0)
    noisy = rng.random((2, size)).astype(np.float32)
    there = resample_axis(noisy, 1, centres)
    assert there.shape == (2, len(centres))
    assert noisy.min() - 1e-6 <= there.min() <= there.max() <= noisy.max() + 1e-6
    mirrored = resample_axis(np.ascontiguousarray(noisy[:, ::-1]), 1, centres)
    assert np.allclose(mirrored[:, ::-1], there, atol=1e-5)


def test_slices_are_fitted_to_the_canvas_and_come_back() -> None:
    rng = np.random.default_rng(1)
    pixels = rng.random((512, 400, 3)).astype(np.float32) + 1
    affine = np.diag([-1.0, -1.0, 1.0, 1.0])
    geometry = Geometry(shape=(512, 400, 3), affine=affine, units="px")
    prepared = Plan(dims=2).apply(as_case(Volume(data=pixels, geometry=geometry), kind="slices"))
    assert prepared.data.shape == (2, 256, 200, 3)
    assert prepared.to_native(prepared.data[0]).data.shape == (512, 400, 3)


def test_what_cannot_be_prepared_is_refused() -> None:
    image, _ = head()
    with pytest.raises(MissingSequence, match="E_SEQUENCE"):
        Plan(sequences=("t1c", "t2f")).apply(as_case(image))
    with pytest.raises(WrongModelKind, match="E_MODEL_KIND"):
        Plan(dims=3).apply(as_case(image, kind="slices"))
    with pytest.raises(GridMismatch):
        COARSE.apply(as_case(image)).from_native(
            Volume(data=np.zeros((4, 4, 4), np.float32), geometry=Geometry.isotropic((4, 4, 4)))
        )


def test_a_plan_survives_json() -> None:
    plan = Plan(dims=2, spacing_mm=0.98, clahe=None)
    assert Plan.model_validate_json(plan.model_dump_json()) == plan
    assert (plan.channels, Plan().channels) == (1, 2)
