"""What is made of the anatomy network's answer: outside the brain left out, places named."""

from __future__ import annotations

import numpy as np
import pytest

from brainmets.domain import Geometry, Volume
from brainmets.domain.structures import MIRRORED_STRUCTURES, Structure
from brainmets.inference import OperatingPoint, find_lesions
from brainmets.inference.places import Places, lobe_of, name_lesions
from brainmets.preprocessing.anatomy_input import normalise_head, prepare_anatomy
from brainmets.workflows.anatomy import GROWN_MM, confine_to_brain
from tests.heads_with_anatomy import ball, made_anatomy

POINT = OperatingPoint(threshold=0.3, peak=0.5, min_volume_mm3=10.0)
SURFACE = (0.0, 71.0, 17.0)
"""The frontal pole of the made-up brain."""


def probability_of(*bodies: tuple[tuple[float, float, float], float, float]) -> Volume:
    """Return a map (1.5 mm, axes not RAS) of balls: centre in RAS mm, radius, probability."""
    affine = np.array(
        ((0, -1.5, 0, 100), (0, 0, 1.5, -130), (-1.5, 0, 0, 110), (0, 0, 0, 1)), dtype=float
    )
    geometry = Geometry(shape=(130, 130, 160), affine=affine)
    data = np.zeros(geometry.shape, dtype=np.float32)
    for centre, radius, probability in bodies:
        at = np.rint(geometry.to_voxel(ball(centre, radius))).astype(int)
        data[tuple(at.T)] = probability
    return Volume(data=data, geometry=geometry)


def test_mirroring_twice_changes_nothing() -> None:
    for structure, mirrored in MIRRORED_STRUCTURES.items():
        assert MIRRORED_STRUCTURES[mirrored] == structure
        assert ("LEFT" in structure.name) == ("RIGHT" in mirrored.name)


@pytest.mark.parametrize(
    ("centre", "radius", "kept"),
    [
        ((30.0, -20.0, 40.0), 4.0, True),
        ((-30.0, -60.0, -45.0), 3.0, True),
        (SURFACE, 4.0, True),  # of the surface, half of it outside the brain
        ((0.0, 71.0 + GROWN_MM - 2, 17.0), 3.0, True),  # of the dura
        ((0.0, 71.0 + GROWN_MM + 3, 17.0), 3.0, False),
        ((40.0, 60.0, -40.0), 8.0, False),  # an eye
    ],
)
def test_a_candidate_counts_where_its_centre_is(
    centre: tuple[float, float, float], radius: float, kept: bool
) -> None:
    probability = probability_of((centre, radius, 0.9), ((-30.0, 0.0, 40.0), 3.0, 0.8))
    confined = confine_to_brain(probability, made_anatomy(), POINT)
    assert confined.discarded == (not kept)
    lesions = find_lesions(confined.probability, POINT)[1]
    assert len(lesions) == 1 + kept
    before = find_lesions(probability, POINT)[1]
    assert lesions[-1].volume_mm3 in {one.volume_mm3 for one in before}  # whole, or not at all


def test_what_is_left_out_does_not_come_back_at_a_lower_threshold() -> None:
    eye, halo = (40.0, 60.0, -40.0), 0.2
    probability = probability_of((eye, 12.0, halo), (eye, 6.0, 0.9))
    confined = confine_to_brain(probability, made_anatomy(), POINT)
    low = OperatingPoint(threshold=0.05, peak=0.1, min_volume_mm3=0.0)
    assert find_lesions(probability, low)[1]
    assert not find_lesions(confined.probability, low)[1]


def test_only_what_would_have_been_a_lesion_is_counted() -> None:
    eye = (40.0, 60.0, -40.0)
    for radius, peak in ((8.0, 0.4), (0.5, 0.9)):  # too faint, too small
        confined = confine_to_brain(probability_of((eye, radius, peak)), made_anatomy(), POINT)
        assert confined.discarded == 0


@pytest.mark.parametrize("kind", ["stripped", "empty"])
def test_nothing_is_left_out_without_a_skull_or_a_brain(kind: str) -> None:
    anatomy = made_anatomy(**{kind: True})
    probability = probability_of(((40.0, 60.0, -40.0), 8.0, 0.9))
    confined = confine_to_brain(probability, anatomy, POINT)
    assert confined.discarded == 0
    assert np.array_equal(confined.probability.data, probability.data)


@pytest.mark.parametrize(
    ("centre", "place"),
    [
        ((30.0, -62.0, -48.0), "right cerebellar hemisphere"),
        ((-30.0, -62.0, -48.0), "left cerebellar hemisphere"),
        ((0.0, -28.0, -40.0), "brain stem"),
        ((-18.0, -5.0, 8.0), "left deep grey matter"),
        ((12.0, -25.0, 25.0), "right lateral ventricle"),
        ((-35.0, 35.0, 35.0), "left frontal lobe (approximate)"),
        ((40.0, -20.0, -15.0), "right temporal lobe (approximate)"),
        ((30.0, -55.0, 50.0), "right parietal lobe (approximate)"),
        ((-15.0, -92.0, 8.0), "left occipital lobe (approximate)"),
        ((0.5, 76.0, 17.0), "surface next to right frontal lobe (approximate)"),
    ],
)
def test_places_have_the_names_of_a_report(centre: tuple[float, float, float], place: str) -> None:
    assert Places(made_anatomy()).name(ball(centre, 3.0)) == place


