"""Both matrices of a NIfTI header: carried into every output, and told where they contradict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import nibabel
import numpy as np
import pytest

from brainmets.api.display import load_probability, save_view
from brainmets.domain import Mask, Prediction, Report, Volume
from brainmets.domain.errors import NoOrientation, Spacing
from brainmets.io import read_case, read_mask, write_mask, write_volume
from brainmets.preprocessing import Plan
from brainmets.reporting.stored import read_result
from brainmets.workflows.export import ExportOptions, export
from brainmets.workflows.measure_mask import MeasureMaskOptions, measure_mask
from tests.unit.io_files import head, nifti, oblique_affine

if TYPE_CHECKING:
    from pathlib import Path

FIELDS = (
    "qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y",
    "qoffset_z", "srow_x", "srow_y", "srow_z", "xyzt_units",
)  # fmt: skip
VOXELS = np.rint(head().data).astype(np.int16)


def turned(degrees: float) -> np.ndarray:
    """The phantom's grid, rotated about z."""
    a = np.deg2rad(degrees)
    turn = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag([-5.0, -5.0, 9.0])
    affine[:3, 3] = (97.0, 118.0, -85.0)
    return affine


def scaled(factor: float) -> np.ndarray:
    """The phantom's grid in another unit."""
    affine = turned(0)
    affine[:3] *= factor
    return affine


def scan(
    path: Path,
    sform: np.ndarray | None,
    qform: np.ndarray | None,
    *,
    codes: tuple[int, int] = (1, 2),
    version: int = 1,
    **fields: Any,
) -> Path:
    """An image with these matrices; `codes` of the qform and of the sform."""
    kind = nibabel.Nifti1Image if version == 1 else nibabel.Nifti2Image
    image = kind(VOXELS, None)
    image.header.set_xyzt_units("mm", "sec")
    image.header.set_qform(sform if qform is None else qform, 0 if qform is None else codes[0])
    image.header.set_sform(sform, codes[1] if sform is not None else 0)
    raw = bytearray(image.to_bytes())
    header = image.header.copy()
    header["vox_offset"] = header.sizeof_hdr + 4
    for name, value in fields.items():
        header[name] = value
    raw[: header.sizeof_hdr] = header.binaryblock
    path.write_bytes(raw)
    return path


def shear() -> np.ndarray:
    affine = turned(0)
    affine[:3, 1] += 0.1 * affine[:3, 0]
    return affine


HEADERS = {
    "sform 2, qform 1, 12 degrees apart": {"sform": turned(12), "qform": turned(0)},
    "sform 1, qform 2": {"sform": turned(0), "qform": turned(-7), "codes": (2, 1)},
    "sform 4, qform 1, shifted": {
        "sform": turned(0) + np.outer((1, 1, 1, 0), (0, 0, 0, 9.0)),
        "qform": turned(0),
        "codes": (1, 4),
    },
    "alike": {"sform": turned(3), "qform": turned(3), "codes": (1, 1)},
    "only qform": {"sform": None, "qform": oblique_affine()},
    "only sform": {"sform": oblique_affine(), "qform": None, "codes": (0, 2)},
    "only sform, sheared": {"sform": shear(), "qform": None, "codes": (0, 3)},
    "no unit": {"sform": turned(3), "qform": turned(3), "xyzt_units": 0},
    "NIfTI-2": {"sform": turned(12), "qform": turned(0), "version": 2},
}


NEGATIVE = np.array([1.0, -5, 5, 9, 1, 1, 1, 1])

ODD: dict[str, dict[str, Any]] = {
    "sform 1.35 times as large as pixdim": {
        "sform": turned(0) @ np.diag([1.105, 1.105, 1.105, 1.0]),
        "qform": turned(0),
        "codes": (1, 4),
    },
    "negative voxel size, qform alone": {
        "sform": None, "qform": turned(0), "pixdim": NEGATIVE,
    },
    "negative voxel size next to an sform": {
        "sform": turned(0), "qform": turned(0), "pixdim": NEGATIVE,
    },
    "metres": {"sform": scaled(0.001), "qform": scaled(0.001), "xyzt_units": 1},
    "micrometres": {"sform": scaled(1000.0), "qform": scaled(1000.0), "xyzt_units": 3},
    "millimetres called metres": {"sform": turned(0), "qform": turned(0), "xyzt_units": 1},
    "metres called millimetres": {"sform": scaled(0.001), "qform": scaled(0.001)},
}  # fmt: skip
"""What the tests below try one by one, for the page on conformance."""


def assert_placed_as(given: Any, output: Path) -> None:
    """Both matrices, their codes and the unit of a file are those of the image."""
    found: Any = nibabel.load(output).header  # pyright: ignore[reportPrivateImportUsage]
    for field in FIELDS:
        assert np.array_equal(np.float32(found[field]), np.float32(given[field])), field
    assert np.array_equal(found["pixdim"][:4], np.float32(given["pixdim"][:4]))


