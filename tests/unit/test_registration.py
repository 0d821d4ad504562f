"""Rigid registration: known motions are found, other patients are refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from brainmets.domain import Geometry, HeadPhantom, RigidMotion, Volume
from brainmets.domain.errors import Mirrored, NotAligned, SingularAffine
from brainmets.io import read_case
from brainmets.registration import align
from tests.moved_heads import errors_mm, follow_up_of

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

FEW_MM, NONE_MM = 0.5, 1.0
"""What the median over scans may be off, and what no point of any."""


@pytest.fixture(scope="module")
def head() -> Volume:
    geometry = Geometry.isotropic((110, 130, 116), spacing_mm=1.6)
    return HeadPhantom(noise=0.02).render(geometry)[0]


def test_a_turned_head_on_another_grid_is_found(head: Volume) -> None:
    truth = RigidMotion.of(rotation_deg=(14.0, -5.0, 11.0), shift_mm=(40.0, -25.0, 60.0))
    axes = np.array([[0.0, 0.0, -3.0], [-1.2, 0.0, 0.0], [0.0, 1.2, 0.0]])  # sagittal, 3 mm
    affine = np.eye(4)
    affine[:3, :3] = axes
    affine[:3, 3] = truth.apply((0.0, 0.0, 0.0)) - axes @ (np.array((170, 160, 64)) - 1) / 2
    geometry = Geometry(shape=(170, 160, 64), affine=affine)
    stained = follow_up_of(head, truth, geometry, seed=3)
    found = align(head, stained)
    error = errors_mm(head, truth, found.motion)
    assert np.median(error) < FEW_MM
    assert error.max() < NONE_MM
    assert found.shared > 0.9
    assert not found.doubtful


def test_real_stripped_heads_are_found(data_dir: Path) -> None:
    names = ("BraTS2021_01483", "Brats18_TCIA05_396_1", "BraTS2021_00006")
    errors = [
        _error_on_thick_slices(data_dir / "gliomas" / name, n) for n, name in enumerate(names)
    ]
    assert max(error.max() for error in errors) < NONE_MM
    assert np.median([np.median(error) for error in errors]) < FEW_MM


def _error_on_thick_slices(folder: Path, seed: int) -> NDArray[np.float64]:
    """Move a head, cut it into the thick axial slices of most follow-ups, and find it."""
    image = read_case(next(folder.glob("*t1ce*"))).images["t1c"]
    middle = image.geometry.to_ras_mm((np.array(image.geometry.shape) - 1) / 2)
    truth = RigidMotion.of(
        rotation_deg=(-17.0, 8.0, 12.0), shift_mm=(20.0, 30.0, -40.0), centre_mm=middle
    )
    affine = np.diag((-0.9, -0.9, 4.0, 1.0))
    affine[:3, 3] = truth.apply(middle) - affine[:3, :3] @ (259 / 2, 259 / 2, 55 / 2)
    later = follow_up_of(image, truth, Geometry(shape=(260, 260, 56), affine=affine), seed=seed)
    return errors_mm(image, truth, align(image, later).motion)


@pytest.mark.parametrize("name", ["BraTS2021_01483", "BraTS2021_00006"])
def test_a_mirrored_head_is_refused(data_dir: Path, name: str) -> None:
    folder = data_dir / "gliomas" / name
    image = read_case(next(folder.glob("*t1ce*"))).images["t1c"]
    turn = RigidMotion.of(rotation_deg=(5.0, 3.0, -6.0), shift_mm=(4.0, -3.0, 6.0))
    later = follow_up_of(image, turn, image.geometry, seed=1)
    assert not align(image, later).doubtful
    mirrored = Volume(data=np.ascontiguousarray(later.data[::-1]), geometry=later.geometry)
    with pytest.raises(Mirrored, match="mirror image"):
        align(image, mirrored)


def test_another_patient_is_refused(data_dir: Path) -> None:
    one, two = (
        read_case(next((data_dir / "gliomas" / name).glob("*t1ce*"))).images["t1c"]
        for name in ("BraTS2021_01478", "BraTS2021_01481")
    )
    with pytest.raises(NotAligned, match="same patient"):
        align(one, two)


def test_a_head_whose_scans_share_nothing_is_refused(head: Volume) -> None:
    rng = np.random.default_rng(4)
    noise = Volume(
        data=rng.normal(100.0, 20.0, head.data.shape).astype(np.float32), geometry=head.geometry
    )
    with pytest.raises(NotAligned, match="E_REGISTRATION"):
        align(head, noise)


def test_a_stretched_matrix_is_no_motion() -> None:
    with pytest.raises(SingularAffine):
        RigidMotion(matrix=np.diag((1.1, 1.0, 1.0, 1.0)))
    with pytest.raises(SingularAffine):
        RigidMotion(matrix=np.diag((-1.0, 1.0, 1.0, 1.0)))
