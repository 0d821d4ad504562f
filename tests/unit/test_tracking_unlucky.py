"""Follow-ups that go wrong in silence: fragments, satellites, empty areas, growth across slices."""

from __future__ import annotations

import cc3d
import numpy as np
import pytest

from brainmets.domain import Geometry, Mask, RigidMotion, Volume
from brainmets.inference import OperatingPoint, find_lesions
from brainmets.tracking import Followup, TimePoint, follow
from brainmets.tracking.imaged import field_of, unseen_voxels

SHAPE = (72, 72, 48)
CENTRE = (36.0, 36.0, 24.0)
SPACINGS = [(1.0, 1.0, 1.0), (0.9, 0.9, 1.2), (0.7, 0.7, 3.0)]


def places(spacing: tuple[float, float, float]) -> np.ndarray:
    axes = [np.arange(n) * mm for n, mm in zip(SHAPE, spacing, strict=True)]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)


def middle(spacing: tuple[float, float, float]) -> np.ndarray:
    return np.array(CENTRE) * spacing


def ball(
    spacing: tuple[float, float, float],
    diameter: float,
    shift: tuple[float, float, float] = (0,) * 3,
) -> np.ndarray:
    away = places(spacing) - middle(spacing) - np.array(shift)
    return np.linalg.norm(away, axis=-1) <= diameter / 2


def taken(data: np.ndarray, spacing: tuple[float, float, float], **more: object) -> TimePoint:
    """A scan whose lesions are the connected parts of `data`, measured as the product does."""
    grid = Geometry(shape=SHAPE, affine=np.diag([*spacing, 1.0]))
    field = Volume(data=np.where(data, 0.9, 0.0).astype(np.float32), geometry=grid)
    point = OperatingPoint(threshold=0.5, peak=0.5, min_volume_mm3=0.0)
    mask, lesions = find_lesions(field, point)
    return TimePoint(mask=mask, lesions=lesions, motion=RigidMotion.identity(), **more)  # type: ignore[arg-type]


def states(found: Followup, scan: int = 1) -> list[str]:
    return [lesion.sightings[scan].state for lesion in found.lesions]


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("diameter", [12.0, 16.0, 21.0])
@pytest.mark.parametrize("cuts", [2, 3, 4, 6])
def test_a_ring_whose_rim_splits_has_not_grown(
    spacing: tuple[float, float, float], diameter: float, cuts: int
) -> None:
    shell = cc3d.largest_k(ball(spacing, diameter) & ~ball(spacing, diameter - 5.0), k=1) > 0
    turn = places(spacing) - middle(spacing)
    angle = np.arctan2(turn[..., 1], turn[..., 0]) % (2 * np.pi / cuts)
    reach = np.linalg.norm(turn[..., :2], axis=-1)
    split = shell & (angle * reach > 2.0) & (reach > 2.5)
    found = follow([taken(shell, spacing), taken(split, spacing)])
    assert len(taken(split, spacing).lesions) >= cuts
    assert states(found)[0] != "growing"
    assert found.responses[1].category in {"SD", "PR", "non-CR/non-PD"}
    size = found.lesions[0].sightings[1].diameter_mm
    assert size is not None
    assert size <= diameter + 1.0
    back = follow([taken(split, spacing), taken(shell, spacing)])  # the rim closes again
    assert back.responses[1].category in {"SD", "non-CR/non-PD"}


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("gap", [1.0, 1.5])
@pytest.mark.parametrize("specks", [1, 3])
def test_specks_beside_a_target_change_nothing(
    spacing: tuple[float, float, float], gap: float, specks: int
) -> None:
    target = ball(spacing, 14.0)
    data = target.copy()
    for number in range(specks):
        i, j, k = (int(n) for n in CENTRE)
        away = int((7.0 + gap) / spacing[0]) + 1
        side = [(i + away, j), (i - away - 1, j), (i, j + away)][number]
        data[side[0] : side[0] + 2, side[1] : side[1] + 2, k : k + 2] = True
    found = follow([taken(target, spacing), taken(data, spacing)])
    assert states(found)[0] == "stable"
    assert found.responses[1].category == "SD"
    assert found.lesions[0].sightings[1].diameter_mm == pytest.approx(14.0, abs=1.0)


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("gap", [1.5, 2.0, 4.0])
@pytest.mark.parametrize("size", [6.0, 8.0, 11.0])
def test_a_satellite_beside_a_target_is_new(
    spacing: tuple[float, float, float], gap: float, size: float
) -> None:
    target = ball(spacing, 14.0)
    satellite = ball(spacing, size, (7.0 + gap + size / 2, 0.0, 0.0))
    found = follow([taken(target, spacing), taken(target | satellite, spacing)])
    assert states(found) == ["stable", "new"]
    assert found.responses[1].category == "PD"