@pytest.mark.parametrize("name", HEADERS)
def test_exports_and_reviews_carry_them_too(name: str, tmp_path: Path) -> None:
    path = scan(tmp_path / "t1c.nii", **HEADERS[name])  # pyright: ignore[reportArgumentType]
    given = nibabel.load(path).header  # pyright: ignore[reportPrivateImportUsage]
    case = read_case(path)
    drawn = np.zeros(case.geometry.shape, np.uint8)
    drawn[8:12, 8:12, 5:8] = 1
    mask = write_mask(Mask(data=drawn, geometry=case.geometry), tmp_path / "drawn.nii.gz")
    measure_mask(path, mask, MeasureMaskOptions(out=tmp_path / "result"))
    options = ExportOptions(formats=("nifti",))
    assert_placed_as(given, export(tmp_path / "result", tmp_path / "e", options).files["nifti"])
    result = read_result(tmp_path / "result")
    probability = Volume(data=drawn.astype(np.float32), geometry=case.geometry)
    prediction = Prediction(
        probability=probability,
        mask=result.mask,
        lesions=result.lesions,
        provenance=result.provenance,
    )
    (tmp_path / "view").mkdir()
    save_view(Report(case=case, prediction=prediction), tmp_path / "view")
    reviewed = Mask(data=drawn, geometry=load_probability(tmp_path / "view").geometry)
    assert_placed_as(given, write_mask(reviewed, tmp_path / "mask-reviewed.nii.gz"))


@pytest.mark.parametrize("name", HEADERS)
def test_every_output_carries_both_matrices_and_codes(name: str, tmp_path: Path) -> None:
    path = scan(tmp_path / "t1c.nii", **HEADERS[name])  # pyright: ignore[reportArgumentType]
    given = nibabel.load(path).header  # pyright: ignore[reportPrivateImportUsage]
    case = read_case(path)
    plan = Plan(spacing_mm=6.0, clahe=None)
    prepared = plan.apply(case)
    probability = prepared.to_native((prepared.data[0] > 1.5).astype(np.float32))
    mask = Mask(data=(probability.data > 0.5).astype(np.uint8), geometry=probability.geometry)
    outputs = [
        write_mask(mask, tmp_path / "mask.nii.gz", comment="phantom"),
        write_volume(probability, tmp_path / "p.nii.gz"),
        write_volume(probability, tmp_path / "p8.nii", encoding="uint8"),
    ]
    outputs.append(write_mask(read_mask(outputs[0]), tmp_path / "reviewed.nii.gz"))
    for output in outputs:
        assert_placed_as(given, output)
    assert int(nibabel.load(outputs[0]).header["intent_code"]) == 1002  # pyright: ignore[reportPrivateImportUsage]


@pytest.mark.parametrize(
    ("degrees", "told"), [(0.0, False), (0.01, False), (2.0, True), (12.0, True), (90.0, True)]
)
def test_contradictions_are_told(degrees: float, told: bool, tmp_path: Path) -> None:
    notes = read_case(scan(tmp_path / "t1c.nii", turned(degrees), turned(0))).source.notes
    assert any("sform and qform" in note for note in notes) == told


@pytest.mark.parametrize("factor", [1.04, 0.97])
def test_a_voxel_size_within_rounding_is_read(factor: float, tmp_path: Path) -> None:
    sform = turned(0) @ np.diag([factor, 1, 1, 1])
    assert read_case(scan(tmp_path / "t1c.nii", sform, turned(0))).images


@pytest.mark.parametrize("scale", [(1.105, 1.105, 1.105), (1.2, 1, 1), (0.8, 1.25, 1)])
@pytest.mark.parametrize("codes", [(1, 2), (1, 4), (0, 4)])
def test_an_sform_of_another_size_is_refused(
    scale: tuple[float, ...], codes: tuple[int, int], tmp_path: Path
) -> None:
    """Scaled to a template while pixdim keeps the scanner's size: volumes would be off by 1.35."""
    path = scan(tmp_path / "t1c.nii", turned(0) @ np.diag([*scale, 1.0]), turned(0), codes=codes)
    with pytest.raises(Spacing, match="sform and its pixdim"):
        read_case(path)


@pytest.mark.parametrize("axis", [1, 2, 3])
def test_negative_voxel_sizes(axis: int, tmp_path: Path) -> None:
    sizes = np.array([1.0, 5, 5, 9, 1, 1, 1, 1])
    sizes[axis] *= -1
    with pytest.raises(NoOrientation, match="negative voxel size"):
        read_case(scan(tmp_path / "a.nii", None, turned(0), pixdim=sizes))
    case = read_case(scan(tmp_path / "b.nii", turned(0), turned(0), pixdim=sizes))
    assert any("negative voxel size" in note for note in case.source.notes)
    assert np.allclose(case.geometry.affine, turned(0))


@pytest.mark.parametrize(("code", "factor"), [(1, 0.001), (3, 1000.0), (0, 1.0), (2, 1.0)])
def test_units(code: int, factor: float, tmp_path: Path) -> None:
    """Metres and micrometres are read as such, and results stay in the image's unit."""
    affine = turned(4)
    affine[:3] *= factor
    path = scan(tmp_path / "t1c.nii", affine, affine, codes=(1, 1), xyzt_units=code)
    case = read_case(path)
    assert np.allclose(case.geometry.affine, turned(4), atol=1e-3)
    assert bool(case.source.notes) == (factor != 1.0)
    mask = write_mask(Mask(data=VOXELS > 900, geometry=case.geometry), tmp_path / "m.nii.gz")  # pyright: ignore[reportArgumentType]
    written: Any = nibabel.load(mask)  # pyright: ignore[reportPrivateImportUsage]
    assert np.allclose(written.affine, affine, rtol=1e-5)
    assert int(written.header["xyzt_units"]) == code


def test_a_unit_that_contradicts_the_sizes(tmp_path: Path) -> None:
    case = read_case(scan(tmp_path / "a.nii", turned(0), turned(0), xyzt_units=1))
    assert np.allclose(case.geometry.affine, turned(0))
    assert "metres" in case.source.notes[0]
    with pytest.raises(Spacing, match="xyzt_units"):
        read_case(nifti(tmp_path / "b.nii", VOXELS, np.diag([-0.005, -0.005, 0.009, 1.0])))
