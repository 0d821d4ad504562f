"""Bending and ghosts: recorded, applied once, folding nothing, and absent from older recipes."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from brainmets.training.augmentation import (  # noqa: E402
    ELASTIC_GRID,
    AugmentationParameters,
    _grid,
    augment,
    draw_parameters,
)
from brainmets.training.config import AugmentationSettings  # noqa: E402
from brainmets.training.losses import IGNORE  # noqa: E402

STILL = AugmentationSettings(
    affine_probability=0, flip=False, contrast=0, brightness=0, gamma=0, noise=0, bias_field=0,
    low_resolution=0, clahe_strength=0,
)  # fmt: skip
BENDING = AugmentationSettings(elastic=0.1, elastic_probability=1.0, affine_probability=1.0)


@pytest.mark.parametrize(
    ("dims", "seed", "mix"), [(2, 1654666175, 0.288513), (3, 1627197276, 0.138986)]
)
def test_older_recipes_keep_their_augmentation(dims: int, seed: int, mix: float) -> None:
    """Numbers from the version before bending and ghosts."""
    rng = np.random.default_rng(7)
    last = [draw_parameters(AugmentationSettings(), dims, rng) for _ in range(20)][-1]
    assert last.noise_seed == seed
    assert last.clahe_mix == pytest.approx(mix, abs=1e-6)


@pytest.mark.parametrize("dims", [2, 3])
def test_control_points_that_agree_shift_the_image_by_just_that(dims: int) -> None:
    shape = [20] * dims
    data = torch.rand(1, *shape, generator=torch.Generator().manual_seed(1)) + 0.1
    target = (data > 0.6).to(torch.uint8)
    parameters = asdict(draw_parameters(STILL, dims, np.random.default_rng(0)))
    control = np.zeros((dims, *[ELASTIC_GRID] * dims))
    control[0] = 3 / 20  # reads three voxels further along the first axis
    parameters["elastic"] = tuple(control.ravel().tolist())
    moved, wanted = augment(
        data.clone(), target, AugmentationParameters(**parameters), highest=4.0, clahe=False
    )
    assert torch.allclose(moved[:, :17], data[:, 3:], atol=1e-4)
    assert torch.equal(wanted[:, :17], target[:, 3:])
    assert (wanted[:, 17:] == IGNORE).all()


@pytest.mark.parametrize("dims", [2, 3])
def test_space_never_folds(dims: int) -> None:
    shape = torch.Size([24] * dims)
    rng = np.random.default_rng(5)
    largest = 0.0
    for _ in range(30):
        parameters = draw_parameters(BENDING, dims, rng)
        grid = _grid(parameters, shape)[0].flip(-1).numpy() * 12  # in voxels
        jacobian = np.stack(np.gradient(grid, axis=tuple(range(dims))), axis=-1)
        assert np.linalg.det(jacobian).min() > 0
        plain = AugmentationParameters(**{**asdict(parameters), "elastic": None})
        largest = max(largest, np.abs(grid - _grid(plain, shape)[0].flip(-1).numpy() * 12).max())
    assert largest > 0.5  # and yet it bends


def test_what_was_done_can_be_read_and_done_again() -> None:
    settings = BENDING.model_copy(update={"ghosting": 1.0})
    parameters = draw_parameters(settings, 2, np.random.default_rng(2))
    told = json.loads(json.dumps(asdict(parameters)))
    again = AugmentationParameters(**told)
    data, target = torch.rand(2, 32, 32) + 0.1, torch.zeros(1, 32, 32, dtype=torch.uint8)
    first = augment(data.clone(), target, parameters, highest=4.0, clahe=True)
    second = augment(data.clone(), target, again, highest=4.0, clahe=True)
    assert parameters.ghost > 0
    assert parameters.elastic is not None
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])


def test_a_ghost_is_a_faint_copy_half_an_edge_away() -> None:
    data = torch.full((1, 16, 16), 0.5)
    data[0, 2, 5] = 2.5
    drawn = asdict(draw_parameters(STILL, 2, np.random.default_rng(0)))
    ghost = AugmentationParameters(**{**drawn, "ghost": 0.1, "ghost_axis": 0, "ghost_shift": 0.5})
    seen, _ = augment(
        data.clone(), torch.zeros(1, 16, 16, dtype=torch.uint8), ghost, highest=4.0, clahe=False
    )
    assert float(seen[0, 10, 5]) == pytest.approx(0.5 + 0.25)
    assert float(seen[0, 9, 5]) == pytest.approx(0.55)
    assert float(seen[0, 2, 5]) == pytest.approx(2.55)
