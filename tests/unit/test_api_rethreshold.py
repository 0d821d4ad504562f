"""The slider's lesions are the result's own where the operating point is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from brainmets.api.rethreshold import lesions_at, operating_point
from brainmets.api.schemas import JobOptions
from brainmets.api.segmenting import run_job, segment
from brainmets.domain import Geometry, HeadPhantom, Volume, silent
from brainmets.inference import OperatingPoint
from brainmets.io import write_volume
from tests.bundles import random_bundle

if TYPE_CHECKING:
    from pathlib import Path

POINT = OperatingPoint(threshold=0.55, peak=0.6, min_volume_mm3=40.0)


@pytest.mark.parametrize("origin_x_mm", [-300.0, 300.0])
def test_no_lesion_changes_sides_under_the_slider(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, origin_x_mm: float
) -> None:
    random_bundle(tmp_path / "models" / "near", dims=3, widths=(4, 8), point=POINT, seed=3)
    monkeypatch.setenv("BRAINMETS_MODELS", str(tmp_path / "models"))
    image, _ = HeadPhantom().render(Geometry.isotropic((44, 52, 40), spacing_mm=4.0))
    affine = np.array(image.geometry.affine)
    affine[0, 3] += origin_x_mm  # the head lies wholly on one side of the origin
    moved = Volume(data=image.data, geometry=Geometry(shape=image.geometry.shape, affine=affine))
    job = tmp_path / "jobs" / "one"
    (job / "input").mkdir(parents=True)
    write_volume(moved, job / "input" / "0.nii.gz")
    result = run_job(job, JobOptions(model="near"), segment, silent)
    own = operating_point(result, threshold=None, peak=None, min_volume_mm3=None)
    _, _, again = lesions_at(job / "view", own, result)
    assert {"left", "right"} <= {lesion.side for lesion in result.lesions}
    assert [(x.id, x.side, x.voxels) for x in again] == [
        (x.id, x.side, x.voxels) for x in result.lesions
    ]
