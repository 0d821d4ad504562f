"""A head stored in any orientation is read to, and written at, the same place in the patient."""

from __future__ import annotations

from itertools import permutations, product
from typing import TYPE_CHECKING

import nibabel
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nibabel.quaternions import quat2mat

from brainmets.domain import Geometry, HeadPhantom, Mask, Volume
from brainmets.domain.errors import InputError
from brainmets.io import read_case, read_mask, read_volume, write_mask, write_volume
from tests.unit.io_files import nifti_bytes, write_dicom

if TYPE_CHECKING:
    from pathlib import Path

ORIENTATIONS = [
    (axes, flips) for axes in permutations(range(3)) for flips in product((False, True), repeat=3)
]
SAME_MM = 1e-3
"""What float32 header fields keep of positions within half a metre."""

TURN = np.array([[0.96, -0.28, 0.0], [0.28, 0.96, 0.0], [0.0, 0.0, 1.0]])


@pytest.fixture(scope="module")
def head() -> tuple[Volume, Mask]:
    affine = np.eye(4)
    affine[:3, :3] = TURN @ np.diag([5.0, 6.0, 7.0])
    affine[:3, 3] = (-60.0, -110.0, -65.0)
    return HeadPhantom().render(Geometry(shape=(30, 34, 20), affine=affine))


def _turned(
    data: np.ndarray, grid: Geometry, axes: tuple[int, int, int], flips: tuple[bool, bool, bool]
) -> tuple[np.ndarray, Geometry]:
    turned = np.flip(data.transpose(axes), [axis for axis in range(3) if flips[axis]])
    return np.ascontiguousarray(turned), grid.permuted(axes, flips)


def _same_place(found: Volume | Mask, meant: Volume | Mask) -> bool:
    """Whether every voxel of `meant` is found at its own millimetres, with its own value."""
    ijk = np.stack(np.unravel_index(np.arange(meant.data.size), meant.data.shape), axis=-1)
    there = found.geometry.to_voxel(meant.geometry.to_ras_mm(ijk))
    nearest = np.rint(there).astype(int)
    exact = np.abs(there - nearest).max() < SAME_MM
    return bool(exact) and np.array_equal(found.data[tuple(nearest.T)], meant.data.ravel())


@pytest.mark.parametrize(("axes", "flips"), ORIENTATIONS)
def test_all_48_orientations_give_the_same_physical_mask(
    tmp_path: Path,
    head: tuple[Volume, Mask],
    axes: tuple[int, int, int],
    flips: tuple[bool, bool, bool],
) -> None:
    image, mask = head
    data, grid = _turned(image.data, image.geometry, axes, flips)
    labels, _ = _turned(mask.data, mask.geometry, axes, flips)
    foreign = tmp_path / "foreign.nii.gz"
    nibabel.save(nibabel.Nifti1Image(data, grid.affine), foreign)
    assert _same_place(read_case(foreign).images["t1c"], image)

    ours = write_mask(Mask(data=labels, geometry=grid), tmp_path / "ours.nii.gz")
    assert _same_place(read_mask(ours), mask)
    seen = nibabel.load(ours)
    assert np.allclose(seen.affine, grid.affine, atol=SAME_MM)
    assert np.allclose(seen.get_qform(), grid.affine, atol=SAME_MM)
    assert np.array_equal(np.asarray(seen.dataobj), labels)


@pytest.mark.parametrize("sign", [1, -1])
def test_dicom_in_all_orientations(tmp_path: Path, head: tuple[Volume, Mask], sign: int) -> None:
    image, _ = head
    whole = Volume(data=np.rint(image.data), geometry=image.geometry)
    for axes, flips in ORIENTATIONS:
        data, grid = _turned(whole.data, whole.geometry, axes, flips)
        if np.sign(np.linalg.det(grid.affine[:3, :3])) != sign or axes[2] == 0:
            continue  # slices along each axis but one suffice, each with both hands
        folder = tmp_path / f"{axes}{flips}"
        write_dicom(folder, Volume(data=data, geometry=grid))
        assert _same_place(read_case(folder).images["t1c"], whole)


@st.composite
def grids(draw: st.DrawFn) -> Geometry:
    """Rigid grids of any rotation, hand and spacing."""
    part = st.floats(-1, 1, allow_nan=False)
    quaternion = np.array(draw(st.tuples(part, part, part, part)))
    norm = np.linalg.norm(quaternion)
    rotation = quat2mat(quaternion / norm) if norm > 0.1 else np.eye(3)
    mm = st.floats(0.3, 8.0)
    affine = np.eye(4)
    affine[:3, :3] = rotation @ np.diag(draw(st.tuples(mm, mm, mm)))
    affine[:3, 0] *= draw(st.sampled_from([1.0, -1.0]))
    affine[:3, 3] = draw(st.tuples(*[st.floats(-200, 200)] * 3))
    side = st.integers(3, 6)
    return Geometry(shape=draw(st.tuples(side, side, side)), affine=affine)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(grid=grids(), seed=st.integers(0, 99), version=st.sampled_from([1, 2]), swap=st.booleans())
def test_read_agrees_with_nibabel_and_write_with_both(
    tmp_path: Path, grid: Geometry, seed: int, version: int, swap: bool
) -> None:
    data = np.random.default_rng(seed).normal(size=grid.shape).astype("<f4")
    kind = nibabel.Nifti1Image if version == 1 else nibabel.Nifti2Image
    image = kind(data, grid.affine)
    image.set_qform(grid.affine, code=1)
    image.set_sform(None, code=0)
    if swap:
        image = kind(data.astype(">f4"), None, image.header.as_byteswapped(">"))
    foreign = tmp_path / "foreign.nii"
    foreign.write_bytes(image.to_bytes())
    found = read_volume(foreign)
    assert np.array_equal(found.data, data)
    assert np.allclose(found.geometry.affine, nibabel.load(foreign).affine, atol=1e-5)
    assert found.geometry.same_grid(grid, tolerance_mm=5e-3)  # a quaternion in float32

    ours = write_volume(Volume(data=data, geometry=grid), tmp_path / "ours.nii.gz")
    assert read_volume(ours).geometry.same_grid(grid, tolerance_mm=SAME_MM)
    seen = nibabel.load(ours)
    assert np.allclose(seen.affine, grid.affine, atol=SAME_MM)
    assert np.allclose(seen.get_qform(), grid.affine, atol=5e-3)
    assert np.array_equal(np.asarray(seen.dataobj), data)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, 351), value=st.integers(0, 255), more=st.binary(max_size=3))
def test_no_header_byte_makes_anything_but_an_input_error(
    tmp_path: Path, at: int, value: int, more: bytes
) -> None:
    raw = nifti_bytes(np.arange(125, dtype="<i2").reshape(5, 5, 5))
    raw[at : at + 1 + len(more)] = bytes([value]) + more
    path = tmp_path / "a.nii"
    path.write_bytes(raw)
    try:
        case = read_case(path)
    except InputError:
        return
    assert np.isfinite(case.images["t1c"].data).all()