def test_a_lesion_that_looks_like_fluid_is_named_by_its_surroundings() -> None:
    anatomy = made_anatomy()
    lesion = ball((-30.0, -62.0, -48.0), 6.0)
    at = tuple(np.rint(anatomy.geometry.to_voxel(lesion)).astype(int).T)
    anatomy.structures[at] = Structure.FLUID
    assert Places(anatomy).name(lesion) == "left cerebellar hemisphere"


def test_lesions_are_named_in_their_order() -> None:
    probability = probability_of(((30.0, -62.0, -48.0), 3.0, 0.9), ((-35.0, 35.0, 35.0), 6.0, 0.9))
    mask, lesions = find_lesions(probability, POINT)
    named = name_lesions(lesions, mask, made_anatomy())
    assert [lesion.place for lesion in named] == [
        "left frontal lobe (approximate)",
        "right cerebellar hemisphere",
    ]
    assert not name_lesions(lesions, mask, made_anatomy(empty=True))[0].place


@pytest.mark.parametrize(
    ("place", "lobe"),
    [
        ((38, -22, 58), "frontal"),  # primary motor cortex, hand
        ((5, -5, 60), "frontal"),  # supplementary motor area
        ((50, 20, 12), "frontal"),  # inferior frontal gyrus
        ((25, 35, -15), "frontal"),  # orbitofrontal
        ((20, 62, 5), "frontal"),
        ((45, -28, 55), "parietal"),  # primary sensory cortex
        ((8, -60, 45), "parietal"),  # precuneus
        ((48, -60, 35), "parietal"),  # angular gyrus
        ((58, -40, 30), "parietal"),  # supramarginal gyrus
        ((30, -60, 16), "parietal"),  # white matter next to the trigone
        ((8, -85, 2), "occipital"),  # primary visual cortex
        ((8, -80, 25), "occipital"),  # cuneus
        ((40, -80, 5), "occipital"),
        ((12, -70, -5), "occipital"),  # lingual gyrus
        ((40, 15, -30), "temporal"),  # temporal pole
        ((58, -15, 0), "temporal"),  # superior temporal gyrus
        ((26, -20, -15), "temporal"),  # hippocampus
        ((58, -50, 5), "temporal"),  # middle temporal gyrus, posterior
        ((35, -60, -15), "temporal"),  # fusiform gyrus
    ],
)
def test_lobes_at_places_of_the_template(place: tuple[float, float, float], lobe: str) -> None:
    assert lobe_of(*place) == lobe


@pytest.mark.parametrize(
    ("axes", "flips"),
    [((0, 1, 2), (True, False, True)), ((2, 0, 1), (False, True, False)), ((1, 0, 2), (True,) * 3)],
)
def test_the_same_head_gives_the_same_input_in_any_axis_order(
    axes: tuple[int, int, int], flips: tuple[bool, bool, bool]
) -> None:
    rng = np.random.default_rng(4)
    data = np.zeros((60, 70, 50), dtype=np.float32)
    data[8:52, 9:60, 7:45] = rng.uniform(100, 900, (44, 51, 38))
    affine = np.diag((2.5, 2.2, 3.1, 1.0))
    affine[:3, 3] = (-70, -80, -60)
    grid = Geometry(shape=data.shape, affine=affine)
    straight = prepare_anatomy(Volume(data=data, geometry=grid), stride=16, spacing_mm=2.0)
    turned = np.flip(data.transpose(axes), [a for a in range(3) if flips[a]])
    other = prepare_anatomy(
        Volume(data=np.ascontiguousarray(turned), geometry=grid.permuted(axes, flips)),
        stride=16,
        spacing_mm=2.0,
    )
    assert all(n % 16 == 0 for n in straight.image.shape)
    np.testing.assert_allclose(straight.image, other.image, atol=1e-5)
    assert straight.geometry.same_grid(other.geometry)


def test_the_input_covers_the_top_of_a_long_head() -> None:
    data = np.zeros((40, 40, 130), dtype=np.float32)
    data[5:35, 5:35, 4:126] = 100.0
    data[10:20, 10:30, 108:112] = 300.0
    grid = Geometry(shape=data.shape, affine=np.diag((4.0, 4.0, 3.0, 1.0)))
    prepared = prepare_anatomy(Volume(data=data, geometry=grid), stride=16, spacing_mm=2.0)
    assert prepared.image.shape[2] * 2 <= 200 + 2 * 16
    middle = np.argwhere(prepared.image > 0.9).mean(axis=0)
    np.testing.assert_allclose(prepared.geometry.to_ras_mm(middle), (58, 78, 328.5), atol=0.5)


@pytest.mark.parametrize("scale", [1.0, 1e-3, 4e4])
@pytest.mark.parametrize("background", [0.0, -3.0])
def test_scaling_does_not_depend_on_the_scanner(scale: float, background: float) -> None:
    rng = np.random.default_rng(5)
    image = np.full((30, 30, 30), background, dtype=np.float32)
    image[6:24, 6:24, 6:24] = rng.uniform(0.5, 1, (18, 18, 18))
    scaled = normalise_head((image * scale).astype(np.float32))
    assert scaled.min() == 0.0
    assert scaled.max() == 1.0
    np.testing.assert_allclose(scaled, normalise_head(image), atol=1e-4)


def test_an_empty_image_stays_empty() -> None:
    assert not normalise_head(np.full((20, 20, 20), 7.0, dtype=np.float32)).any()
