"""The parts of training one by one: recipe, losses, augmentation, crops, checkpoints, export."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from brainmets.domain.errors import CheckpointMismatch, RecipeError  # noqa: E402
from brainmets.models import Architecture  # noqa: E402
from brainmets.models.registry import build  # noqa: E402
from brainmets.training.augmentation import augment, draw_parameters  # noqa: E402
from brainmets.training.batches import Pool, crop  # noqa: E402
from brainmets.training.checkpoint import (  # noqa: E402
    History,
    find_checkpoint,
    load_checkpoint,
    save_checkpoint,
)
from brainmets.training.config import (  # noqa: E402
    AugmentationSettings,
    LossSettings,
    OptimiserSettings,
    Recipe,
)
from brainmets.training.loop import freeze_norm, learning_rate  # noqa: E402
from brainmets.training.losses import IGNORE, dice_cross_entropy, supervised_loss  # noqa: E402
from brainmets.training.samples import Sample  # noqa: E402

RECIPES = sorted((Path(__file__).parents[2] / "recipes").glob("*.toml"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.stem)
def test_published_recipes_are_valid_and_named_after_their_file(path: Path) -> None:
    assert Recipe.read(path).name == path.stem


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("steps = ", "stepps = "), "optimiser"),
        (("patch = [", "patch = [5, "), "optimiser.patch"),
        (("dims = 2", "dims = 4"), "dims"),
        (("[network]", "[network"), "not TOML"),
    ],
)
def test_a_wrong_recipe_is_explained(tmp_path: Path, change: tuple[str, str], said: str) -> None:
    source = next(path for path in RECIPES if path.stem.endswith("2d"))
    broken = tmp_path / "broken.toml"
    broken.write_text(source.read_text().replace(*change, 1))
    with pytest.raises(RecipeError, match="E_RECIPE") as caught:
        Recipe.read(broken)
    assert said in str(caught.value)
    with pytest.raises(RecipeError, match="no recipe"):
        Recipe.read(tmp_path / "absent.toml")


def test_loss_falls_from_wrong_to_right_and_skips_what_does_not_count() -> None:
    target = torch.zeros(2, 1, 8, 8, dtype=torch.uint8)
    target[:, :, 2:5, 2:5] = 1
    right = torch.where(target == 1, 9.0, -9.0)
    assert float(dice_cross_entropy(right, target)) < 0.01
    assert float(dice_cross_entropy(-right, target)) > 5
    ignored = target.clone()
    ignored[:, :, 2:5, 2:5] = IGNORE
    nothing = torch.full_like(right, -9.0)
    # neither claiming nor denying what is ignored costs anything
    assert float(dice_cross_entropy(right, ignored)) < 0.02
    assert float(dice_cross_entropy(nothing, ignored)) < 0.02


def test_coarse_heads_are_held_to_small_lesions() -> None:
    target = torch.zeros(1, 1, 16, 16, dtype=torch.uint8)
    target[0, 0, 5, 5] = 1
    fine = torch.where(target == 1, 9.0, -9.0)
    coarse = torch.full((1, 1, 4, 4), -9.0)
    blind = supervised_loss([fine, coarse], target, LossSettings())
    coarse[0, 0, 1, 1] = 9.0
    seeing = supervised_loss([fine, coarse], target, LossSettings())
    assert float(seeing) < 0.01 < float(blind)


@pytest.mark.parametrize("dims", [2, 3])
def test_augmentation_is_drawn_once_and_moves_image_and_target_together(dims: int) -> None:
    shape = [24] * dims
    target = torch.zeros(1, *shape, dtype=torch.uint8)
    target[(slice(None), *[slice(4, 10)] * dims)] = 1
    data = torch.cat((1 + 2 * target.float(), target.float()))
    rng = np.random.default_rng(3)
    for _ in range(8):
        parameters = draw_parameters(AugmentationSettings(noise=0.02), dims, rng)
        first = augment(data.clone(), target, parameters, highest=4.0, clahe=True)
        second = augment(data.clone(), target, parameters, highest=4.0, clahe=True)
        assert torch.equal(first[0], second[0])
        moved_data, moved = first
        assert moved_data.shape == data.shape
        inside, outside = moved_data[0][moved[0] == 1], moved_data[0][moved[0] == 0]
        assert inside.median() > outside.median() + 0.3  # the bright block is still the target
        assert set(moved.unique().tolist()) <= {0, 1, IGNORE}


def test_nothing_is_changed_when_every_range_is_zero() -> None:
    settings = AugmentationSettings(
        affine_probability=0, flip=False, contrast=0, brightness=0, gamma=0, noise=0, bias_field=0,
        low_resolution=0, clahe_strength=0,
    )  # fmt: skip
    data = torch.rand(2, 16, 16) + 0.1
    target = (torch.rand(1, 16, 16) > 0.5).to(torch.uint8)
    parameters = draw_parameters(settings, 2, np.random.default_rng(0))
    same, wanted = augment(data.clone(), target, parameters, highest=4.0, clahe=True)
    assert torch.allclose(
        same,
        data.clamp(0, 4).where(torch.tensor([[[True]], [[False]]]), data.clamp(0, 1)),
        atol=1e-5,
    )
    assert torch.equal(wanted, target)


def test_crops_find_lesions_and_pad_with_air_that_does_not_count() -> None:
    target = np.zeros((40, 30), np.uint8)
    target[35, 28] = 1
    sample = Sample(
        name="s",
        data=np.ones((2, 40, 30), np.float16),
        target=target,
        centres=np.array([[35, 28]]),
    )
    rng = np.random.default_rng(0)
    for _ in range(20):
        data, wanted = crop(sample, (16, 48), 1.0, rng)
        assert data.shape == (2, 16, 48)
        assert (wanted == 1).sum() == 1
        assert (wanted == IGNORE).sum() == 16 * 18


def test_a_pool_of_made_heads_depends_on_the_step_alone() -> None:
    def fresh() -> Pool:
        return Pool(make=_numbered, size=3, renew_every=2)

    walking, jumping = fresh(), fresh()
    try:
        walked = [[s.name for s in walking.at(step)] for step in range(5)]
        assert walked[4] == ["2", "3", "4"]
        assert [s.name for s in jumping.at(4)] == walked[4]
    finally:
        walking.close()
        jumping.close()


def _numbered(number: int) -> Sample:
    empty = np.zeros((1, 1), np.uint8)
    return Sample(
        name=str(number),
        data=np.zeros((2, 1, 1), np.float16),
        target=empty,
        centres=np.zeros((0, 2), np.int64),
    )


def test_learning_rate_warms_up_and_comes_down() -> None:
    settings = OptimiserSettings(
        steps=100, batch=1, patch=(16, 16), warmup_steps=10, learning_rate=1.0
    )
    rates = [learning_rate(settings, step) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == pytest.approx(1.0)
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert 0 < rates[-1] < 0.02


def test_a_checkpoint_brings_everything_back(tmp_path: Path) -> None:
    def run() -> tuple[torch.nn.Module, torch.optim.Optimizer]:
        torch.manual_seed(0)
        network = build(Architecture(name="attention-unet", dims=2, widths=(2, 3)))
        return network, torch.optim.AdamW(network.parameters(), lr=0.01)

    def step(network: torch.nn.Module, optimiser: torch.optim.Optimizer, seed: int) -> float:
        x = torch.randn(2, 2, 8, 8, generator=torch.Generator().manual_seed(seed))
        loss = network.train()(x)[0].square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        return float(loss.detach())

    network, optimiser = run()
    for seed in range(3):
        step(network, optimiser, seed)
    average = {"a": torch.ones(2)}
    save_checkpoint(
        tmp_path, network=network, average=average, best={}, optimiser=optimiser,
        history=History(step=3, best=0.5), recipe_sha256="abc",
    )  # fmt: skip
    uninterrupted = [step(network, optimiser, seed) for seed in range(3, 6)]

    again, its_optimiser = run()
    restored: dict[str, torch.Tensor] = {}
    path = find_checkpoint(tmp_path)
    assert path is not None
    history = load_checkpoint(
        path, network=again, average=restored, best={}, optimiser=its_optimiser,
        recipe_sha256="abc",
    )  # fmt: skip
    assert (history.step, history.best) == (3, 0.5)
    assert torch.equal(restored["a"], average["a"])
    assert [step(again, its_optimiser, seed) for seed in range(3, 6)] == uninterrupted

    for content, sha in ((path.read_bytes(), "other"), (b"junk", "abc")):
        path.write_bytes(content)
        with pytest.raises(CheckpointMismatch, match="E_CHECKPOINT"):
            load_checkpoint(
                path, network=again, average={}, best={}, optimiser=its_optimiser,
                recipe_sha256=sha,
            )  # fmt: skip


def test_the_hardest_voxels_alone_can_make_the_cross_entropy() -> None:
    target = torch.zeros(1, 1, 10, 10, dtype=torch.uint8)
    logits = torch.full((1, 1, 10, 10), -9.0)
    logits[0, 0, 0, :5] = 4.0  # five false positives in a hundred voxels
    only = {"dice_weight": 0.0}
    mean = float(dice_cross_entropy(logits, target, **only))
    hardest = float(dice_cross_entropy(logits, target, top_share=0.05, **only))
    assert hardest == pytest.approx(20 * mean, rel=0.01)
    target[0, 0, 0, :5] = IGNORE
    assert float(dice_cross_entropy(logits, target, top_share=0.05, **only)) < 0.01


def test_frozen_normalisation_keeps_the_averaged_statistics_and_still_learns_scale() -> None:
    network = build(Architecture(name="unet-plus-plus", dims=2, in_channels=1, widths=(4, 8)))
    average = {name: value.clone() for name, value in network.state_dict().items()}
    for name in average:
        if name.endswith("running_mean"):
            average[name] += 0.25
    network.train()
    freeze_norm(network, average)
    network(torch.randn(2, 1, 16, 16))[0].sum().backward()
    state = network.state_dict()
    means = [name for name in state if name.endswith("running_mean")]
    assert means
    assert all(torch.equal(state[name], average[name]) for name in means)
    norms = [p for n, p in network.named_parameters() if "layers.1" in n]
    assert norms
    assert all(p.grad is not None for p in norms)
    assert isinstance(network(torch.randn(2, 1, 16, 16)), tuple)  # all heads still train