def test_a_speck_that_grows_becomes_new() -> None:
    spacing = (1.0, 1.0, 1.0)
    target = ball(spacing, 14.0)
    found = follow([
        taken(target | ball(spacing, size, (7.0 + 1.5 + size / 2, 0, 0)), spacing)
        for size in (0.0, 3.0, 3.0, 7.0)
    ])  # fmt: skip
    assert [one.state for one in found.lesions[1].sightings] == [
        "absent",
        "uncertain",
        "uncertain",
        "new",
    ]
    assert [one.category for one in found.responses] == [None, "SD", "SD", "PD"]


@pytest.mark.parametrize("spacing", SPACINGS)
def test_shrinking_across_slices_is_noted(spacing: tuple[float, float, float]) -> None:
    away = places(spacing) - middle(spacing)
    long = np.linalg.norm(away / np.array([1.0, 1.0, 28.0 / 12.0]), axis=-1) <= 6.0
    found = follow([taken(long, spacing), taken(ball(spacing, 12.0), spacing)])
    sighting = found.lesions[0].sightings[1]
    assert sighting.state == "stable"
    assert "shrunk across the slices" in sighting.notes[0]


CUTS = {
    "along x": lambda away: abs(away[..., 0]) > 1.2,
    "along x and y": lambda away: (abs(away[..., :2]) > 1.2).all(axis=-1),
    "at a slant": lambda away: abs(away[..., 0] - away[..., 1]) > 1.7,
    "stripes": lambda away: np.sin(1.2 * away[..., 0]) > -0.3,
    "two voxels of five left": lambda away: np.random.default_rng(1).random(away.shape[:3]) > 0.6,
    "one voxel of five left": lambda away: np.random.default_rng(1).random(away.shape[:3]) > 0.8,
}


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("cut", CUTS)
def test_a_lesion_that_falls_into_parts_has_not_grown(
    spacing: tuple[float, float, float], cut: str
) -> None:
    away = places(spacing) - middle(spacing)
    whole = np.linalg.norm(away / np.array([10.0, 7.0, 6.0]), axis=-1) <= 1.0
    parts = whole & CUTS[cut](away)
    found = follow([taken(whole, spacing), taken(parts, spacing)])
    first, second = found.lesions[0].sightings
    assert second.state != "growing"
    assert (second.diameter_mm or 0.0) <= (first.diameter_mm or 0.0) + 1.2
    assert found.responses[1].category != "PD"


@pytest.mark.parametrize("spacing", SPACINGS)
def test_growth_across_slices_is_noted(spacing: tuple[float, float, float]) -> None:
    small = ball(spacing, 12.0)
    away = places(spacing) - middle(spacing)
    long = np.linalg.norm(away / np.array([1.0, 1.0, 28.0 / 12.0]), axis=-1) <= 6.0
    found = follow([taken(small, spacing), taken(long, spacing)])
    sighting = found.lesions[0].sightings[1]
    assert sighting.state == "stable"
    assert "grown across the slices" in sighting.notes[0]
    assert any("grown across the slices" in reason for reason in found.responses[1].reasons)
    same = follow([taken(small, spacing), taken(small, spacing)])
    assert same.lesions[0].sightings[1].notes == ()


@pytest.mark.parametrize(
    ("probability", "state", "category"),
    [
        (None, "new", "PD"),
        (0.05, "new", "PD"),
        (0.24, "new", "PD"),
        (0.3, "uncertain", "SD"),
        (0.45, "uncertain", "SD"),
    ],
)
def test_before_new_is_said_the_earlier_probability_is_looked_up(
    probability: float | None, state: str, category: str
) -> None:
    spacing = (1.0, 1.0, 1.0)
    target = ball(spacing, 14.0, (-15.0, 0, 0))
    other = ball(spacing, 8.0, (15.0, 0, 0))
    field = None
    if probability is not None:
        field = np.where(ball(spacing, 4.0, (15.0, 0, 0)), probability, 0.01).astype(np.float32)
    first = taken(target, spacing, probability=field, suspicious=0.25)
    found = follow([first, taken(target | other, spacing)])
    assert states(found) == ["stable", state]
    assert found.responses[1].category == category
    if state == "uncertain":
        assert any(f"{probability:.2f}" in reason for reason in found.responses[1].reasons)


def head(spacing: tuple[float, float, float], lesions: np.ndarray, value: float) -> np.ndarray:
    """An image: noise in a head, brighter in lesions, `value` around it."""
    rng = np.random.default_rng(4)
    image = rng.normal(100.0, 9.0, SHAPE).astype(np.float32)
    image[lesions] += 80.0
    image[~ball(spacing, 1.9 * min(np.array(SHAPE) * spacing) / 2)] = value
    return image


