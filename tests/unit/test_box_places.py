"""Places in a skull-stripped head, told from the brain's box."""

from __future__ import annotations

import numpy as np
import pytest

from brainmets.domain import Geometry
from brainmets.inference.places import BoxPlaces, region_of
from tests.heads_with_anatomy import made_anatomy

PLACES = {
    (-35.0, 40.0, 30.0): "left frontal lobe (approximate)",
    (30.0, -60.0, 50.0): "right parietal lobe (approximate)",
    (-15.0, -92.0, 8.0): "left occipital lobe (approximate)",
    (48.0, -20.0, -15.0): "right temporal lobe (approximate)",
    (-25.0, -62.0, -45.0): "left cerebellar hemisphere (approximate)",
    (1.0, -28.0, -35.0): "brain stem (approximate)",
    (15.0, -15.0, 8.0): "right basal ganglia or thalamus (approximate)",
    (0.5, 50.0, 30.0): "frontal lobe near the midline (approximate)",
}


def brain(pitch_degrees: float = 0.0, *, whole: bool = False) -> tuple[np.ndarray, Geometry]:
    """Return a made-up brain, its head nodded by turning the grid that it is on."""
    anatomy = made_anatomy(stripped=not whole)
    return anatomy.foreground, nodded(anatomy.geometry, pitch_degrees)


def nodded(geometry: Geometry, degrees: float) -> Geometry:
    turn = np.eye(4)
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    turn[1:3, 1:3] = ((c, -s), (s, c))
    return Geometry(shape=geometry.shape, affine=turn @ geometry.affine)


@pytest.mark.parametrize("degrees", [-20.0, 0.0, 15.0, 30.0])
def test_places_do_not_depend_on_how_the_chin_is_held(degrees: float) -> None:
    upright = brain()[1]
    foreground, grid = brain(degrees)
    places = BoxPlaces.of(foreground, grid)
    assert places is not None
    straight = BoxPlaces.of(*brain())
    assert straight is not None
    for place in PLACES:
        moved = grid.to_ras_mm(upright.to_voxel(place))
        there = places.template_mm(tuple(moved.tolist()))
        np.testing.assert_allclose(there, straight.template_mm(place), atol=1.0)


@pytest.mark.parametrize(
    ("axes", "flips"), [((2, 1, 0), (True, False, True)), ((1, 2, 0), (False, True, False))]
)
def test_places_do_not_depend_on_the_order_of_axes(
    axes: tuple[int, int, int], flips: tuple[bool, bool, bool]
) -> None:
    foreground, grid = brain()
    turned = np.flip(foreground.transpose(axes), [a for a in range(3) if flips[a]])
    here, there = BoxPlaces.of(foreground, grid), BoxPlaces.of(turned, grid.permuted(axes, flips))
    assert here is not None
    assert there is not None
    assert {p: here.name(p) for p in PLACES} == {p: there.name(p) for p in PLACES}


@pytest.mark.parametrize(("place", "name"), PLACES.items())
def test_regions_at_places_of_the_template(place: tuple[float, float, float], name: str) -> None:
    region = region_of(abs(place[0]), *place[1:])
    assert region in name


def test_a_box_that_was_written_down_names_the_same_places() -> None:
    places = BoxPlaces.of(*brain(12.0))
    assert places is not None
    again = BoxPlaces.parse(str(places))
    for place in PLACES:
        np.testing.assert_allclose(again.template_mm(place), places.template_mm(place), atol=0.05)
    with pytest.raises(ValueError, match="3 numbers"):
        BoxPlaces.parse("1 2 3")


def test_only_a_whole_stripped_brain_has_places() -> None:
    assert BoxPlaces.of(*brain(whole=True)) is None
    foreground, grid = brain()
    half = foreground.copy()
    half[: half.shape[0] // 2] = False
    assert BoxPlaces.of(half, grid) is None
    assert BoxPlaces.of(np.zeros_like(foreground), grid) is None
    pixels = Geometry(shape=grid.shape, affine=grid.affine, units="px")
    assert BoxPlaces.of(foreground, pixels) is None
