"""Augmentation: parameters are drawn once, then applied without further chance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from brainmets.training.losses import IGNORE

if TYPE_CHECKING:
    from torch import Tensor

    from brainmets.training.config import AugmentationSettings

__all__ = ["AugmentationParameters", "augment", "draw_parameters"]

BIAS_GRID = 4
"""Control points of the bias field along each axis."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AugmentationParameters:
    """What is done to one sample; JSON-able."""

    matrix: tuple[tuple[float, ...], ...] | None
    """dims × dims map from output to input coordinates, or none for an unchanged grid."""
    flips: tuple[bool, ...]
    contrast: float
    brightness: float
    gamma: float
    noise: float
    noise_seed: int
    bias: tuple[float, ...]
    """Log-gain at the BIAS_GRID^dims control points."""
    low_resolution: float
    """Factor of the lower resolution, 1 for none."""
    clahe_mix: float


def draw_parameters(
    settings: AugmentationSettings, dims: int, rng: np.random.Generator
) -> AugmentationParameters:
    """Draw one sample's augmentation."""
    matrix = None
    if rng.random() < settings.affine_probability:
        matrix = _affine(settings, dims, rng)
    bias_size = settings.bias_field * rng.random()
    low_resolution = 1.0
    if rng.random() < settings.low_resolution:
        low_resolution = float(rng.uniform(1.0, 2.5))
    return AugmentationParameters(
        matrix=matrix,
        flips=tuple(bool(settings.flip and rng.random() < 0.5) for _ in range(dims)),
        contrast=float(1 + settings.contrast * rng.uniform(-1, 1)),
        brightness=float(settings.brightness * rng.uniform(-1, 1)),
        gamma=float(np.exp(settings.gamma * rng.uniform(-1, 1))),
        noise=float(settings.noise * rng.random() ** 2),
        noise_seed=int(rng.integers(2**31)),
        bias=tuple(float(v) for v in bias_size * rng.standard_normal(BIAS_GRID**dims) / 2),
        low_resolution=low_resolution,
        clahe_mix=float(settings.clahe_strength * rng.random()),
    )


def augment(
    data: Tensor,
    target: Tensor,
    parameters: AugmentationParameters,
    *,
    highest: float,
    clahe: bool,
) -> tuple[Tensor, Tensor]:
    """Apply one sample's augmentation.

    Args:
        data: (C, S): channels scaled to brain = 1, each before its CLAHE channel if `clahe`.
        target: (1, S) of 0, 1 and IGNORE.
        parameters: what to do.
        highest: where the plan clips, in multiples of brain.
        clahe: whether every second channel is a CLAHE channel in 0…1.

    Returns:
        Data and target of the same shapes.
    """
    data, target = _move(data, target, parameters)
    dims = data.ndim - 1
    step = 2 if clahe else 1
    generator = torch.Generator().manual_seed(parameters.noise_seed)
    field = _bias_field(parameters.bias, data.shape[1:])
    for channel in range(0, data.shape[0], step):
        original = data[channel]
        image = original * torch.exp(field) * parameters.contrast + parameters.brightness
        image = highest * (image / highest).clamp(0, 1) ** parameters.gamma
        image = _blur(image, parameters.low_resolution, dims)
        noise = torch.randn(image.shape, generator=generator) * parameters.noise
        air = original <= 0  # stays what the plan makes of it: exactly 0
        data[channel] = torch.where(air, 0.0, (image + noise).clamp(0, highest))
        if clahe:
            equalised = data[channel + 1]
            plain = (data[channel] / 2).clamp(0, 1)
            mixed = equalised + parameters.clahe_mix * (plain - equalised)
            mixed = _blur(mixed, parameters.low_resolution, dims)
            data[channel + 1] = torch.where(air, equalised, (mixed + noise / 2).clamp(0, 1))
    return data, target


def _affine(
    settings: AugmentationSettings, dims: int, rng: np.random.Generator
) -> tuple[tuple[float, ...], ...]:
    matrix = np.eye(dims)
    planes = [(0, 1)] if dims == 2 else [(0, 1), (0, 2), (1, 2)]
    for a, b in planes:
        angle = np.deg2rad(settings.rotation_degrees) * rng.uniform(-1, 1)
        turn = np.eye(dims)
        turn[a, a] = turn[b, b] = np.cos(angle)
        turn[a, b], turn[b, a] = -np.sin(angle), np.sin(angle)
        matrix = matrix @ turn
    scale = 1 + settings.scaling * rng.uniform(-1, 1)
    return tuple(tuple(float(v) for v in row) for row in matrix / scale)


def _move(
    data: Tensor, target: Tensor, parameters: AugmentationParameters
) -> tuple[Tensor, Tensor]:
    axes = [axis + 1 for axis, flip in enumerate(parameters.flips) if flip]
    if axes:
        data, target = data.flip(axes), target.flip(axes)
    if parameters.matrix is None:
        return data.clone(), target
    edges = torch.tensor(data.shape[1:], dtype=torch.float32)
    matrix = torch.tensor(parameters.matrix, dtype=torch.float32)
    # grid_sample speaks x-last-axis-first and -1…1 across each edge
    unit = (matrix * edges[None, :] / edges[:, None]).flip(0, 1)
    affine = torch.cat((unit, torch.zeros(len(edges), 1)), dim=1)[None]
    grid = functional.affine_grid(affine, [1, 1, *data.shape[1:]], align_corners=False)
    moved = functional.grid_sample(data[None], grid, padding_mode="border", align_corners=False)
    outside = (grid.abs() > 1).any(dim=-1)[None]
    wanted = functional.grid_sample(
        target[None].float(), grid, mode="nearest", padding_mode="border", align_corners=False
    ).to(target.dtype)
    wanted = torch.where(outside, torch.tensor(IGNORE, dtype=target.dtype), wanted)
    return moved[0], wanted[0]


def _bias_field(control: tuple[float, ...], shape: torch.Size) -> Tensor:
    dims = len(shape)
    points = torch.tensor(control).reshape([1, 1] + [BIAS_GRID] * dims)
    mode = "bilinear" if dims == 2 else "trilinear"
    return functional.interpolate(points, size=list(shape), mode=mode, align_corners=True)[0, 0]


def _blur(image: Tensor, factor: float, dims: int) -> Tensor:
    if factor == 1.0:
        return image
    mode = "bilinear" if dims == 2 else "trilinear"
    small = [max(1, round(edge / factor)) for edge in image.shape]
    lower = functional.interpolate(image[None, None], size=small, mode="nearest")
    return functional.interpolate(lower, size=list(image.shape), mode=mode, align_corners=False)[
        0, 0
    ]
