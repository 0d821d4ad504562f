"""Synthetic heads from label maps: deterministic, true to their record, plausible in brightness."""

from __future__ import annotations

import json

import numpy as np
import pytest
from pydantic import ValidationError
from scipy import ndimage

from brainmets.domain import Geometry, Mask
from brainmets.domain.errors import DatasetLayout
from brainmets.synthesis import (
    BENCHMARK_BINS_MM,
    ENHANCING,
    FIRST_SEED,
    NECROSIS,
    OEDEMA,
    Anatomy,
    SynthesisConfig,
    SynthesisParameters,
    benchmark_config,
    render_head,
    sample_parameters,
    synthesize_head,
)
from brainmets.synthesis.deformation import Deformation
from brainmets.synthesis.enhancement import Scene, paint_enhancement
from brainmets.synthesis.labels import Tissue
from brainmets.synthesis.surroundings import Surroundings
from tests.unit.synthesis_mini import CLEAN, mini_anatomy, mini_labels

SEEDS = range(4)


def test_parameters_are_recorded_and_make_the_same_head_again() -> None:
    config = SynthesisConfig()
    first = synthesize_head(mini_anatomy(), config, 5)
    record = json.dumps(first.parameters.model_dump(mode="json"))
    again = render_head(mini_anatomy(), SynthesisParameters.model_validate_json(record))
    assert np.array_equal(first.image.data, again.image.data)
    assert np.array_equal(first.lesions.data, again.lesions.data)
    assert np.array_equal(first.classes.data, again.classes.data)
    assert first.placed == again.placed
    other = synthesize_head(mini_anatomy(), config, 6)
    assert other.parameters != first.parameters


@pytest.mark.parametrize("seed", SEEDS)
def test_truth_says_what_was_painted(seed: int) -> None:
    case = synthesize_head(mini_anatomy(), CLEAN, seed)
    assert len(case.placed) >= 5
    for lesion in case.placed:
        mask = case.lesions.data == lesion.id
        assert np.count_nonzero(mask) == lesion.voxels
        assert lesion.voxels == max(1, round(np.pi / 6 * lesion.diameter_mm**3))
        assert ndimage.label(mask, np.ones((3, 3, 3)))[1] == 1
        centroid = np.argwhere(mask).mean(axis=0)
        assert np.linalg.norm(centroid - lesion.centre_voxel) < lesion.diameter_mm + 1
        assert set(np.unique(case.classes.data[mask])) <= {NECROSIS, ENHANCING}
    assert ndimage.label(case.lesions.data > 0, np.ones((3, 3, 3)))[1] == len(case.placed)
    assert set(np.unique(case.classes.data)) <= {0, NECROSIS, OEDEMA, ENHANCING}
    core = np.isin(case.classes.data, (NECROSIS, ENHANCING))
    assert np.array_equal(core, case.lesions.foreground)


