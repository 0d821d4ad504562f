"""Fat, muscle, mucosa and skin about a whole head's brain."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from brainmets.synthesis.enhancement import Scene, Waves
from brainmets.synthesis.fields import generator
from brainmets.synthesis.labels import Tissue

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from brainmets.synthesis.parameters import SynthesisParameters

__all__ = ["paint_soft_parts"]

HOSTS = (Tissue.BONE, Tissue.MARROW, Tissue.SOFT, Tissue.MUCOSA)
"""Where an island of fat may lie."""
DEEP_MM = 12.0
IN_BONE = 2.0
"""So many islands in bone for one elsewhere."""
BASE_MM = 35.0
"""About the clivus and dens: the deviation of where most of them lie."""
ELSEWHERE = 0.15
RADIUS_MM = (1.5, 8.0)
LEVEL = (0.95, 2.2)
"""Brightness of an island, in units of white matter."""
SHELLED = 0.5
"""Share of islands within a shell of dense bone."""
BRIGHT_SELLA = 0.5
"""Share of heads with fat in the dorsum sellae or a bright posterior pituitary."""


def paint_soft_parts(scene: Scene, parameters: SynthesisParameters) -> None:
    """Tell fat from muscle under the skin, and let mucosa, skin and muscle take up contrast."""
    if parameters.stripped:
        return
    rng = generator(parameters.seed, 8)
    tissue = scene.channels["tissue"].reshape(-1)
    image = scene.image.reshape(-1)
    levels, amount = parameters.tissues, parameters.enhancement
    index = np.flatnonzero(tissue == Tissue.SOFT)
    at = scene.coordinates(index)
    under_skin = scene.mm("skin", index)
    thick = rng.uniform(3.0, 9.0) * (1 + 0.3 * Waves(rng, 20.0)(at))
    fat = np.clip((thick - under_skin) / 2 + 0.5, 0, 1)
    planes = np.abs(Waves(rng, 5.0)(at))  # fascia between muscles: where the waves cross zero
    fat = np.maximum(fat, np.clip((0.35 - planes) * 4, 0, 1)).astype(np.float32)
    image[index] += fat * np.float32(levels["fat"] - levels["soft"])
    _paint_islands(scene, parameters)
    if not parameters.contrast_medium:
        return
    blood = parameters.blood
    for part, name in (
        (Tissue.MUCOSA, "mucosa"),
        (Tissue.SKIN, "skin"),
        (Tissue.EYE_MUSCLE, "muscle"),
    ):
        index = np.flatnonzero(tissue == part)
        wave = np.clip(0.6 + 0.4 * Waves(rng, 5.0)(scene.coordinates(index)), 0, 1.2)
        share = np.float32(amount[name]) * wave.astype(np.float32)
        image[index] += share * (np.float32(blood) - image[index])
    index = np.flatnonzero(tissue == Tissue.MARROW)
    wave = np.clip(1 + 0.35 * Waves(rng, 8.0)(scene.coordinates(index)), 0.2, 1.8)
    image[index] *= wave.astype(np.float32)


def _paint_islands(scene: Scene, parameters: SynthesisParameters) -> None:
    """Put round islands of fat into bone and between muscles, away from the skin.

    They stand for fatty marrow in clivus, dens, vertebrae and petrous bone and for fat in the deep
    spaces of the face: as bright as a lesion, and as round, with or without contrast medium.
    """
    if not parameters.fat_islands:
        return
    rng = generator(parameters.seed, 10)
    tissue = scene.channels["tissue"].reshape(-1)
    places = rng.integers(tissue.size, size=400_000)
    places = places[np.isin(tissue[places], HOSTS)]
    places = places[scene.mm("skin", places) > DEEP_MM]
    in_bone = np.isin(tissue[places], (Tissue.BONE, Tissue.MARROW))
    weights = np.where(in_bone, IN_BONE / max(in_bone.sum(), 1), 1 / max((~in_bone).sum(), 1))
    base = scene.landmarks["sella"] + np.array([0.0, -10.0, -30.0])
    away = np.square(scene.coordinates(places) - base).sum(axis=1)
    weights *= ELSEWHERE + np.exp(-away / (2 * BASE_MM**2))
    number = min(parameters.fat_islands, len(places))
    chosen = rng.choice(places, size=number, replace=False, p=weights / weights.sum())
    for centre in scene.coordinates(chosen):
        shell = rng.uniform(0.7, 2.0) if rng.uniform() < SHELLED else 0.0
        _paint_island(scene, parameters, rng, centre, rng.uniform(*RADIUS_MM), shell_mm=shell)
    if rng.uniform() < BRIGHT_SELLA:
        centre = scene.landmarks["sella"] + rng.normal(0.0, 2.0, 3)
        _paint_island(scene, parameters, rng, centre, rng.uniform(1.2, 3.5), anywhere=True)


def _paint_island(
    scene: Scene,
    parameters: SynthesisParameters,
    rng: np.random.Generator,
    centre: NDArray[np.floating],
    radius_mm: float,
    *,
    shell_mm: float = 0.0,
    anywhere: bool = False,
) -> None:
    """Blend one rough ellipsoid into the image, where a host of it is unless `anywhere`."""
    image, levels = scene.image, parameters.tissues
    radii = radius_mm * np.exp(rng.normal(0.0, 0.25, 3))
    level = levels["white"] * rng.uniform(*LEVEL)
    reach = 1.5 * radii + shell_mm + 1
    low = np.maximum(np.floor(centre - reach).astype(int), 0)
    high = np.minimum(np.ceil(centre + reach).astype(int) + 1, image.shape)
    if (low >= high).any():
        return
    box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    axes = (np.arange(a, b) for a, b in zip(low, high, strict=True))
    at = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).astype(np.float32)
    from_centre = np.sqrt((((at - centre) / radii) ** 2).sum(axis=-1))
    wave = Waves(rng, radius_mm)(at.reshape(-1, 3)).reshape(from_centre.shape)
    inside_mm = (1 + 0.15 * wave - from_centre) * radius_mm
    host = anywhere | np.isin(scene.channels["tissue"][box], HOSTS)
    layers = ((shell_mm, levels["bone"]), (0.0, level)) if shell_mm else ((0.0, level),)
    for depth, value in layers:
        share = np.clip(inside_mm + depth + 0.5, 0, 1) * host
        image[box] += share.astype(np.float32) * (np.float32(value) - image[box])
