"""Masks and images back to what the user works with: nibabel and SimpleITK images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from brainmets.domain.extras import needing
from brainmets.python.grids import to_lps

if TYPE_CHECKING:
    import SimpleITK
    from nibabel.nifti1 import Nifti1Image
    from numpy.typing import NDArray

    from brainmets.domain import Geometry

__all__ = ["to_nibabel", "to_sitk"]


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