@pytest.mark.parametrize("seed", SEEDS)
def test_lesions_lie_in_the_brain_and_normal_enhancement_outside_them(seed: int) -> None:
    anatomy = mini_anatomy()
    parameters = sample_parameters(CLEAN, seed)
    case = render_head(anatomy, parameters)
    deformation = Deformation.of(anatomy, parameters)
    channels = deformation.apply(anatomy.packed)
    still = parameters.model_copy(update={"lesions": ()})
    scene = Scene.of(channels, np.ones(deformation.shape, np.float32), deformation, anatomy)
    paint_enhancement(scene, anatomy, still)
    tissue = channels["tissue"][case.lesions.foreground]
    brain = (tissue >= Tissue.WHITE) & (tissue <= Tissue.WHITE_SPOT) & (tissue != Tissue.VENTRICLE)
    # A growing lesion pushes up to a little of the fluid aside; ventricle and bone stay free.
    assert brain.mean() > 0.9
    sinuses = scene.normal > 200
    assert sinuses.sum() > 300
    assert (
        np.count_nonzero(sinuses & case.lesions.foreground) < 0.12 * case.lesions.foreground.sum()
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_enhancing_rims_are_brighter_than_what_surrounds_them(seed: int) -> None:
    case = synthesize_head(mini_anatomy(), CLEAN, seed)
    parameters = case.parameters
    assert isinstance(parameters, SynthesisParameters)
    image = case.image.data
    seen = 0
    for lesion in case.placed:
        if parameters.lesions[lesion.requested].kind == "faint" or lesion.enhancement < 0.4:
            continue
        mask = case.lesions.data == lesion.id
        bright = image[mask & (case.classes.data == ENHANCING)]
        around = ndimage.binary_dilation(mask, iterations=4) & ~ndimage.binary_dilation(mask)
        assert np.percentile(bright, 75) > np.median(image[around])
        seen += 1
    assert seen


def test_patchy_lesions_are_knots_of_enhancement_with_dark_between() -> None:
    config = CLEAN.model_copy(update={"patchy_share": 1.0, "diameters_mm": (18.0,)})
    parameters = sample_parameters(config, 4)
    assert [lesion.kind for lesion in parameters.lesions] == ["patchy"]
    case = render_head(mini_anatomy(), parameters)
    core = case.lesions.foreground
    dark = core & (case.classes.data == NECROSIS)
    assert 0.05 < dark.sum() / core.sum() < 0.7
    image = case.image.data
    assert np.median(image[dark]) < 0.8 * np.median(image[core & ~dark])
    small = config.model_copy(update={"diameters_mm": (9.0,)})
    assert (
        sample_parameters(small, 4).lesions
        == sample_parameters(small.model_copy(update={"patchy_share": 0.0}), 4).lesions
    )


def test_stripped_heads_are_air_outside_and_keep_every_lesion() -> None:
    case = synthesize_head(mini_anatomy(), CLEAN.model_copy(update={"stripped_share": 1.0}), 1)
    assert np.count_nonzero(case.image.data == 0) > 0.2 * case.image.data.size
    assert np.all(case.image.data[case.lesions.foreground] > 0)


def test_native_and_clear_heads_have_no_lesion() -> None:
    for share in ("native_share", "clear_share"):
        config = SynthesisConfig.model_validate(
            {share: 1.0} | ({"native_share": 0.0} if share == "clear_share" else {})
        )
        case = synthesize_head(mini_anatomy(), config, 3)
        assert not case.placed
        assert not case.lesions.foreground.any()
        assert not case.classes.foreground.any()


def test_islands_of_fat_lie_outside_the_brain_and_change_nothing_else() -> None:
    plain = CLEAN.model_copy(update={"native_share": 1.0, "stripped_share": 0.0})
    plain = plain.model_copy(update={"diameters_mm": None, "noise": (0.0, 0.0)})
    wanted = plain.model_copy(update={"fat_islands": (12, 12)})
    parameters = sample_parameters(wanted, 5)
    assert parameters.fat_islands == 12
    assert parameters.model_copy(update={"fat_islands": 0}) == sample_parameters(plain, 5)
    case, before = (
        render_head(mini_anatomy(), parameters),
        synthesize_head(mini_anatomy(), plain, 5),
    )
    added = case.image.data - before.image.data
    brighter = added > 0.2 * parameters.acquisition.scale
    assert 12 * 14 < np.count_nonzero(brighter) < 12 * 4000
    inside = np.isin(case.surroundings.data, (Surroundings.BRAIN, Surroundings.FLUID))
    deep = ndimage.binary_erosion(inside, iterations=2)
    assert ndimage.label(brighter & deep)[1] <= 1, "only the one at the sella may reach inside"
    assert not case.lesions.foreground.any()


@pytest.mark.parametrize("grid", ["isotropic", "acquired"])
def test_thick_slices_keep_lesions_and_their_volume(grid: str) -> None:
    changes = {"thick_share": 1.0, "slice_mm": (4.0, 4.0), "grid": grid}
    config = SynthesisConfig.model_validate(CLEAN.model_dump() | changes)
    case = synthesize_head(mini_anatomy(), config, 2)
    spacing = max(case.image.geometry.spacing_mm)
    assert spacing == pytest.approx(4.0 if grid == "acquired" else 1.0)
    assert case.image.geometry.same_grid(case.lesions.geometry)
    for lesion in case.placed:
        mask = case.lesions.data == lesion.id
        assert np.count_nonzero(mask) == lesion.voxels
        assert lesion.volume_mm3 == pytest.approx(
            lesion.voxels * case.lesions.geometry.voxel_volume_mm3
        )
        if lesion.diameter_mm >= 6:
            wanted = np.pi / 6 * lesion.diameter_mm**3
            assert lesion.volume_mm3 == pytest.approx(wanted, rel=0.15)
        ras = case.lesions.geometry.to_ras_mm(np.argwhere(mask).mean(axis=0))
        away = ras - case.lesions.geometry.to_ras_mm(lesion.centre_voxel)
        assert np.linalg.norm(away) < lesion.diameter_mm + 4


def test_orientation_of_the_label_map_does_not_matter() -> None:
    labels = mini_labels()
    geometry = labels.geometry.permuted((2, 0, 1), (True, False, True))
    turned = np.flip(labels.data.transpose(2, 0, 1), (0, 2))
    case = synthesize_head(Anatomy.of(Mask(data=turned, geometry=geometry)), CLEAN, 1)
    straight = synthesize_head(mini_anatomy(), CLEAN, 1)
    assert case.image.geometry.same_grid(straight.image.geometry)
    assert np.array_equal(case.image.data, straight.image.data)


def test_benchmark_heads_have_lesions_of_every_size() -> None:
    for seed in (FIRST_SEED, FIRST_SEED + 1):
        config = benchmark_config(seed)
        assert config == benchmark_config(seed)
        assert config.diameters_mm is not None
        for low, high in BENCHMARK_BINS_MM:
            assert any(low <= size <= high for size in config.diameters_mm)
        parameters = sample_parameters(config, seed)
        assert sorted(lesion.diameter_mm for lesion in parameters.lesions) == sorted(
            config.diameters_mm
        )
        assert parameters.stripped == bool(seed % 2)


def test_what_is_no_label_map_is_refused() -> None:
    with pytest.raises(DatasetLayout, match="without a brain"):
        Anatomy.of(
            Mask(data=np.ones((20, 20, 20), np.uint8), geometry=Geometry.isotropic((20, 20, 20)))
        )
    coarse = Geometry.isotropic((20, 20, 20), spacing_mm=2.0)
    with pytest.raises(DatasetLayout, match=r"2\.0"):
        Anatomy.of(Mask(data=np.ones((20, 20, 20), np.uint8), geometry=coarse))


@pytest.mark.parametrize(
    "wrong",
    [
        {"noise": (0.2, 0.1)},
        {"count_weights": ((3, 2, 1.0),)},
        {"contrast_weights": {"mprage": 0.0}},
        {"native_share": 1.5},
        {"unknown": 1},
        {"fat_islands": (5, 2)},
        {"fat_islands": (-1, 2)},
    ],
)
def test_a_config_that_makes_no_sense_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        SynthesisConfig.model_validate(wrong)
