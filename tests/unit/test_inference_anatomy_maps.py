"""The brain mask and the structures that users get, on an image's own grid."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from brainmets.domain import Geometry
from brainmets.domain.structures import Structure
from brainmets.inference.anatomy import WITH_FLUID
from tests.heads_with_anatomy import made_anatomy, shares_of


def test_the_brain_mask_holds_the_fluid_around_the_brain() -> None:
    anatomy = made_anatomy()
    found = anatomy.brain_on(anatomy.geometry).data > 0
    np.testing.assert_array_equal(found, np.isin(anatomy.structures, WITH_FLUID))
    assert np.count_nonzero(found) > np.count_nonzero(anatomy.brain)


def test_the_brain_mask_is_one_piece_without_holes() -> None:
    anatomy = made_anatomy()
    whole = anatomy.brain_on(anatomy.geometry).data
    structures = np.array(anatomy.structures)
    x, y, z = (int(n) for n in np.argwhere(structures == Structure.LEFT_DEEP_GREY)[0])
    structures[x : x + 2, y : y + 2, z : z + 2] = Structure.OUTSIDE_BRAIN  # as in a lesion
    structures[:2, :2, :2] = Structure.FLUID  # far away
    spotted = replace(anatomy, structures=structures, shares=shares_of(structures))
    np.testing.assert_array_equal(spotted.brain_on(anatomy.geometry).data, whole)


def test_structures_are_the_likeliest_between_the_network_s_voxels() -> None:
    anatomy = made_anatomy()
    np.testing.assert_array_equal(anatomy.structures_on(anatomy.geometry).data, anatomy.structures)
    affine = np.array(anatomy.geometry.affine)
    affine[:3, :3] /= 2
    x, y, z = anatomy.geometry.shape
    fine = Geometry(shape=(2 * x - 1, 2 * y - 1, 2 * z - 1), affine=affine)
    found = anatomy.structures_on(fine).data
    np.testing.assert_array_equal(found[::2, ::2, ::2], anatomy.structures)
    # a voxel between two of one structure is of that structure
    same = anatomy.structures[1:] == anatomy.structures[:-1]
    np.testing.assert_array_equal(found[1::2, ::2, ::2][same], anatomy.structures[1:][same])
    assert np.array_equal(np.unique(found), np.unique(anatomy.structures))
