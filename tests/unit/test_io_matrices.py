"""Two matrices of one NIfTI header: both are kept in every mask, what differs is said or refused.

120 headers: ten sforms, each under four codes, beside a qform under three.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np
import pytest

from brainmets.domain import Mask
from brainmets.domain.errors import NoOrientation, Spacing
from brainmets.io import read_case, write_mask

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

BASE = np.diag([-2.0, 2, 3, 1])
BASE[:3, 3] = (18, -20, -25)


def turned(degrees: float) -> NDArray[np.float64]:
    turn = np.eye(4)
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    turn[1:3, 1:3] = [[c, -s], [s, c]]
    return turn @ BASE


def moved(mm: float) -> NDArray[np.float64]:
    other = BASE.copy()
    other[0, 3] += mm
    return other


SHEAR = np.eye(4)
SHEAR[0, 1] = 0.1
SFORMS = {
    "equal": BASE,
    "0.1 µm off": moved(1e-4),
    "5 mm off": moved(5.0),
    "turned by 10 degrees": turned(10),
    "2 % larger": BASE @ np.diag([1.02, 1.02, 1.02, 1]),
    "10 % larger": BASE @ np.diag([1.1, 1.1, 1.1, 1]),
    "mirrored": np.diag([-1.0, 1, 1, 1]) @ BASE,
    "turned by half": np.diag([1.0, -1, -1, 1]) @ BASE,
    "sheared": BASE @ SHEAR,
    "axes exchanged": np.array([[0, 0, 3.0, -20], [-2, 0, 0, 10], [0, 2, 0, 5], [0, 0, 0, 1]]),
}


@pytest.mark.parametrize("qform_code", [0, 1, 3])
@pytest.mark.parametrize("sform_code", [0, 1, 2, 4])
@pytest.mark.parametrize("name", SFORMS)
def test_a_mask_has_both_matrices_and_codes_of_its_image(
    tmp_path: Path, name: str, sform_code: int, qform_code: int
) -> None:
    data = np.random.default_rng(0).integers(0, 900, (8, 9, 7)).astype(np.int16)
    image = nib.Nifti1Image(data, None)
    image.set_sform(SFORMS[name], sform_code)
    image.set_qform(BASE, qform_code)
    path = tmp_path / "a.nii"
    image.to_filename(path)
    if not sform_code and not qform_code:
        with pytest.raises(NoOrientation):
            read_case(path)
        return
    if name == "10 % larger" and sform_code:
        with pytest.raises(Spacing, match="pixdim"):
            read_case(path)
        return
    if name == "mirrored" and sform_code and qform_code:
        with pytest.raises(NoOrientation, match="mirror each other"):
            read_case(path)
        return
    case = read_case(path)
    mask = np.zeros(data.shape, np.uint8)
    mask[2:5, 3:6, 2:4] = 1
    write_mask(Mask(data=mask, geometry=case.geometry), tmp_path / "m.nii.gz")
    before, after = (nib.load(tmp_path / file).header for file in ("a.nii", "m.nii.gz"))
    for matrix in ("get_sform", "get_qform"):
        meant, code = getattr(before, matrix)(coded=True)
        found, other = getattr(after, matrix)(coded=True)
        assert code == other
        assert not code or np.allclose(meant, found, atol=1e-3)
    assert np.allclose(case.geometry.affine, nib.load(path).affine, atol=1e-3)
    differ = bool(sform_code and qform_code) and name not in {"equal", "0.1 µm off"}
    assert bool(case.source.notes) == differ
