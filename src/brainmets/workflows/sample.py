"""A sample case made by us: try everything without a patient's scan."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from brainmets.domain import Volume
from brainmets.io import write_volume

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["SAMPLE_SEED", "write_sample"]

SAMPLE_SEED = 0
"""A ring-enhancing lesion of 14 mm and five smaller ones, down to 2 mm."""


def write_sample(path: Path) -> Path:
    """Write a synthetic T1c head with metastases as NIfTI; the same bytes every time.

    It is drawn from formulas, not from a person: right for learning the commands and testing an
    installation, silent about how good a model is on real scans.

    Raises:
        OptionError: the name is not that of a NIfTI file.
        OutputExists, DiskFull: the folder does not take the file.
    """
    from brainmets.synthesis.phantom import sample_head

    image = sample_head(SAMPLE_SEED).image
    return write_volume(Volume(data=np.rint(image.data), geometry=image.geometry), path)
