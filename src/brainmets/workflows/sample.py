"""A sample case made by us: try everything without a patient's scan."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from brainmets.domain import Volume
from brainmets.domain.errors import OptionError
from brainmets.io import write_mask, write_volume

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["SAMPLE_SEED", "write_sample"]

SAMPLE_SEED = 0
"""A ring-enhancing lesion of 14 mm and five smaller ones, down to 2 mm."""


def write_sample(path: Path, *, mask: Path | None = None) -> Path:
    """Write a synthetic T1c head with metastases as NIfTI; the same bytes every time.

    It is computed from formulas, not from a person. Use it to learn the commands and to test an
    installation. It does not show how accurate a model is on real scans.

    Args:
        path: NIfTI file for the image; missing folders are created.
        mask: NIfTI file for the reference mask on the same grid: 0 background, 1, 2, … a lesion
            each. Without it no mask is written.

    Returns:
        `path`.

    Raises:
        OptionError: a name is not that of a NIfTI file, or both are the same file.
        OutputExists, DiskFull: the file cannot be written into its folder.
    """
    from brainmets.synthesis.phantom import sample_head

    if mask is not None and mask.resolve() == path.resolve():
        raise OptionError(
            "the same file for image and mask",
            expected="two files",
            remedy="give another name to --mask",
        )
    for target in filter(None, (path, mask)):
        with suppress(OSError):  # writing the file reports what is wrong
            target.parent.mkdir(parents=True, exist_ok=True)
    case = sample_head(SAMPLE_SEED)
    image = case.image
    write_volume(Volume(data=np.rint(image.data), geometry=image.geometry), path)
    if mask is not None:
        write_mask(case.lesions, mask)
    return path
