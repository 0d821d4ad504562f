"""Losses on logits, with voxels that count neither way; over all processes that train together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from brainmets.training.components import (
    false_components,
    mean_over_components,
    mean_over_lesions,
    sum_over_components,
)
from brainmets.training.ranks import gathered, summed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from brainmets.training.config import LossSettings

__all__ = [
    "FIRST_CLASS",
    "IGNORE",
    "component_dice_cross_entropy",
    "dice_cross_entropy",
    "false_alarm_entropy",
    "focal_tversky",
    "lesion_cross_entropy",
    "supervised_loss",
    "surroundings_cross_entropy",
]

IGNORE = 255
"""Target value of voxels that count neither way."""

FIRST_CLASS = 2
"""Target value of the first class of what surrounds lesions; the others follow."""

SMOOTH = 1.0
"""Voxels added to both sides of the Dice ratio: an empty target then rewards an empty answer."""

CLASS_VOXELS = 100.0
"""Added to the voxels of each class of surroundings, for the same reason."""

LESION_VOXELS = 20.0
"""Added to the lesion voxels of a batch: two or three at a crop's edge then do not rule a step."""


def dice_cross_entropy(
    logits: Tensor,
    target: Tensor,
    *,
    dice_weight: float = 1.0,
    cross_entropy_weight: float = 1.0,
    top_share: float = 1.0,
) -> Tensor:
    """Soft Dice over the whole batch plus binary cross-entropy, mean or of the hardest voxels.

    Args:
        logits: (B, 1, S).
        target: (B, 1, S) of 0, 1 and `IGNORE`.
        dice_weight: weight of 1 - Dice.
        cross_entropy_weight: weight of the cross-entropy.
        top_share: share of the voxels, those of highest cross-entropy, that it is the mean of
            (TopK, Wu et al., arXiv 1605.06885).
    """
    probability, entropy, counted, wanted = _terms(logits, target)
    overlap, claimed, there = _overlap(probability, wanted)
    dice = (2 * overlap + SMOOTH) / (claimed + there + SMOOTH)
    mean_entropy = _mean_of_hardest(entropy, counted, top_share)
    return dice_weight * (1 - dice) + cross_entropy_weight * mean_entropy


def lesion_cross_entropy(logits: Tensor, target: Tensor, *, each_alike: bool = False) -> Tensor:
    """Mean cross-entropy over the lesion voxels alone, so that rare ones move the weights.

    In the mean over all voxels a 4 mm lesion is one part in ten thousand; with this term next to it
    networks find lesions within a hundred steps instead of answering nothing (EXPERIMENTS.md).

    Args:
        logits: (B, 1, S).
        target: (B, 1, S) of 0, 1 and `IGNORE`.
        each_alike: every lesion counts alike, not every voxel: a 60 mm tumour has as many voxels
            as two thousand lesions of 5 mm.
    """
    _, entropy, _, wanted = _terms(logits, target)
    if each_alike:
        return mean_over_lesions(entropy, target, spared_voxels=LESION_VOXELS)
    total, there = summed(torch.stack(((entropy * wanted).sum(), wanted.sum())))
    return total / (there + LESION_VOXELS)


def false_alarm_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy of what is claimed apart from any lesion, each such component counting alike.

    In the mean over all voxels a false lesion of 30 voxels is one part in ten thousand, while a
    reader counts it as much as one of 3,000. A claim is what is likelier than not; one that
    touches a lesion is none of these, but a matter of its outline. The sum over components is
    taken per image of the batch.

    Args:
        logits: (B, 1, S).
        target: (B, 1, S) of 0, 1 and `IGNORE`.
    """
    _, entropy, _, _ = _terms(logits, target)
    claims = false_components((logits > 0).detach(), target)
    total, images = summed(
        torch.stack(
            (
                sum_over_components(entropy, claims, spared_voxels=LESION_VOXELS)[0],
                entropy.new_tensor(float(len(entropy))),
            )
        )
    )
    return total / images


def focal_tversky(
    logits: Tensor, target: Tensor, *, missed: float = 0.7, exponent: float = 0.75
) -> Tensor:
    """(1 - Tversky index)^exponent over the whole batch: missing costs more than inventing.

    Source: Abraham & Khan, arXiv 1810.07842, whose γ is 1 / exponent.

    Args:
        logits: (B, 1, S).
        target: (B, 1, S) of 0, 1 and `IGNORE`.
        missed: weight of lesion voxels denied; claimed ones that are none weigh 1 - this.
        exponent: below 1 keeps the slope up where the index is already high.
    """
    probability, _, _, wanted = _terms(logits, target)
    overlap, claimed, there = _overlap(probability, wanted)
    index = (overlap + SMOOTH) / (
        overlap + missed * (there - overlap) + (1 - missed) * (claimed - overlap) + SMOOTH
    )
    return (1 - index).clamp_min(1e-6) ** exponent


def component_dice_cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Dice + cross-entropy by lesion, each lesion with the voxels nearest to it (CC-DiceCE).

    Args:
        logits: (B, 1, S).
        target: (B, 1, S) of 0, 1 and `IGNORE`.
    """
    probability, entropy, _, _ = _terms(logits, target)
    return mean_over_components(probability, entropy, target, IGNORE, smooth=SMOOTH)


