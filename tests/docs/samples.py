"""The images that pages call the reader's own, made from the analytic phantom."""

from __future__ import annotations

from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np
from PIL import Image

from brainmets.domain import Geometry, HeadPhantom

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["write_samples"]


def write_samples(folder: Path, text: str) -> None:
    """Write those of the samples that the page's blocks name."""
    for name, write in SAMPLES.items():
        if name in text:
            write(folder / name)


def _scan(path: Path) -> None:
    image, _ = HeadPhantom().render(Geometry.isotropic((80, 98, 92), spacing_mm=2.0))
    nib.save(nib.Nifti1Image(image.data, image.geometry.affine), path)


def _slice(path: Path) -> None:
    image, _ = HeadPhantom().render(Geometry.isotropic((160, 196, 3), spacing_mm=1.0))
    grey = np.rot90(np.clip(image.data[:, :, 1] / 4, 0, 255).astype(np.uint8))
    Image.fromarray(grey).save(path)


SAMPLES = {"scan.nii.gz": _scan, "slice.png": _slice}
