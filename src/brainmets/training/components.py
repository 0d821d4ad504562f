"""A loss in which every lesion counts alike, whatever its size."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from brainmets.training.ranks import summed

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

__all__ = [
    "false_components",
    "mean_over_components",
    "mean_over_lesions",
    "nearest_component",
    "number_components",
    "sum_over_components",
]


def mean_over_components(
    probability: Tensor, entropy: Tensor, target: Tensor, ignored: int, *, smooth: float
) -> Tensor:
    """Dice + cross-entropy of each lesion's surroundings, averaged over lesions.

    The image is divided among its lesions, each voxel going to the nearest one (Voronoi regions);
    an image without lesions is one region. Source: CC-DiceCE, Bouteille et al., arXiv 2511.17146,
    with the regions of CC-Metrics, Jaus et al., arXiv 2410.18684.

    Args:
        probability: (B, 1, S), 0 where nothing counts.
        entropy: (B, 1, S) cross-entropy, 0 where nothing counts.
        target: (B, 1, S) of 0, 1 and `ignored`.
        ignored: value of voxels that count neither way.
        smooth: voxels added to both sides of each Dice ratio.
    """
    labels = target.detach().cpu().numpy()[:, 0]
    regions, count = nearest_component(labels == 1)
    place = torch.from_numpy(regions.reshape(-1)).to(probability.device)
    counted = (target != ignored).reshape(-1).to(probability.dtype)
    wanted = (target == 1).reshape(-1).to(probability.dtype)
    flat = probability.reshape(-1)

    def totals(values: Tensor) -> Tensor:
        return values.new_zeros(count).index_add(0, place, values)

    dice = (2 * totals(flat * wanted) + smooth) / (totals(flat) + totals(wanted) + smooth)
    mean_entropy = totals(entropy.reshape(-1)) / totals(counted).clamp_min(1.0)
    loss = (1 - dice + mean_entropy).sum()
    total, regions_of_all = summed(torch.stack((loss, loss.new_tensor(float(count)))))
    return total / regions_of_all


def mean_over_lesions(entropy: Tensor, target: Tensor, *, spared_voxels: float) -> Tensor:
    """Mean over lesions of each one's mean cross-entropy, 0 where there is no lesion.

    Args:
        entropy: (B, 1, S) cross-entropy.
        target: (B, 1, S), 1 where a lesion is; lesions touch by faces, edges or corners.
        spared_voxels: added to each lesion's voxels, so that two or three of them, the tip of a
            lesion at a crop's edge, weigh less than a whole one.
    """
    lesions = (target == 1).detach().cpu().numpy()[:, 0]
    loss, count = sum_over_components(entropy, lesions, spared_voxels=spared_voxels)
    total, number = summed(torch.stack((loss, loss.new_tensor(float(count)))))
    return total / number.clamp_min(1.0)


def sum_over_components(
    entropy: Tensor, where: NDArray[np.bool_], *, spared_voxels: float
) -> tuple[Tensor, int]:
    """Sum over the components of `where` (B, S) of each one's mean cross-entropy; how many.

    Args:
        entropy: (B, 1, S) cross-entropy.
        where: components touch by faces, edges or corners.
        spared_voxels: added to each one's voxels, so that the smallest weigh less.
    """
    labels, count = number_components(where)
    place = torch.from_numpy(labels.reshape(-1)).to(entropy.device)
    sums = entropy.new_zeros(count + 1).index_add(0, place, entropy.reshape(-1))[1:]
    voxels = torch.bincount(place, minlength=count + 1)[1:]
    return (sums / (voxels + spared_voxels)).sum(), count


def false_components(claimed: Tensor, target: Tensor) -> NDArray[np.bool_]:
    """Return the claimed components (B, S) that touch no lesion and nothing that does not count.

    Args:
        claimed: (B, 1, S), true where a lesion is claimed.
        target: (B, 1, S), 0 where there is none.
    """
    claims = claimed.cpu().numpy()[:, 0]
    labels, count = number_components(claims)
    excused = np.zeros(count + 1, dtype=bool)
    excused[labels[target.detach().cpu().numpy()[:, 0] != 0]] = True
    excused[0] = True
    return ~excused[labels]


def number_components(where: NDArray[np.bool_]) -> tuple[NDArray[np.int64], int]:
    """Number the components of all images (B, S) from 1, and return how many there are."""
    from scipy import ndimage

    touching = np.ones([3] * (where.ndim - 1))
    numbered = np.zeros(where.shape, dtype=np.int64)
    count = 0
    for labels, image in zip(numbered, where, strict=True):
        found = int(ndimage.label(image, structure=touching, output=labels))  # pyright: ignore[reportArgumentType]
        labels[image] += count
        count += found
    return numbered, count


def nearest_component(lesions: NDArray[np.bool_]) -> tuple[NDArray[np.int64], int]:
    """Number each voxel after the nearest component of its image.

    Args:
        lesions: (B, S); components touch by faces, edges or corners.

    Returns:
        Numbers (B, S) from 0, of which no two images share one, and how many there are.
    """
    from scipy import ndimage

    regions = np.empty(lesions.shape, dtype=np.int64)
    touching = np.ones([3] * (lesions.ndim - 1))
    count = 0
    for number, image in enumerate(lesions):
        labels = np.empty(image.shape, dtype=np.int32)
        found = int(ndimage.label(image, structure=touching, output=labels))  # pyright: ignore[reportArgumentType]
        regions[number] = count
        if found > 1:
            nearest = ndimage.distance_transform_edt(
                labels == 0, return_distances=False, return_indices=True
            )
            regions[number] += labels[tuple(np.asarray(nearest))] - 1
        count += max(found, 1)
    return regions, count
