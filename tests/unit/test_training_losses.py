"""The losses against numbers worked out by hand, and their gradients against differences."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from brainmets.training.components import nearest_component  # noqa: E402
from brainmets.training.config import LossSettings  # noqa: E402
from brainmets.training.losses import (  # noqa: E402
    IGNORE,
    component_dice_cross_entropy,
    dice_cross_entropy,
    false_alarm_entropy,
    focal_tversky,
    lesion_cross_entropy,
    supervised_loss,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor


def image(rows: list[list[float]]) -> Tensor:
    return torch.tensor(rows)[None, None]


def logit(probability: float) -> float:
    return math.log(probability / (1 - probability))


TARGET = image([[1, 1, 0, 0], [0, 0, 0, IGNORE]]).to(torch.uint8)
LOGITS = torch.full((1, 1, 2, 4), logit(0.25))


def test_dice_and_cross_entropy_by_hand() -> None:
    # seven voxels count, each claimed with ¼: overlap ½, claimed 7/4, there 2
    dice = (2 * 0.5 + 1) / (1.75 + 2 + 1)
    entropy = (2 * -math.log(0.25) + 5 * -math.log(0.75)) / 7
    assert float(dice_cross_entropy(LOGITS, TARGET)) == pytest.approx(1 - dice + entropy)
    hardest = dice_cross_entropy(LOGITS, TARGET, dice_weight=0.0, top_share=2 / 7)
    assert float(hardest) == pytest.approx(-math.log(0.25))


def test_lesion_cross_entropy_by_hand() -> None:
    # two lesion voxels, and twenty that are added
    expected = 2 * -math.log(0.25) / 22
    assert float(lesion_cross_entropy(LOGITS, TARGET)) == pytest.approx(expected)
    assert float(lesion_cross_entropy(LOGITS, torch.zeros_like(TARGET))) == 0.0


def test_every_lesion_counts_alike_by_hand() -> None:
    # six voxels found, one denied; twenty voxels are added to each lesion
    target = image([[1, 1, 1, 1, 1, 1, 0, IGNORE, 0, 1]]).to(torch.uint8)
    logits = image([[logit(0.9)] * 6 + [0.0] * 3 + [logit(0.1)]])
    expected = (6 * -math.log(0.9) / 26 + -math.log(0.1) / 21) / 2
    assert float(lesion_cross_entropy(logits, target, each_alike=True)) == pytest.approx(expected)
    assert float(lesion_cross_entropy(logits, torch.zeros_like(target), each_alike=True)) == 0.0
    two_images = torch.cat((target, target))
    twice = lesion_cross_entropy(torch.cat((logits, logits)), two_images, each_alike=True)
    assert float(twice) == pytest.approx(expected)


def test_a_large_lesion_does_not_drown_a_small_one() -> None:
    target = torch.zeros(1, 1, 24, 24, 24, dtype=torch.uint8)
    target[..., :16] = 1
    target[..., 20:23, 20:23, 20:23] = 1
    small_denied = torch.where(target == 1, 9.0, -9.0)
    small_denied[..., 20:] = -9.0
    assert float(lesion_cross_entropy(small_denied, target)) < 0.05
    assert float(lesion_cross_entropy(small_denied, target, each_alike=True)) > 2.0


def test_every_false_alarm_counts_alike_by_hand() -> None:
    # three claims: two voxels next to the lesion are its own, two and one apart are false, and
    # what touches voxels that do not count is let be
    target = image([[1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, IGNORE]]).to(torch.uint8)
    sure, fair = logit(0.9), logit(0.6)
    logits = image([[sure, sure, sure, sure, -9, fair, fair, -9, sure, -9, sure, sure]])
    expected = 2 * -math.log(0.4) / 22 + -math.log(0.1) / 21
    assert float(false_alarm_entropy(logits, target)) == pytest.approx(expected)
    assert float(false_alarm_entropy(torch.full_like(logits, -1.0), target)) == 0.0
    nothing_there = torch.cat((target, torch.zeros_like(target)))
    twice = false_alarm_entropy(torch.cat((logits, torch.full_like(logits, -9.0))), nothing_there)
    assert float(twice) == pytest.approx(expected / 2)


def test_focal_tversky_by_hand() -> None:
    # overlap ½, missed 3/2, invented 5/4
    index = (0.5 + 1) / (0.5 + 0.7 * 1.5 + 0.3 * 1.25 + 1)
    assert float(focal_tversky(LOGITS, TARGET)) == pytest.approx((1 - index) ** 0.75)
    even = (0.5 + 1) / (0.5 + 0.5 * 1.5 + 0.5 * 1.25 + 1)
    assert float(focal_tversky(LOGITS, TARGET, missed=0.5, exponent=1.0)) == pytest.approx(1 - even)


def test_missing_costs_more_than_inventing() -> None:
    target = torch.zeros(1, 1, 8, 8, dtype=torch.uint8)
    target[0, 0, :, :4] = 1
    denying, claiming = torch.full((2, 1, 1, 8, 8), -9.0)
    denying[..., :2] = 9.0  # half of the lesion
    claiming[..., :6] = 9.0  # the lesion and as much again
    assert float(focal_tversky(denying, target)) > float(focal_tversky(claiming, target)) + 0.1


def test_each_voxel_goes_to_the_nearest_lesion() -> None:
    lesions = np.zeros((3, 1, 9), bool)
    lesions[0, 0, [0, 8]] = True
    lesions[2, 0, [0, 1, 5]] = True
    regions, count = nearest_component(lesions)
    assert regions[0, 0].tolist()[:4] == [0, 0, 0, 0]
    assert regions[0, 0].tolist()[5:] == [1, 1, 1, 1]
    assert regions[1, 0].tolist() == [2] * 9  # no lesion: one region
    assert regions[2, 0].tolist()[:3] == [3, 3, 3]
    assert regions[2, 0].tolist()[4:] == [4] * 5
    assert count == 5


def test_component_loss_by_hand_counts_every_lesion_alike() -> None:
    # two lesions, of six voxels and of one; the four voxels between them go half to each
    target = image([[1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1]]).to(torch.uint8)
    large_found = image([[9.0] * 6 + [-9.0] * 5])
    loss = float(component_dice_cross_entropy(large_found, target))
    sure = 1 / (1 + math.exp(-9.0))
    first_dice = (2 * 6 * sure + 1) / (6 * sure + 2 * (1 - sure) + 6 + 1)
    second_dice = (2 * (1 - sure) + 1) / (3 * (1 - sure) + 1 + 1)
    entropy_right = -math.log(sure)
    second_entropy = (9.0 + 3 * entropy_right) / 3
    expected = ((1 - first_dice + entropy_right) + (1 - second_dice + second_entropy)) / 2
    assert loss == pytest.approx(expected, rel=0.02)
    assert loss > 1.9 * float(dice_cross_entropy(large_found, target))


@pytest.mark.parametrize(
    "loss",
    [
        dice_cross_entropy,
        lambda a, b: dice_cross_entropy(a, b, top_share=0.3),
        lesion_cross_entropy,
        lambda a, b: lesion_cross_entropy(a, b, each_alike=True),
        false_alarm_entropy,
        focal_tversky,
        component_dice_cross_entropy,
    ],
    ids=[
        "dice-ce",
        "topk",
        "lesion-ce",
        "each-lesion-ce",
        "false-alarms",
        "focal-tversky",
        "cc-dice-ce",
    ],
)
@pytest.mark.parametrize("dims", [2, 3])
def test_gradients_agree_with_differences(
    loss: Callable[[Tensor, Tensor], Tensor], dims: int
) -> None:
    generator = torch.Generator().manual_seed(dims)
    shape = (2, 1, *[4] * dims)
    logits = torch.randn(shape, generator=generator, dtype=torch.float64, requires_grad=True)
    target = (torch.rand(shape, generator=generator) < 0.2).to(torch.uint8)
    target[0, 0, 0] = IGNORE
    assert torch.autograd.gradcheck(lambda x: loss(x, target), (logits,))
    gradient = torch.autograd.grad(loss(logits, target), logits)[0]
    assert not gradient[0, 0, 0].any()  # nothing pulls at what does not count


def test_the_recipe_adds_the_terms_with_their_weights() -> None:
    settings = LossSettings(
        lesion_entropy_weight=0.3, tversky_weight=0.5, component_weight=2.0, tversky_missed=0.6
    )
    expected = (
        dice_cross_entropy(LOGITS, TARGET)
        + 0.3 * lesion_cross_entropy(LOGITS, TARGET)
        + 0.5 * focal_tversky(LOGITS, TARGET, missed=0.6)
        + 2.0 * component_dice_cross_entropy(LOGITS, TARGET)
    )
    assert float(supervised_loss([LOGITS], TARGET, settings)) == pytest.approx(float(expected))
    alarms = LossSettings(dice_weight=0, cross_entropy_weight=0, false_alarm_weight=2.0)
    claimed = torch.full_like(LOGITS[..., :1], 2.0)
    empty = torch.zeros_like(TARGET[..., :1])
    wanted = 2.0 * false_alarm_entropy(claimed, empty)
    assert float(wanted) > 0.1
    assert float(supervised_loss([claimed], empty, alarms)) == pytest.approx(float(wanted))
    each = LossSettings(dice_weight=0, cross_entropy_weight=0, lesion_entropy_weight=2.0)
    each = each.model_copy(update={"lesion_entropy_each": True})
    wanted = 2.0 * lesion_cross_entropy(LOGITS, TARGET, each_alike=True)
    assert float(supervised_loss([LOGITS], TARGET, each)) == pytest.approx(float(wanted))
