"""The built-in synthetic case, written once per state folder."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["sample_file"]

SAMPLE_NAME = "brainmets-sample.nii.gz"


def sample_file(folder: Path) -> Path:
    """Return the sample's NIfTI file, writing it first where it is not there yet."""
    path = folder / SAMPLE_NAME
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / f"{secrets.token_hex(4)}.nii.gz"
    _write(draft)
    draft.replace(path)
    return path


def _write(path: Path) -> None:
    import nibabel
    import numpy as np

    from brainmets.domain import Geometry, HeadPhantom

    image, _ = HeadPhantom().render(Geometry.isotropic((180, 216, 190), spacing_mm=1.0))
    nifti = nibabel.Nifti1Image(np.round(image.data).astype(np.int16), image.geometry.affine)
    nifti.header.set_xyzt_units("mm")
    nibabel.save(nifti, path)
