"""Slices cut from volumes for 2-D training: which ones, and that image and target stay together."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")

from brainmets.domain.case import Case, Source
from brainmets.domain.geometry import Geometry
from brainmets.domain.volume import Volume
from brainmets.training.planes import plane_slices

SHAPE = (60, 70, 80)


def head() -> tuple[Case, np.ndarray]:
    geometry = Geometry.isotropic(SHAPE)
    data = np.full(SHAPE, -1.0, dtype=np.float32)  # air below zero, as in z-scored files
    data[10:50, 10:60, 10:70] = 1.0
    lesion = np.zeros(SHAPE, dtype=np.uint8)
    lesion[20:30, 20:32, 20:34] = 1
    data[lesion == 1] = 3.0
    image = Volume(data=data, geometry=geometry)
    source = Source(format="nifti", sha256="")
    return Case(images={"t1c": image}, geometry=geometry, source=source, case_id="x"), lesion


def test_every_axis_gives_its_slices_with_the_lesion_where_the_image_has_it() -> None:
    case, lesion = head()
    cut = list(plane_slices(case, lesion, each=4))
    assert len(cut) == 12
    for flat, target in cut:
        data = flat.images["t1c"].data
        assert flat.kind == "slices"
        assert data.shape == target.shape == (256, 256, 1)
        assert ((data == 3.0) == (target == 1)).all()
        assert data[0, 0, 0] == -1.0  # the canvas goes on as air
    names = [flat.case_id for flat, _ in cut]
    assert len(set(names)) == 12
    assert names[0] == "x-i20"
    assert names[3] == "x-i29"


def test_fewer_slices_than_asked_for_are_taken_once_and_none_without_lesion() -> None:
    case, lesion = head()
    assert len(list(plane_slices(case, lesion, each=100))) == 10 + 12 + 14
    assert not list(plane_slices(case, np.zeros_like(lesion), each=4))
