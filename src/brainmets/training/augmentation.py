"""Augmentation: parameters are drawn once, then applied without further chance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from brainmets.synthesis.fields import spline_matrix
from brainmets.training.losses import IGNORE

if TYPE_CHECKING:
    from torch import Tensor

    from brainmets.training.config import AugmentationSettings

__all__ = ["AugmentationParameters", "augment", "draw_parameters"]

BIAS_GRID = 4
"""Control points of the bias field along each axis."""

ELASTIC_GRID = 7
"""Control points of the elastic deformation along each axis."""

NEVER_FOLDS = 0.4 / 2.1
"""Largest displacement of a control point, over the distance between two, with which space cannot
fold: 0.4 of it (Choi & Lee 2000, Injectivity conditions of 2D and 3D uniform cubic B-spline
functions), shared with a rotation and a magnification by 1.2."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AugmentationParameters:
    """What is done to one sample; JSON-able."""

    matrix: tuple[tuple[float, ...], ...] | None
    """dims × dims map from output to input coordinates, or none for an unchanged grid."""
    elastic: tuple[float, ...] | None = None
    """Displacement of the ELASTIC_GRID^dims control points along each axis, axis by axis, in
    shares of the patch's edge."""
    ghost: float = 0.0
    """Brightness of the ghost."""
    ghost_axis: int = 0
    ghost_shift: float = 0.5
    """Share of the edge that the ghost is shifted by, wrapping around."""
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
    window: tuple[float, float] | None = None
    """Grey levels, brain = 1, that a picture's display window maps to black and white."""


def draw_parameters(
    settings: AugmentationSettings, dims: int, rng: np.random.Generator
) -> AugmentationParameters:
    """Draw one sample's augmentation."""
    matrix = None
    if rng.random() < settings.affine_probability:
        matrix = _affine(settings, dims, rng)
    # what is off draws nothing, so that older recipes keep their batches
    elastic = _elastic(settings, dims, rng) if settings.elastic else None
    ghosting = settings.ghosting and rng.random() < settings.ghosting
    ghost = float(rng.uniform(0.03, 0.15)) if ghosting else 0.0
    ghost_axis = int(rng.integers(dims)) if ghosting else 0
    bias_size = settings.bias_field * rng.random()
    low_resolution = 1.0
    if rng.random() < settings.low_resolution:
        low_resolution = float(rng.uniform(1.0, 2.5))
    window = _window(settings, rng) if settings.window else None
    return AugmentationParameters(
        matrix=matrix,
        window=window,
        elastic=elastic,
        ghost=ghost,
        ghost_axis=ghost_axis,
        ghost_shift=float(rng.choice((1 / 2, 1 / 3, 1 / 4))) if ghosting else 0.5,
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
        seen = _with_ghost(original, parameters)
        image = seen * torch.exp(field) * parameters.contrast + parameters.brightness
        image = _windowed(image, parameters)
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


def _window(settings: AugmentationSettings, rng: np.random.Generator) -> tuple[float, float] | None:
    """Draw the black and white points of an 8-bit picture, brain = 1: from soft to hard."""
    if rng.random() >= settings.window:
        return None
    return float(rng.uniform(-0.2, 0.5)), float(rng.uniform(1.3, 3.0))


def _windowed(image: Tensor, parameters: AugmentationParameters) -> Tensor:
    """Cut to the window, in 256 steps, and scale so that brain is 1 again."""
    if parameters.window is None:
        return image
    black, white = parameters.window
    shown = ((image - black) / (white - black)).clamp(0, 1)
    shown = (shown * 255).round() / 255
    return shown * (white - black) / (1 - black)


def _elastic(
    settings: AugmentationSettings, dims: int, rng: np.random.Generator
) -> tuple[float, ...] | None:
    if rng.random() >= settings.elastic_probability:
        return None
    size = settings.elastic * rng.random()
    limit = NEVER_FOLDS / (ELASTIC_GRID - 3)
    drawn = size * rng.standard_normal(dims * ELASTIC_GRID**dims) / 2
    return tuple(float(v) for v in drawn.clip(-limit, limit))


def _move(
    data: Tensor, target: Tensor, parameters: AugmentationParameters
) -> tuple[Tensor, Tensor]:
    """Flip, then rotate, scale and bend in one interpolation."""
    axes = [axis + 1 for axis, flip in enumerate(parameters.flips) if flip]
    if axes:
        data, target = data.flip(axes), target.flip(axes)
    if parameters.matrix is None and parameters.elastic is None:
        return data.clone(), target
    grid = _grid(parameters, data.shape[1:])
    moved = functional.grid_sample(data[None], grid, padding_mode="border", align_corners=False)
    outside = (grid.abs() > 1).any(dim=-1)[None]
    wanted = functional.grid_sample(
        target[None].float(), grid, mode="nearest", padding_mode="border", align_corners=False
    ).to(target.dtype)
    wanted = torch.where(outside, torch.tensor(IGNORE, dtype=target.dtype), wanted)
    return moved[0], wanted[0]


def _grid(parameters: AugmentationParameters, shape: torch.Size) -> Tensor:
    """Where each output voxel is in the input, as `grid_sample` wants it: (1, S, dims)."""
    dims = len(shape)
    edges = torch.tensor(shape, dtype=torch.float32)
    matrix = torch.tensor(parameters.matrix or np.eye(dims).tolist(), dtype=torch.float32)
    # grid_sample speaks x-last-axis-first and -1…1 across each edge
    unit = (matrix * edges[None, :] / edges[:, None]).flip(0, 1)
    affine = torch.cat((unit, torch.zeros(dims, 1)), dim=1)[None]
    grid = functional.affine_grid(affine, [1, 1, *shape], align_corners=False)
    if parameters.elastic is not None:
        grid = grid + 2 * _displacement(parameters.elastic, shape).movedim(0, -1).flip(-1)[None]
    return grid


def _displacement(control: tuple[float, ...], shape: torch.Size) -> Tensor:
    """Cubic B-splines through the control points: (dims, S), smooth and without folds."""
    field = torch.tensor(control).reshape([len(shape)] + [ELASTIC_GRID] * len(shape))
    for edge in shape:
        weights = torch.tensor(spline_matrix(ELASTIC_GRID, edge))
        field = torch.einsum("ca...,na->c...n", field, weights)  # each axis goes to the end
    return field


def _with_ghost(image: Tensor, parameters: AugmentationParameters) -> Tensor:
    """Add a faint copy shifted along one axis, as motion leaves it along the phase encoding."""
    if not parameters.ghost:
        return image
    shift = round(parameters.ghost_shift * image.shape[parameters.ghost_axis])
    return image + parameters.ghost * image.roll(shift, parameters.ghost_axis)


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
