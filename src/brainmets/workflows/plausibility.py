"""Whether an image is what it is taken for, told from its values."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from brainmets.preprocessing.background import sample_places

if TYPE_CHECKING:
    from brainmets.domain import Volume

__all__ = ["CT_WARNING", "holds_ct_numbers"]

SAMPLED = 200_000
"""Voxels that shares are taken from."""

CT_AIR = (-1100.0, -900.0)
"""Air in Hounsfield units."""

CT_TISSUE = (0.0, 90.0)
"""Brain and fluid in Hounsfield units."""

CT_BONE = 200.0
"""Bone is brighter than this."""

LEAST_AIR, LEAST_TISSUE, LEAST_BONE = 0.1, 0.02, 0.005
"""Shares of the voxels that a CT scan of a head has of each, at least."""

PADDING = -3100.0
"""Scanners fill what lies outside their field of view with values down to about -3024."""

CT_WARNING = (
    "The values look like CT numbers (air at -1000, soft tissue just above 0): brainmets finds"
    " lesions in MR images only, and what it marks here means nothing."
)


def holds_ct_numbers(volume: Volume) -> bool:
    """Say whether an image is in Hounsfield units: air at -1000, soft tissue just above 0."""
    sample = volume.data.ravel()[sample_places(volume.data.size, SAMPLED)]
    imaged = sample[sample >= CT_AIR[0]]
    if not imaged.size or sample.min() < PADDING:
        return False
    air = np.mean((imaged >= CT_AIR[0]) & (imaged <= CT_AIR[1]))
    tissue = np.mean((imaged >= CT_TISSUE[0]) & (imaged <= CT_TISSUE[1]))
    bone = np.mean(imaged > CT_BONE)
    return bool(air >= LEAST_AIR and tissue >= LEAST_TISSUE and bone >= LEAST_BONE)
