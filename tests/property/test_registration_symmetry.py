"""Registration does not know which scan came first."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from brainmets.domain import Geometry, HeadPhantom, RigidMotion
from brainmets.registration import align
from tests.moved_heads import errors_mm, follow_up_of

ANGLE = st.floats(-18.0, 18.0, width=32)
SHIFT = st.floats(-50.0, 50.0, width=32)
VECTOR = st.tuples(ANGLE, ANGLE, ANGLE)


@given(rotation=VECTOR, shift=st.tuples(SHIFT, SHIFT, SHIFT), seed=st.integers(0, 99))
@settings(max_examples=3)
def test_exchanging_the_scans_gives_the_inverse(
    rotation: tuple[float, ...], shift: tuple[float, ...], seed: int
) -> None:
    head, _ = HeadPhantom(seed=seed).render(Geometry.isotropic((70, 84, 78), spacing_mm=2.5))
    truth = RigidMotion.of(rotation_deg=rotation, shift_mm=shift)
    grid = Geometry.isotropic((80, 90, 84), spacing_mm=2.5)
    moved = Geometry(shape=grid.shape, affine=RigidMotion.of(shift_mm=shift).matrix @ grid.affine)
    later = follow_up_of(head, truth, moved, seed=seed)
    there, back = align(head, later), align(later, head)
    assert errors_mm(head, there.motion, back.motion.inverse).max() < 0.1
    assert errors_mm(head, truth, there.motion).max() < 1.0
    again = align(head, later)
    assert np.array_equal(again.motion.matrix, there.motion.matrix)


@given(rotation=VECTOR, shift=st.tuples(SHIFT, SHIFT, SHIFT))
def test_a_motion_and_its_inverse_cancel(
    rotation: tuple[float, ...], shift: tuple[float, ...]
) -> None:
    motion = RigidMotion.of(rotation_deg=rotation, shift_mm=shift, centre_mm=(3.0, -2.0, 50.0))
    points = np.array([(0.0, 0.0, 0.0), (70.0, -40.0, 20.0)])
    assert np.allclose(motion.inverse.apply(motion.apply(points)), points, atol=1e-9)
    assert np.allclose(motion.inverse.after(motion).matrix, np.eye(4), atol=1e-9)
    assert abs(motion.angle_deg - np.linalg.norm(rotation)) < 1e-4
