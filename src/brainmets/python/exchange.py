"""Masks and images back to what the user works with, and voxel grids between libraries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from brainmets.domain.extras import needing
from brainmets.domain.geometry import AXIS_CODES

if TYPE_CHECKING:
    from collections.abc import Sequence

    import SimpleITK
    from nibabel.nifti1 import Nifti1Image
    from numpy.typing import NDArray

    from brainmets.domain import Geometry

__all__ = ["affine_of_spacing", "to_nibabel", "to_ras", "to_sitk"]


def to_nibabel(data: NDArray[Any], geometry: Geometry) -> Nifti1Image:
    """Return an array (i, j, k) as a NIfTI image on its grid, with its image's sform and qform."""
    from nibabel.nifti1 import Nifti1Header, Nifti1Image

    from brainmets.io import nifti_header_of

    header = Nifti1Header(nifti_header_of(data.dtype, geometry), check=False)
    return Nifti1Image(np.asarray(data), header.get_best_affine(), header)


def to_sitk(data: NDArray[Any], geometry: Geometry) -> SimpleITK.Image:
    """Return an array (i, j, k) as a SimpleITK image on its grid, in ITK's LPS.

    Raises:
        EngineMissing: SimpleITK is not installed (it comes with the extra `notebook`).
    """
    with needing("notebook"):
        import SimpleITK as sitk  # noqa: N813 - as its users write it
    image = sitk.GetImageFromArray(np.ascontiguousarray(data.transpose(2, 1, 0)))
    direction, spacing, origin = to_lps(geometry)
    image.SetDirection(direction)
    image.SetSpacing(spacing)
    image.SetOrigin(origin)
    return image


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
