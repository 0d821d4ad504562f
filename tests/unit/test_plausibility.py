"""CT is recognised by its numbers; no MR image is taken for CT."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from brainmets.domain import Geometry, Volume
from brainmets.domain.errors import NotBrainMr
from brainmets.io import write_volume
from brainmets.workflows.plausibility import CT_WARNING, holds_ct_numbers
from brainmets.workflows.segment import SegmentOptions, segment
from tests.heads_with_anatomy import made_anatomy

if TYPE_CHECKING:
    from pathlib import Path


def painted(fluid: float, brain: float, bone: float, air: float, noise: float) -> Volume:
    """Return a made-up head with these values and noise."""
    anatomy = made_anatomy()
    data = np.full(anatomy.structures.shape, air, dtype=np.float32)
    data[anatomy.structures == 1] = bone
    data[anatomy.structures == 2] = fluid
    data[anatomy.brain] = brain
    data += noise * np.random.default_rng(1).standard_normal(data.shape, dtype=np.float32)
    return Volume(data=data, geometry=anatomy.geometry)


@pytest.mark.parametrize("noise", [2.0, 15.0])
@pytest.mark.parametrize("padding", [None, -1024.0, -2000.0, -3024.0])
def test_ct_is_recognised_whatever_fills_the_corners(noise: float, padding: float | None) -> None:
    volume = painted(10, 35, 900, -1000, noise)
    if padding is not None:
        volume.data[:8] = padding
    assert holds_ct_numbers(volume)


@pytest.mark.parametrize("contrast", [(150, 700, 900), (900, 400, 300), (0.1, 1.0, 1.4)])
@pytest.mark.parametrize("background", [0.0, -1.0, -1000.0, -5000.0])
def test_no_mr_image_is_taken_for_ct(
    contrast: tuple[float, float, float], background: float
) -> None:
    low, middle, high = contrast
    assert not holds_ct_numbers(painted(low, middle, high, background, 0.02 * middle))


def test_standardised_mr_images_are_not_taken_for_ct() -> None:
    data = painted(150, 700, 900, 0, 10).data
    scaled = (data - data.mean()) / data.std()
    geometry = Geometry(shape=data.shape, affine=np.diag((2.0, 2.0, 2.0, 1.0)))
    for factor in (1.0, 100.0, 1000.0):
        image = Volume(data=(scaled * factor).astype(np.float32), geometry=geometry)
        assert not holds_ct_numbers(image)


def test_ct_is_refused_and_segmented_by_force(tmp_path: Path) -> None:
    write_volume(painted(10, 35, 900, -1000, 2.0), tmp_path / "ct.nii.gz")
    with pytest.raises(NotBrainMr, match="E_NOT_BRAIN_MR: The values look like CT numbers"):
        segment(tmp_path / "ct.nii.gz", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    forced = segment(tmp_path / "ct.nii.gz", tmp_path / "out", SegmentOptions(force=True))
    assert CT_WARNING in forced.report.warnings