def surroundings_cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy of what surrounds lesions, where it is known, each class counting alike.

    A network that must tell a vein, a plexus or the scalp from brain has learnt what else is
    bright. Most voxels are air or brain; a vessel is one in a hundred.

    Args:
        logits: (B, classes, S).
        target: (B, 1, S), `FIRST_CLASS` and up where a class is known.
    """
    classes = logits.shape[1]
    known = (target >= FIRST_CLASS) & (target < FIRST_CLASS + classes)
    wanted = torch.where(known, target.long() - FIRST_CLASS, -100)[:, 0]
    entropy = functional.cross_entropy(logits.float(), wanted, reduction="none")
    of_class = functional.one_hot(wanted.clamp_min(0), classes).movedim(-1, 1) * known
    of_class = of_class.to(entropy.dtype)
    axes = [0, *range(2, of_class.ndim)]
    total = (of_class * entropy[:, None]).sum(axes)
    total, voxels = summed(torch.stack((total, of_class.sum(axes))))
    return (total / (voxels + CLASS_VOXELS)).mean()


def supervised_loss(outputs: Sequence[Tensor], target: Tensor, settings: LossSettings) -> Tensor:
    """Weighted mean of every head's loss, the first head counting most.

    Heads of lower resolution are held to the target's maximum over their voxels, so that small
    lesions do not vanish from it; a coarse voxel counts neither way when its maximum is IGNORE.
    The channels of the first head after its first are the surroundings'.
    """
    total = outputs[0].new_zeros((), dtype=torch.float32)
    around = total
    if settings.surroundings_weight:
        around = surroundings_cross_entropy(outputs[0][:, 1:], target)
        outputs = (outputs[0][:, :1], *outputs[1:])
        target = target * ((target == 1) | (target == IGNORE))
    weights = 0.0
    for depth, logits in enumerate(outputs):
        factor = target.shape[-1] // logits.shape[-1]
        wanted = target
        if factor > 1:
            pool = functional.max_pool2d if target.ndim == 4 else functional.max_pool3d
            wanted = pool(target, factor)
        weight = settings.supervision_decay**depth
        total = total + weight * _loss(logits, wanted, settings, finest=depth == 0)
        weights += weight
    return total / weights + settings.surroundings_weight * around


def _loss(logits: Tensor, target: Tensor, settings: LossSettings, *, finest: bool) -> Tensor:
    loss = dice_cross_entropy(
        logits,
        target,
        dice_weight=settings.dice_weight,
        cross_entropy_weight=settings.cross_entropy_weight,
        top_share=settings.top_share,
    )
    if settings.lesion_entropy_weight:
        each = settings.lesion_entropy_each
        loss = loss + settings.lesion_entropy_weight * lesion_cross_entropy(
            logits, target, each_alike=each
        )
    if settings.false_alarm_weight and finest:
        loss = loss + settings.false_alarm_weight * false_alarm_entropy(logits, target)
    if settings.tversky_weight:
        loss = loss + settings.tversky_weight * focal_tversky(
            logits, target, missed=settings.tversky_missed, exponent=settings.tversky_exponent
        )
    if settings.component_weight:
        loss = loss + settings.component_weight * component_dice_cross_entropy(logits, target)
    return loss


def _terms(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Probability and cross-entropy, 0 where nothing counts; what counts; what is wanted."""
    if logits.dtype != torch.float64:
        logits = logits.float()
    counted = (target != IGNORE).to(logits.dtype)
    wanted = (target == 1).to(logits.dtype)
    entropy = functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    return torch.sigmoid(logits) * counted, entropy * counted, counted, wanted


def _overlap(probability: Tensor, wanted: Tensor) -> Tensor:
    """Overlap, voxels claimed and voxels wanted, over the whole batch of all processes."""
    return summed(torch.stack(((probability * wanted).sum(), probability.sum(), wanted.sum())))


def _mean_of_hardest(entropy: Tensor, counted: Tensor, share: float) -> Tensor:
    if share == 1.0:
        total, voxels = summed(torch.stack((entropy.sum(), counted.sum())))
        return total / voxels.clamp_min(1.0)
    hardest = max(1, round(share * float(summed(counted.sum()))))
    everywhere = gathered(entropy.flatten()).flatten()
    return everywhere.topk(hardest, sorted=False).values.mean()
