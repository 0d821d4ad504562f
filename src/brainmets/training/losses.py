"""Losses on logits, with voxels that count neither way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from brainmets.training.config import LossSettings

__all__ = ["IGNORE", "dice_cross_entropy", "supervised_loss"]

IGNORE = 255
"""Target value of voxels that count neither way."""

SMOOTH = 1.0
"""Voxels added to both sides of the Dice ratio: an empty target then rewards an empty answer."""


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
    logits = logits.float()
    counted = (target != IGNORE).float()
    wanted = (target == 1).float()
    entropy = functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    mean_entropy = _mean_of_hardest(entropy * counted, counted, top_share)
    probability = torch.sigmoid(logits) * counted
    overlap = (probability * wanted).sum()
    dice = (2 * overlap + SMOOTH) / (probability.sum() + wanted.sum() + SMOOTH)
    return dice_weight * (1 - dice) + cross_entropy_weight * mean_entropy


def _mean_of_hardest(entropy: Tensor, counted: Tensor, share: float) -> Tensor:
    if share == 1.0:
        return entropy.sum() / counted.sum().clamp_min(1.0)
    hardest = max(1, round(share * float(counted.sum())))
    return entropy.flatten().topk(hardest, sorted=False).values.mean()


def supervised_loss(outputs: Sequence[Tensor], target: Tensor, settings: LossSettings) -> Tensor:
    """Weighted mean of every head's loss, the first head counting most.

    Heads of lower resolution are held to the target's maximum over their voxels, so that small
    lesions do not vanish from it; a coarse voxel counts neither way when its maximum is IGNORE.
    """
    total = outputs[0].new_zeros((), dtype=torch.float32)
    weights = 0.0
    for depth, logits in enumerate(outputs):
        factor = target.shape[-1] // logits.shape[-1]
        wanted = target
        if factor > 1:
            pool = functional.max_pool2d if target.ndim == 4 else functional.max_pool3d
            wanted = pool(target, factor)
        weight = settings.supervision_decay**depth
        total = total + weight * dice_cross_entropy(
            logits,
            wanted,
            dice_weight=settings.dice_weight,
            cross_entropy_weight=settings.cross_entropy_weight,
            top_share=settings.top_share,
        )
        weights += weight
    return total / weights
