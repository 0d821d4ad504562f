"""Voxel grids between libraries: RAS+ matrices, voxel sizes with letters, and ITK's LPS."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from brainmets.domain.geometry import AXIS_CODES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from brainmets.domain import Geometry

__all__ = ["affine_of_spacing", "to_lps", "to_ras"]

LPS = np.diag([-1.0, -1.0, 1.0])
"""Between RAS, which nibabel and brainmets use, and LPS, which DICOM and ITK use."""


def affine_of_spacing(
    spacing_mm: tuple[float, float, float], codes: str, shape: tuple[int, int, int]
) -> NDArray[np.float64]:
    """Return the matrix of a grid centred on the origin whose axes point as three letters say."""
    affine = np.eye(4)
    affine[:3, :3] = 0.0
    for axis, (code, size) in enumerate(zip(codes, spacing_mm, strict=True)):
        for ras, letters in enumerate(AXIS_CODES):
            if code in letters:
                affine[ras, axis] = size if code == letters[1] else -size
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return affine


def to_ras(
    direction: Sequence[float], spacing_mm: Sequence[float], origin_mm: Sequence[float]
) -> NDArray[np.float64]:
    """Return ITK's direction (3 × 3, row by row), spacing and origin as one RAS+ matrix."""
    affine = np.eye(4)
    affine[:3, :3] = LPS @ np.reshape(direction, (3, 3)) @ np.diag(spacing_mm)
    affine[:3, 3] = LPS @ np.asarray(origin_mm, dtype=np.float64)
    return affine


def to_lps(geometry: Geometry) -> tuple[list[float], list[float], list[float]]:
    """Return a grid as ITK's direction, spacing and origin."""
    spacing = geometry.spacing_mm
    direction = LPS @ geometry.affine[:3, :3] / np.array(spacing)
    origin = LPS @ geometry.affine[:3, 3]
    return direction.ravel().tolist(), list(spacing), origin.tolist()
