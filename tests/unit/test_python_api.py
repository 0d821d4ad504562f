"""`import brainmets`: the same mask from every kind of input, and errors that say what to do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813 - as its users write it
import torch
from PIL import Image

import brainmets
from brainmets.domain import RESEARCH_USE_ONLY, Geometry, HeadPhantom
from brainmets.domain.errors import EngineMissing, OptionError, UnknownModel
from brainmets.inference import OperatingPoint
from brainmets.io import write_volume
from tests.bundles import random_bundle

if TYPE_CHECKING:
    from numpy.typing import NDArray

MODEL = "small"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    point = OperatingPoint(threshold=0.55, peak=0.6, min_volume_mm3=40.0)
    folder = tmp_path_factory.mktemp("models") / MODEL
    random_bundle(folder, widths=(4, 8), point=point, seed=26)  # marks places in the brain too
    return folder


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An oblique, anisotropic head whose axes run neither as RAS nor as LPS."""
    grid = Geometry.isotropic((52, 60, 30), spacing_mm=3.4).permuted((1, 0, 2), (True, False, True))
    affine = np.array(grid.affine)
    affine[:3, 2] *= 1.7
    turn, tilt = np.deg2rad((9.0, 5.0))
    around_z = [[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]]
    around_x = [[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]]
    affine[:3] = np.array(around_z) @ np.array(around_x) @ affine[:3]
    image, _ = HeadPhantom().render(Geometry(shape=grid.shape, affine=affine))
    return write_volume(image, tmp_path_factory.mktemp("scan") / "scan.nii.gz")


@pytest.fixture(scope="module")
def expected(model: Path, scan: Path) -> brainmets.Segmentation:
    found = brainmets.segment(scan, model=model)
    assert len(found) > 1
    return found


def head() -> NDArray[np.float32]:
    image, _ = HeadPhantom().render(Geometry.isotropic((40, 48, 44), spacing_mm=4.0))
    return image.data


def test_a_file_gives_the_mask_of_the_command(
    model: Path, scan: Path, expected: brainmets.Segmentation, tmp_path: Path
) -> None:
    command = [
        str(Path(sys.executable).parent / "brainmets"),
        "segment",
        str(scan),
        "--model",
        str(model),
        "--probability",
    ]
    subprocess.run([*command, "--out", str(tmp_path / "cli")], check=True, capture_output=True)
    files = expected.save(tmp_path / "python", probability=True)

    written: Any = nib.load(tmp_path / "cli" / "mask.nii.gz")
    assert np.array_equal(np.asarray(written.dataobj), expected.mask)
    assert np.allclose(written.affine, expected.affine)
    for name in ("mask.nii.gz", "lesions.csv", "probability.nii.gz", "overlay.png"):
        ours = (tmp_path / "python" / name).read_bytes()
        assert ours == (tmp_path / "cli" / name).read_bytes(), name
    assert {path.name for path in files.values()} >= {"mask.nii.gz", "report.json"}


def _numpy(scan: Path) -> dict[str, Any]:
    image: Any = nib.load(scan)
    return {"x": image.get_fdata(dtype=np.float32), "affine": image.affine}


def _tensor(scan: Path) -> dict[str, Any]:
    image: Any = nib.load(scan)
    return {"x": torch.from_numpy(image.get_fdata(dtype=np.float32))[None], "affine": image.affine}


INPUTS = {
    "str": lambda scan: {"x": str(scan)},
    "numpy": _numpy,
    "nibabel": lambda scan: {"x": nib.load(scan)},
    "SimpleITK": lambda scan: {"x": sitk.ReadImage(scan)},
    "torch": _tensor,
}


@pytest.mark.parametrize("kind", INPUTS)
def test_every_kind_of_input_gives_the_same_lesions(
    kind: str, model: Path, scan: Path, expected: brainmets.Segmentation
) -> None:
    found = brainmets.segment(**INPUTS[kind](scan), model=model)

    assert found.mask.shape == expected.mask.shape
    assert np.allclose(found.affine, expected.affine, atol=1e-4)
    # ITK keeps the grid as unit vectors, so that places differ by float rounding
    assert np.abs(found.probability - expected.probability).max() < 1e-3
    assert np.mean(found.mask != expected.mask) < (1e-4 if kind == "SimpleITK" else 1e-9)


