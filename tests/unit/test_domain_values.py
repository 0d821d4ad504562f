"""Domain values: what a constructor returns is valid, and what it refuses it explains."""

from __future__ import annotations

import numpy as np
import pytest

from brainmets.domain import (
    STAGES,
    Case,
    Geometry,
    HeadPhantom,
    Mask,
    Prediction,
    Provenance,
    Source,
    Volume,
    silent,
)
from brainmets.domain.errors import Dimensions, GridMismatch, SingularAffine

GRID = Geometry.isotropic((4, 5, 6), spacing_mm=2.0)
PROVENANCE = Provenance(
    model="m", model_sha256="0" * 64, code_version="0", engine="e", input_sha256="0" * 64
)


def zeros(geometry: Geometry) -> Volume:
    return Volume(data=np.zeros(geometry.shape, np.float32), geometry=geometry)


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 6, 7), (0, 5, 6), (-1, 5, 6)])
def test_geometry_refuses_what_is_not_three_positive_sizes(shape: tuple[int, ...]) -> None:
    with pytest.raises(Dimensions, match="E_DIMENSIONS"):
        Geometry(shape=shape, affine=np.eye(4))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "affine",
    [np.zeros((4, 4)), np.eye(3), np.full((4, 4), np.nan), np.diag([1.0, 1.0, 0.0, 1.0])],
    ids=["zeros", "3 x 3", "nan", "flat"],
)
def test_geometry_refuses_an_affine_without_inverse(affine: np.ndarray) -> None:
    with pytest.raises(SingularAffine, match="E_AFFINE"):
        Geometry(shape=(4, 5, 6), affine=affine)


def test_geometry_owns_a_frozen_copy_of_its_affine() -> None:
    affine = np.eye(4)
    geometry = Geometry(shape=(4, 5, 6), affine=affine)
    affine[0, 3] = 99.0

    assert geometry.affine[0, 3] == 0.0
    with pytest.raises(ValueError, match="read-only"):
        geometry.affine[0, 3] = 1.0


def test_isotropic_grid_is_ras_and_centred() -> None:
    assert GRID.axis_codes == "RAS"
    assert GRID.spacing_mm == (2.0, 2.0, 2.0)
    assert GRID.voxel_volume_mm3 == pytest.approx(8.0)
    np.testing.assert_allclose(GRID.to_ras_mm([0, 0, 0]), -GRID.to_ras_mm([3, 4, 5]))


def test_sheared_voxels_keep_their_volume() -> None:
    affine = np.eye(4)
    affine[0, 2] = 0.4

    assert Geometry(shape=(4, 5, 6), affine=affine).voxel_volume_mm3 == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("spacing_mm", "axis"), [((1, 1, 1), 2), ((1, 1, 5), 2), ((5, 1, 1), 0), ((1, 1.1, 1), 2)]
)
def test_slice_axis_is_the_coarsest_or_head_to_foot(
    spacing_mm: tuple[float, float, float], axis: int
) -> None:
    assert Geometry(shape=(4, 5, 6), affine=np.diag([*spacing_mm, 1.0])).slice_axis == axis


def test_volume_holds_float32_and_refuses_another_shape() -> None:
    assert Volume(data=np.zeros((4, 5, 6)), geometry=GRID).data.dtype == np.float32  # type: ignore[arg-type]
    with pytest.raises(GridMismatch, match="E_GRID"):
        Volume(data=np.zeros((4, 5, 7), np.float32), geometry=GRID)


def test_mask_counts_its_volume() -> None:
    data = np.zeros((4, 5, 6), bool)
    data[1, 2, 3] = data[0, 0, 0] = True
    mask = Mask(data=data, geometry=GRID)  # type: ignore[arg-type]

    assert mask.data.dtype == np.uint8
    assert mask.volume_mm3 == pytest.approx(16.0)
    np.testing.assert_array_equal(mask.foreground, data)


def test_case_refuses_an_image_on_another_grid_and_none_at_all() -> None:
    source = Source(format="nifti", sha256="0" * 64)
    shifted = GRID.cropped((1, 0, 0), GRID.shape)
    for images in ({}, {"t1c": zeros(shifted)}):
        with pytest.raises(GridMismatch, match="E_GRID"):
            Case(images=images, geometry=GRID, source=source, case_id="x")


def test_prediction_refuses_two_grids() -> None:
    other = GRID.cropped((0, 1, 0), GRID.shape)
    mask = Mask(data=np.zeros(GRID.shape, np.uint8), geometry=GRID)
    with pytest.raises(GridMismatch, match="E_GRID"):
        Prediction(probability=zeros(other), mask=mask, lesions=(), provenance=PROVENANCE)


def test_phantom_numbers_its_lesions_and_repeats_itself() -> None:
    grid = Geometry.isotropic((80, 98, 92), spacing_mm=2.0)
    phantom = HeadPhantom()
    image, mask = phantom.render(grid)
    again, _ = phantom.render(grid)
    other, _ = HeadPhantom(seed=1).render(grid)
    stripped, _ = HeadPhantom(stripped=True).render(grid)

    assert sorted(np.unique(mask.data)) == [0, 1, 2, 3]
    np.testing.assert_array_equal(image.data, again.data)
    assert not np.array_equal(image.data, other.data)
    assert np.count_nonzero(stripped.data) < np.count_nonzero(image.data)


def test_phantom_lesions_are_brighter_than_brain_and_hollow_when_told() -> None:
    image, mask = HeadPhantom(noise=0.0).render(Geometry.isotropic((80, 98, 92), spacing_mm=2.0))
    ring, solid = image.data[mask.data == 1], image.data[mask.data == 2]

    assert ring.min() < solid.min()
    assert solid.min() > np.median(image.data[image.data > 0])


def test_stages_are_told_in_order_to_whoever_listens() -> None:
    assert STAGES == ("read", "prepare", "segment", "measure", "write")
    assert silent("read", 1.0) is None