EMPTY = {
    "wedge": lambda at: at[..., 0] + 0.6 * at[..., 1] > 5.0,
    "slab": lambda at: at[..., 0] > 8.0,
    "box": lambda at: (np.abs(at - np.array([15.0, 0, 0])) < 8.0).all(axis=-1),
    "corner": lambda at: (at[..., 0] > 5.0) & (at[..., 2] < 12.0),
}
"""Areas around the second lesion that a scan does not show."""


@pytest.mark.parametrize("kind", EMPTY)
@pytest.mark.parametrize("value", [0.0, -1000.0, 1000.0])
@pytest.mark.parametrize("order", ["later", "earlier"])
def test_an_empty_area_is_not_imaged(kind: str, value: float, order: str) -> None:
    spacing = (1.0, 1.0, 1.0)
    both = ball(spacing, 12.0, (-15.0, 0, 0)) | ball(spacing, 10.0, (15.0, 0, 0))
    empty = EMPTY[kind](places(spacing) - middle(spacing))
    whole = head(spacing, both, value)
    cut = np.where(empty, np.float32(value), whole)

    def seen(image: np.ndarray, lesions: np.ndarray) -> TimePoint:
        return taken(lesions, spacing, field=field_of(image), unseen=unseen_voxels(image, 1.0))

    times = [seen(whole, both), seen(cut, both & ~empty)]
    if order == "earlier":
        times.reverse()
    found = follow(times)
    if order == "later":
        assert states(found) == ["stable", "not imaged"]
        assert found.responses[1].category in {"NE", "SD"}
    else:
        assert states(found) == ["stable", "first"]
        assert found.responses[1].category == "SD"


@pytest.mark.parametrize("order", ["later", "earlier"])
def test_a_lesion_cut_by_an_empty_area_has_neither_shrunk_nor_grown(order: str) -> None:
    spacing = (1.0, 1.0, 1.0)
    lesion = ball(spacing, 16.0)
    empty = (places(spacing) - middle(spacing))[..., 0] > 0.5
    whole = head(spacing, lesion, 0.0)
    cut = np.where(empty, np.float32(0.0), whole)
    times = [
        taken(lesion, spacing, unseen=unseen_voxels(whole, 1.0)),
        taken(lesion & ~empty, spacing, unseen=unseen_voxels(cut, 1.0)),
    ]
    if order == "earlier":
        times.reverse()
    found = follow(times)
    assert states(found) == ["partly imaged"]
    assert found.responses[1].category == "NE"


RIPPLES = {"none": 0.0, "of rounding": 1e-6, "of interpolation": 1e-3}


@pytest.mark.parametrize("ripple", RIPPLES)
@pytest.mark.parametrize("value", [0.0, -1.0, -32768.0, 32767.0, 1e6, 120.0])
@pytest.mark.parametrize("area", ["wedge", "slab"])
def test_padding_of_any_value_is_not_imaged(area: str, value: float, ripple: str) -> None:
    """36 kinds of padding: two shapes, six values, ripples on them or none."""
    rng = np.random.default_rng(0)
    i, j, k = np.indices((30, 36, 28))
    inside = ((i - 15) / 12) ** 2 + ((j - 18) / 15) ** 2 + ((k - 14) / 11) ** 2 < 1
    air = np.abs(rng.normal(0, 4, inside.shape))
    image = np.where(inside, rng.normal(120, 12, inside.shape), air)
    empty = i + k < 17 if area == "wedge" else k < 8
    padding = value + rng.normal(0, RIPPLES[ripple], inside.shape)
    unseen = unseen_voxels(np.where(empty, padding, image).astype(np.float32), 8.0)
    assert np.mean(unseen[empty]) > 0.98
    assert not unseen[inside & ~empty & (k > 9) & (i + k > 19)].any()


def test_tissue_is_imaged() -> None:
    spacing = (1.0, 1.0, 1.0)
    lesion = ball(spacing, 12.0)
    image = head(spacing, lesion, 0.0)
    inside = ball(spacing, 40.0)
    assert not unseen_voxels(image, 1.0)[inside].any()
    image[lesion] = 255.0  # saturated
    assert not unseen_voxels(image, 1.0)[inside].any()
    coarse = np.rint(image / 40.0).astype(np.float32)  # six grey levels
    assert not unseen_voxels(coarse, 1.0)[lesion].any()
    fluid = np.where(ball(spacing, 3.0), np.float32(0.0), image)
    assert not unseen_voxels(fluid, 1.0)[inside].any()


def test_a_mask_of_its_own_lesions_is_measured() -> None:
    grid = Geometry(shape=SHAPE, affine=np.diag([1.0, 1.0, 2.0, 1.0]))
    data = np.zeros(SHAPE, np.uint8)
    data[10:20, 10, 4], data[10:20, 10, 9] = 1, 2
    time = taken(data > 0, (1.0, 1.0, 2.0))
    assert time.extent_mm([1, 2]) == pytest.approx(10.0)
    assert Mask(data=data, geometry=grid).geometry.slice_axis == 2