@pytest.mark.parametrize("axes", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
@pytest.mark.parametrize("flipped", [(), (0,), (1, 2)])
def test_an_array_turned_with_its_affine_has_its_mask_turned(
    axes: tuple[int, int, int], flipped: tuple[int, ...], model: Path
) -> None:
    grid = Geometry.isotropic((40, 48, 44), spacing_mm=4.0)
    plain = brainmets.segment(head(), affine=grid.affine, model=model, threshold=0.5)
    turned = grid.permuted(axes, tuple(axis in flipped for axis in range(3)))  # pyright: ignore[reportArgumentType]

    data = np.flip(head().transpose(axes), flipped)
    found = brainmets.segment(data, affine=turned.affine, model=model, threshold=0.5)

    assert len(plain) > 1
    back = np.flip(found.mask, flipped).transpose(np.argsort(axes))
    assert np.mean((back > 0) != (plain.mask > 0)) < 1e-3


def test_spacing_and_letters_are_an_affine(model: Path) -> None:
    plain = brainmets.segment(head(), spacing=(4, 4, 4), model=model, threshold=0.5)
    array = sitk.GetArrayFromImage(sitk.GetImageFromArray(head().transpose(2, 1, 0)))
    turned = brainmets.segment(
        array, spacing=(4, 4, 4), orientation="SAR", model=model, threshold=0.5
    )

    assert "RAS" in " ".join(plain.warnings)
    assert "RAS" not in " ".join(turned.warnings)
    assert np.array_equal(turned.mask.transpose(2, 1, 0), plain.mask)
    assert plain.lesions[0].centroid_ras_mm == pytest.approx(turned.lesions[0].centroid_ras_mm)


def test_a_result_goes_back_to_the_libraries(scan: Path, expected: brainmets.Segmentation) -> None:
    image: Any = nib.load(scan)
    ours = expected.to_nibabel()
    assert np.array_equal(np.asarray(ours.dataobj), expected.mask)
    assert np.allclose(ours.affine, image.affine)
    assert ours.get_qform(coded=True)[1] == image.get_qform(coded=True)[1]
    assert np.allclose(np.asarray(expected.to_nibabel("image").dataobj), image.get_fdata())

    theirs = sitk.ReadImage(scan)
    mask = expected.to_sitk()
    assert mask.GetSize() == theirs.GetSize()
    for name in ("GetOrigin", "GetSpacing", "GetDirection"):
        assert np.allclose(getattr(mask, name)(), getattr(theirs, name)(), atol=1e-4)
    assert np.array_equal(sitk.GetArrayFromImage(mask).transpose(2, 1, 0), expected.mask)


def test_a_result_shows_itself(expected: brainmets.Segmentation) -> None:
    assert len(repr(expected)) < 100
    assert f"{len(expected)} lesions" in repr(expected)
    html = expected._repr_html_()
    assert RESEARCH_USE_ONLY in html
    assert "data:image/png;base64," in html
    assert expected._repr_png_().startswith(b"\x89PNG")
    figure = expected.plot()
    assert len(figure.axes) == 3 * min(len(expected), 3)
    assert RESEARCH_USE_ONLY in str(figure.get_supxlabel())


def test_lesions_are_a_table(expected: brainmets.Segmentation) -> None:
    table = expected.lesions.to_dataframe()
    assert len(table) == len(expected)
    assert list(table["volume_mm3"]) == [one.volume_mm3 for one in expected.lesions]
    first = expected.lesions[0]
    assert table.loc[0, "centroid_x_ras_mm"] == first.centroid_ras_mm[0]
    assert table.loc[0, "centroid_k_voxel"] == first.centroid_voxel[2]
    assert "<table>" in expected.lesions._repr_html_()


def test_a_picture_is_segmented_by_the_slice_model(tmp_path: Path) -> None:
    grey = np.clip(head()[:, :, 20] / 4, 0, 255).astype(np.uint8)
    Image.fromarray(np.kron(grey.T, np.ones((5, 5), np.uint8))).save(tmp_path / "slice.png")
    found = brainmets.segment(tmp_path / "slice.png")

    assert found.provenance.model.endswith("-2d")
    assert found.mask.shape == (200, 240, 1)
    assert "mL" not in repr(found)
    assert len(found.plot().axes) >= 1


def _spoiled(value: float) -> NDArray[np.float32]:
    data = head()
    data[3, 4, 5] = value
    return data


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "2-D array": ({"x": np.ones((9, 9)), "spacing": (1, 1, 1)}, "E_ONE_SLICE"),
    "1-D array": ({"x": np.ones(9), "spacing": (1, 1, 1)}, "E_DIMENSIONS"),
    "empty": ({"x": np.ones((9, 0, 9)), "spacing": (1, 1, 1)}, "E_DIMENSIONS"),
    "4-D array": ({"x": np.ones((9, 9, 9, 2)), "affine": np.eye(4)}, "E_DIMENSIONS"),
    "no spacing": ({"x": np.ones((9, 9, 9))}, "E_SPACING"),
    "no spacing, tensor": ({"x": torch.ones(9, 9, 9)}, "E_SPACING"),
    "zero spacing": ({"x": np.ones((9, 9, 9)), "spacing": (1, 1, 0)}, "E_SPACING"),
    "two spacings": ({"x": np.ones((9, 9, 9)), "spacing": (1, 1)}, "E_SPACING"),
    "metres": ({"x": head(), "spacing": (0.001, 0.001, 0.001)}, "E_SPACING"),
    "text as spacing": ({"x": head(), "spacing": ("a", "b", "c")}, "E_SPACING"),
    "affine 3 x 3": ({"x": head(), "affine": np.eye(3)}, "E_AFFINE"),
    "affine of zeros": ({"x": head(), "affine": np.diag([1, 1, 0, 1])}, "E_AFFINE"),
    "affine of NaN": ({"x": head(), "affine": np.full((4, 4), np.nan)}, "E_AFFINE"),
    "both": ({"x": head(), "affine": np.eye(4), "spacing": (1, 1, 1)}, "E_OPTION"),
    "letters": ({"x": head(), "spacing": (1, 1, 1), "orientation": "RLS"}, "E_OPTION"),
    "NaN": ({"x": _spoiled(np.nan), "affine": np.eye(4)}, "E_NONFINITE"),
    "infinity": ({"x": _spoiled(np.inf), "affine": np.eye(4)}, "E_NONFINITE"),
    "constant": ({"x": np.ones((9, 9, 9)), "affine": np.eye(4)}, "E_CONSTANT"),
    "complex": ({"x": head().astype(complex), "affine": np.eye(4)}, "E_VOXEL_TYPE"),
    "text": ({"x": np.full((9, 9, 9), "a"), "affine": np.eye(4)}, "E_VOXEL_TYPE"),
    "mask": ({"x": head() > 0, "affine": np.eye(4)}, "E_VOXEL_TYPE"),
    "other device": (
        {"x": torch.ones(9, 9, 9, device="meta"), "affine": np.eye(4)},
        "E_OPTION",
    ),
    "list": ({"x": [[1, 2], [3, 4]]}, "E_FORMAT"),
    "nothing": ({"x": None}, "E_FORMAT"),
    "no file": ({"x": "no-such-file.nii.gz"}, "E_FILE_MISSING"),
    "path with spacing": ({"x": "scan.nii.gz", "spacing": (1, 1, 1)}, "E_OPTION"),
    "nibabel with affine": (
        {"x": nib.Nifti1Image(head(), np.eye(4)), "affine": np.eye(4)},
        "E_OPTION",
    ),
    "nibabel 4-D": ({"x": nib.Nifti1Image(np.ones((9, 9, 9, 2)), np.eye(4))}, "E_DIMENSIONS"),
    "nibabel without place": ({"x": nib.Nifti1Image(head(), None)}, "E_NO_ORIENTATION"),
    "ITK 2-D": ({"x": sitk.Image(9, 9, sitk.sitkFloat32)}, "E_ONE_SLICE"),
    "ITK colours": ({"x": sitk.Image([9, 9, 9], sitk.sitkVectorFloat32, 3)}, "E_VOXEL_TYPE"),
    "ITK 4-D": ({"x": sitk.Image([9, 9, 9, 2], sitk.sitkFloat32)}, "E_DIMENSIONS"),
    "series of an array": ({"x": head(), "spacing": (1, 1, 1), "series": "2"}, "E_OPTION"),
    "one sequence twice": (
        {"x": head(), "spacing": (4, 4, 4), "images": {"t1c": head()}},
        "E_OPTION",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_input_has_a_code_and_a_remedy(name: str) -> None:
    arguments, code = WRONG[name]
    with pytest.raises(brainmets.BrainmetsError) as caught:
        brainmets.segment(**arguments)
    assert caught.value.code == code
    assert caught.value.remedy


def test_names_are_loaded_when_used() -> None:
    script = (
        "import sys, brainmets; assert set(brainmets.__all__) <= set(dir(brainmets));"
        "heavy = {'torch', 'numpy', 'openvino', 'pandas', 'matplotlib', 'SimpleITK'};"
        "assert not heavy & set(sys.modules); brainmets.segment;"
        "assert not {'torch', 'pandas', 'matplotlib', 'SimpleITK'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.parametrize("name", [one for one in brainmets.__all__ if not one.startswith("_")])
def test_every_public_name_is_there_and_explains_itself(name: str) -> None:
    assert getattr(brainmets, name).__doc__
    assert name in dir(brainmets)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="segmentt"):
        brainmets.segmentt  # noqa: B018  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize("package", ["pandas", "matplotlib", "SimpleITK"])
def test_a_missing_extra_is_named(
    package: str, expected: brainmets.Segmentation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, "brainmets.reporting.figures", raising=False)
    uses = {
        "pandas": expected.lesions.to_dataframe,
        "matplotlib": expected.plot,
        "SimpleITK": expected.to_sitk,
    }
    monkeypatch.delitem(sys.modules, "matplotlib.figure", raising=False)
    with pytest.raises(EngineMissing, match=r"brainmets\[notebook\]"):
        uses[package]()


def test_a_model_is_named_or_a_folder() -> None:
    with pytest.raises(UnknownModel):
        brainmets.segment(head(), spacing=(4, 4, 4), model="no-such-model")
    with pytest.raises(OptionError):
        brainmets.segment(head(), spacing=(4, 4, 4), threshold=2.0)
    assert "attention-unet-3d" in brainmets.list_models()
