"""Lesions put into scans: where tissue is, as bright as the scan's own blood, on its own grid."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy import ndimage

from brainmets.domain import Geometry, Mask, Volume
from brainmets.domain.errors import ConstantImage, GridMismatch
from brainmets.io import read_mask, read_volume
from brainmets.synthesis import Scan, SynthesisConfig, insert_lesions, synthesize_head
from tests.unit.synthesis_mini import CLEAN, mini_anatomy

SIZES = SynthesisConfig(diameters_mm=(2.5, 4.0, 7.0, 11.0))

if TYPE_CHECKING:
    from pathlib import Path


def _scan(*, stripped: bool) -> tuple[Volume, Mask]:
    config = CLEAN.model_copy(
        update={"stripped_share": float(stripped), "diameters_mm": (9.0,), "noise": (0.03, 0.03)}
    )
    case = synthesize_head(mini_anatomy(), config, 1)
    return case.image, Mask(
        data=case.lesions.foreground.astype(np.uint8), geometry=case.image.geometry
    )


def test_insertion_changes_only_the_neighbourhood_of_lesions() -> None:
    image, existing = _scan(stripped=True)
    case = insert_lesions(image, existing, SIZES, 3)
    assert case.image.geometry.same_grid(image.geometry)
    assert len(case.placed) >= 3
    changed = case.image.data != image.data
    near = ndimage.binary_dilation(case.classes.foreground, iterations=14)
    assert np.count_nonzero(changed & ~near) == 0
    assert np.all(case.image.data[image.data == 0] == 0)
    assert np.array_equal(case.image.data[existing.foreground], image.data[existing.foreground])
    own = case.lesions.data[existing.foreground]
    assert set(np.unique(own)) == {1}
    ids = {lesion.id for lesion in case.placed}
    assert ids | {1} == set(np.unique(case.lesions.data)) - {0}
    for lesion in case.placed:
        mask = case.lesions.data == lesion.id
        assert np.count_nonzero(mask) == lesion.voxels
        assert np.all(image.data[mask] > 0)


def test_the_same_seed_inserts_the_same_and_a_measured_scan_serves_twice() -> None:
    image, existing = _scan(stripped=True)
    first = insert_lesions(image, existing, SIZES, 3)
    scan = Scan.of(image, existing)
    for _ in range(2):
        again = insert_lesions(scan, None, SIZES, 3)
        assert np.array_equal(first.image.data, again.image.data)
        assert np.array_equal(first.lesions.data, again.lesions.data)
    assert insert_lesions(scan, None, SIZES, 4).placed != first.placed


def test_anisotropic_and_shifted_scans_take_lesions() -> None:
    image, _ = _scan(stripped=True)
    thick = image.data[:, :, : image.data.shape[2] // 3 * 3]
    thick = thick.reshape(*thick.shape[:2], -1, 3).mean(axis=3)
    affine = np.array(image.geometry.affine)
    affine[:3, 2] *= 3
    geometry = Geometry(shape=thick.shape, affine=affine)
    scaled = Volume(data=thick - 5.0, geometry=geometry)  # background below zero, as z-scored
    case = insert_lesions(scaled, None, SIZES, 1)
    assert len(case.placed) >= 2
    for lesion in case.placed:
        wanted = np.pi / 6 * lesion.diameter_mm**3
        assert lesion.volume_mm3 == pytest.approx(wanted, abs=geometry.voxel_volume_mm3)


def test_grids_that_differ_and_images_without_brain_are_refused() -> None:
    image, existing = _scan(stripped=True)
    moved = Mask(
        data=existing.data[1:],
        geometry=existing.geometry.cropped((1, 0, 0), existing.data[1:].shape),
    )
    with pytest.raises(GridMismatch):
        insert_lesions(image, moved, SIZES, 0)
    empty = Volume(
        data=np.zeros((30, 30, 30), np.float32), geometry=Geometry.isotropic((30, 30, 30))
    )
    with pytest.raises(ConstantImage):
        insert_lesions(empty, None, SIZES, 0)


def test_a_real_scan_takes_lesions(data_dir: Path) -> None:
    folder = data_dir / "gliomas" / "BraTS2021_00006"
    if not folder.is_dir():
        pytest.skip(f"no {folder.name} in {os.fspath(data_dir.name)}")
    image = read_volume(next(folder.glob("*t1ce*")))
    mask = read_mask(next(folder.glob("*seg*")))
    core = Mask(data=np.isin(mask.data, (1, 4)).astype(np.uint8), geometry=mask.geometry)
    case = insert_lesions(image, core, SIZES, 0)
    assert len(case.placed) == 4
    brightest = case.placed[0]
    inside = case.image.data[case.lesions.data == brightest.id]
    assert np.percentile(inside, 90) > np.median(image.data[image.data > 0])
    assert np.all(case.lesions.data[core.foreground] > 0)
