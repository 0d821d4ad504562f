"""A sample case made by us: try everything without a patient's scan."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from brainmets.domain import Geometry, HeadPhantom, Volume
from brainmets.io import write_volume

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["write_sample"]

SAMPLE_SHAPE = (136, 168, 152)
SAMPLE_SPACING_MM = 1.25


def write_sample(path: Path) -> Path:
    """Write a synthetic T1c head with three lesions as NIfTI; the same bytes every time.

    It is a head of ellipsoids: right for learning the commands and testing an installation,
    silent about how good a model is.

    Raises:
        OptionError: the name is not that of a NIfTI file.
        OutputExists, DiskFull: the folder does not take the file.
    """
    image, _ = HeadPhantom().render(Geometry.isotropic(SAMPLE_SHAPE, spacing_mm=SAMPLE_SPACING_MM))
    whole = Volume(data=np.rint(image.data), geometry=image.geometry)
    return write_volume(whole, path)
