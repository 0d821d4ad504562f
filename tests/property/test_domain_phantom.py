"""The analytic phantom: its lesions have the volume that their radii say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brainmets.domain import Geometry, HeadPhantom, PhantomLesion

radii_mm = st.tuples(*[st.floats(3.0, 12.0)] * 3)
centres_mm = st.tuples(st.floats(-25, 25), st.floats(-30, 30), st.floats(-25, 25))


@settings(max_examples=15)
@given(centres_mm, radii_mm, st.floats(0.6, 1.2))
def test_rendered_volume_is_the_analytic_one(
    centre: tuple[float, float, float], radii: tuple[float, float, float], spacing_mm: float
) -> None:
    lesion = PhantomLesion(centre_ras_mm=centre, radii_mm=radii)
    around = Geometry.isotropic((64, 64, 64), spacing_mm=spacing_mm)
    affine = np.array(around.affine)
    affine[:3, 3] += centre

    _, mask = HeadPhantom(lesions=(lesion,)).render(Geometry(shape=around.shape, affine=affine))

    # A voxelised ellipsoid is off by less than half a voxel's shell on its surface.
    assert mask.volume_mm3 == pytest.approx(lesion.volume_mm3, rel=0.5 * spacing_mm / min(radii))
