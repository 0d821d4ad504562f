"""One head, one prepared input: whatever its units, its background, or the size of its matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brainmets.domain import Case, Geometry, HeadPhantom, Source, Volume
from brainmets.preprocessing import Plan
from brainmets.preprocessing.background import level_background, sample_places
from brainmets.preprocessing.intensity import find_foreground, measure_intensities

if TYPE_CHECKING:
    from numpy.typing import NDArray

SPACING_MM = 4.0
SHAPE = (48, 58, 52)
PLAN = Plan(spacing_mm=SPACING_MM)
ROUNDING = 0.02
"""Of brain; the equalised channel moves by one of its 256 bins where rounding crosses a border."""

FULL = (slice(None),) * 3
WEDGE = np.add.outer(np.arange(SHAPE[0]), np.arange(SHAPE[1]))[:, :, None] < 24


def prepare(data: NDArray[np.floating], plan: Plan = PLAN) -> NDArray[np.float32]:
    geometry = Geometry(shape=data.shape, affine=np.diag([*(SPACING_MM,) * 3, 1.0]))  # pyright: ignore[reportArgumentType]
    volume = Volume(data=data.astype(np.float32), geometry=geometry)
    case = Case(
        images={"t1c": volume},
        geometry=geometry,
        source=Source(format="nifti", sha256=""),
        case_id="phantom",
    )
    return plan.apply(case).data


def head(*, stripped: bool) -> NDArray[np.float32]:
    geometry = Geometry(shape=SHAPE, affine=centred())
    image, _ = HeadPhantom(stripped=stripped).render(geometry)
    return image.data


def centred() -> NDArray[np.float64]:
    affine = np.diag([*(SPACING_MM,) * 3, 1.0])
    affine[:3, 3] = [-SPACING_MM * (n - 1) / 2 for n in SHAPE]
    return affine


STRIPPED = head(stripped=True)
INSIDE = STRIPPED > 0
NOISE = np.abs(np.random.default_rng(3).normal(0, 9, SHAPE)).astype(np.float32)
NOISY = np.where(head(stripped=False) > 0, head(stripped=False), NOISE)
"""A whole head in air with noise."""

REFERENCE = prepare(STRIPPED)


def assert_same(found: NDArray[np.float32], expected: NDArray[np.float32]) -> None:
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < ROUNDING


def z_scored(data: NDArray[np.float32], inside: NDArray[np.bool_]) -> NDArray[np.float64]:
    tissue = data[inside].astype(np.float64)
    return np.where(inside, (data - tissue.mean()) / tissue.std(), 0.0)


@given(
    power=st.floats(-12, 12),
    offset=st.floats(-3, 3),
    background=st.sampled_from([None, "middle", "below", "above", "far below", "far above"]),
)
@settings(max_examples=20, deadline=None)
def test_neither_units_nor_background_matter(
    power: float, offset: float, background: str | None
) -> None:
    """Units 1e-12 to 1e12, offsets to three times the range, six places of the background."""
    values = STRIPPED.astype(np.float64)
    low, high = values[INSIDE].min(), values[INSIDE].max()
    reach = high - low
    place = {
        None: 0.0,
        "middle": low + 0.31415 * reach,
        "below": low - 0.3 * reach,
        "above": high + 0.3 * reach,
        "far below": low - 50 * reach,
        "far above": high + 50 * reach,
    }[background]
    values = np.where(INSIDE, values, place)
    assert_same(prepare((values + offset * reach) * 10.0**power), REFERENCE)


BACKGROUNDS = {
    "z-scored, 0 outside": z_scored(STRIPPED, INSIDE),
    "-1000": np.where(INSIDE, STRIPPED, -1000),
    "1000": np.where(INSIDE, STRIPPED, 1000),
    "1e6": np.where(INSIDE, STRIPPED, 1e6),
    "-1": np.where(INSIDE, STRIPPED, -1),
    "integers, 480 outside": np.where(INSIDE, np.rint(STRIPPED), 480),
    "integers, most frequent value outside": np.where(
        INSIDE, np.rint(STRIPPED), np.bincount(np.rint(STRIPPED[INSIDE]).astype(int)).argmax()
    ),
}


@pytest.mark.parametrize("name", BACKGROUNDS)
def test_a_stripped_brain_in_every_background(name: str) -> None:
    found = prepare(BACKGROUNDS[name])
    if "integers" not in name:
        assert_same(found, REFERENCE)
        return
    # single voxels at the brain's surface hold the background's value: nothing distinguishes them
    expected = prepare(np.rint(STRIPPED))
    assert np.mean(np.abs(found[0] - expected[0]) > ROUNDING) < 0.001
    assert np.abs(found[1] - expected[1]).mean() < 0.005


Z = z_scored(STRIPPED, INSIDE)
RNG = np.random.default_rng(5)
RIPPLED = {
    "z-scored, ripples of 1e-7": np.where(INSIDE, Z, RNG.normal(0, 1e-7, SHAPE)),
    "z-scored, noise of 0.001": np.where(INSIDE, Z, RNG.normal(0, 1e-3, SHAPE)),
    "z-scored, noise of 0.01": np.where(INSIDE, Z, RNG.normal(0, 1e-2, SHAPE)),
    "below tissue, ripples": np.where(INSIDE, STRIPPED, RNG.normal(0, 1e-3, SHAPE)),
    "far below tissue, noise": np.where(INSIDE, STRIPPED, RNG.normal(-900, 0.9, SHAPE)),
    "above tissue, noise": np.where(INSIDE, STRIPPED, RNG.normal(2000, 0.9, SHAPE)),
    "a ramp below tissue": np.where(
        INSIDE, STRIPPED, -900 - np.linspace(0, 1, SHAPE[0])[:, None, None]
    ),
}
"""Backgrounds that are nearly constant, as interpolation and bias correction leave them."""


@pytest.mark.parametrize("name", RIPPLED)
def test_a_stripped_brain_in_a_rippled_background(name: str) -> None:
    found = prepare(RIPPLED[name])
    assert found.shape == REFERENCE.shape
    # voxels at the surface that are within the ripple are taken for background
    assert np.mean(np.abs(found - REFERENCE) > 2 * ROUNDING) < 0.001


def test_a_brain_padded_by_four_values() -> None:
    padded = np.array(Z)
    padded[:6], padded[:, -5:], padded[:, :, :4] = -5, 7, 9
    assert_same(prepare(padded), REFERENCE)


@pytest.mark.parametrize("padding", [-1000.0, 0.0, 400.0, 5000.0])
@pytest.mark.parametrize("brain", ["plain", "z-scored"])
def test_a_stripped_brain_resliced_with_a_padding_of_its_own(brain: str, padding: float) -> None:
    """Two constants at once: around the brain, and in a wedge beyond the resliced grid."""
    scan = STRIPPED if brain == "plain" else BACKGROUNDS["z-scored, 0 outside"]
    assert not (INSIDE & WEDGE).any()
    assert_same(prepare(np.where(WEDGE, padding, scan)), REFERENCE)


@pytest.mark.parametrize("padding", [-1000.0, 0.0, 333.0, 5000.0])
def test_a_whole_head_resliced(padding: float) -> None:
    found = prepare(np.where(WEDGE, padding, NOISY))
    expected = prepare(np.where(WEDGE, -50.0, NOISY))
    assert found.shape == expected.shape
    assert np.abs(found[0] - expected[0]).max() < 0.001
    assert np.abs(found[1] - expected[1]).mean() < 0.002


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.float32, np.float64])
def test_number_types(dtype: type[np.generic]) -> None:
    """Stored coarser the image is rounded, and no more than that."""
    scale = 255 / float(STRIPPED.max()) if dtype is np.uint8 else 1.0
    rounded = np.rint(STRIPPED * scale)
    assert_same(prepare(rounded.astype(dtype)), prepare(rounded))


def test_flat_images_and_flat_heads_prepare_to_finite_values() -> None:
    for value in (0.0, 1e-9, 1e9, -5.0):
        flat = prepare(np.full(SHAPE, value))
        assert np.isfinite(flat).all()
        assert flat.max() <= 1.0
    drawn = np.where(INSIDE, 450.0, 0.0)
    drawn[20:24, 20:24, 20:24] = 900.0
    for outside in (0.0, -1000.0, 2000.0):
        foreground = find_foreground(np.where(INSIDE, drawn, outside).astype(np.float32))
        assert np.array_equal(foreground, INSIDE)


def test_what_is_usual_is_returned_itself() -> None:
    """Air of noise, noise-free air, and a brain in zeros whose tissue begins at 1."""
    brain = np.where(INSIDE, np.maximum(np.rint(STRIPPED), 1), 0).astype(np.float32)
    brain[np.nonzero(INSIDE)[0][:3], np.nonzero(INSIDE)[1][:3], np.nonzero(INSIDE)[2][:3]] = 1
    for image in (NOISY, brain, np.where(NOISY < 6, 0, NOISY)):
        assert level_background(image) is image


def test_tissue_of_the_background_value_stays() -> None:
    """A saturated lesion, and a white background of the same value."""
    image = np.minimum(STRIPPED, 600.0)
    saturated = INSIDE & (image >= 600.0)
    assert saturated.sum() > 20
    levelled = level_background(np.where(INSIDE, image, 600.0).astype(np.float32))
    assert np.mean(levelled[saturated] == 600.0) > 0.9
    assert (levelled[~INSIDE] < STRIPPED[INSIDE].min()).all()


@pytest.mark.parametrize("slices", [20, 39, 45, 144, 192])
@pytest.mark.parametrize("edge", [440, 448, 456, 640])
def test_samples_take_every_plane_alike(edge: int, slices: int) -> None:
    """A step of `size // 200_000` equals the slice count at 448 x 448 and took one plane."""
    size = edge * edge * slices
    places = sample_places(size, 500_000)
    assert isinstance(places, np.ndarray)
    assert places.min() >= 0
    assert places.max() < size
    assert np.unique(places).size > 0.95 * places.size
    for period in (slices, edge):
        counts = np.bincount(places % period, minlength=period)
        assert counts.min() > 0.8 * counts.mean()
        assert counts.max() < 1.2 * counts.mean()


def test_the_same_head_in_matrices_of_six_sizes() -> None:
    """440 to 640 voxels across: only the air around the head differs."""
    found = []
    core, _ = HeadPhantom().render(
        Geometry(
            shape=(200, 240, 12), affine=np.diag([0.9, 0.9, 5.0, 1.0]) + offset(-90, -108, -30)
        )
    )
    for edge in (440, 448, 456, 512, 633, 640):
        wide = np.abs(np.random.default_rng(1).normal(0, 8, (edge, edge, 12))).astype(np.float32)
        wide[100:300, 100:340] = np.maximum(core.data, wide[100:300, 100:340])
        foreground = find_foreground(wide)
        seen = measure_intensities(wide, foreground)
        found.append((foreground.sum(), seen.low, seen.tissue, seen.high))
    assert (np.ptp(found, axis=0) / np.mean(found, axis=0) < 0.01).all()


def offset(x: float, y: float, z: float) -> NDArray[np.float64]:
    moved = np.zeros((4, 4))
    moved[:3, 3] = (x, y, z)
    return moved


@pytest.mark.parametrize("share", [0.05, 0.15, 0.3, 0.5])
def test_tissue_that_a_display_window_cut_off_is_not_background(share: float) -> None:
    y, x = np.mgrid[:128, :128]
    brain = (x - 64) ** 2 + (y - 64) ** 2 < 50**2
    rng = np.random.default_rng(0)
    grey = np.where(brain, rng.integers(40, 200, brain.shape), 0).astype(np.float32)
    white = brain & (x < np.quantile(x[brain], share))
    grey[white] = 255  # as large as any second background, and the brightest
    levelled = level_background(grey[:, :, None])[:, :, 0]
    assert np.array_equal(levelled[brain], grey[brain])
