"""`brainmets.evaluate`: the figures of the command, from files and from memory."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813 - as its users write it
import torch

import brainmets
from brainmets.domain import Geometry, HeadPhantom, Mask
from brainmets.io import write_mask
from brainmets.workflows.evaluate import evaluate

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

GRID = Geometry.isotropic((40, 48, 44), spacing_mm=4.0).permuted((2, 0, 1), (True, False, False))


@pytest.fixture(scope="module")
def masks() -> tuple[Mask, Mask]:
    _, mask = HeadPhantom().render(GRID)
    moved = Mask(data=np.roll(mask.data * (mask.data < 3), 1, axis=0), geometry=GRID)
    return mask, moved


@pytest.fixture
def files(masks: tuple[Mask, Mask], tmp_path: Path) -> tuple[Path, Path]:
    reference, prediction = tmp_path / "reference.nii.gz", tmp_path / "prediction.nii.gz"
    return write_mask(masks[0], reference), write_mask(masks[1], prediction)


def test_files_give_the_figures_of_the_command(files: tuple[Path, Path], tmp_path: Path) -> None:
    found = brainmets.evaluate(*files)
    (expected,) = evaluate(*files).cases

    assert found.scores == dict(expected.regions[0].values)
    assert 0.1 < found.scores["dice"] < 0.9
    written = found.save(tmp_path / "scores")
    document = json.loads(written["scores.json"].read_text(encoding="utf-8"))
    assert document["cases"][0]["regions"]["lesion"]["dice"] == found.scores["dice"]
    assert len(repr(found)) < 120


KINDS: dict[str, Callable[[Mask], Any]] = {
    "nibabel": lambda mask: nib.Nifti1Image(mask.data, mask.geometry.affine),
    "SimpleITK": lambda mask: brainmets.python.exchange.to_sitk(mask.data, mask.geometry),
    "numpy": lambda mask: mask.data,
    "booleans": lambda mask: mask.data > 0,
    "torch": lambda mask: torch.from_numpy(mask.data.astype(np.int64))[None],
    "ours": lambda mask: mask,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("side", ["reference", "prediction"])
def test_every_kind_of_mask_scores_alike(kind: str, side: str, masks: tuple[Mask, Mask]) -> None:
    expected = brainmets.evaluate(*masks)
    sides = {"reference": masks[0], "prediction": masks[1]}
    found = brainmets.evaluate(**(sides | {side: KINDS[kind](sides[side])}))
    assert found.scores == pytest.approx(expected.scores, rel=1e-6, nan_ok=True)


def test_two_arrays_need_a_grid(masks: tuple[Mask, Mask]) -> None:
    arrays = masks[0].data, masks[1].data
    with pytest.raises(brainmets.BrainmetsError, match="E_SPACING"):
        brainmets.evaluate(*arrays)
    by_affine = brainmets.evaluate(*arrays, affine=GRID.affine)
    by_spacing = brainmets.evaluate(*arrays, spacing=(4, 4, 4))
    assert by_affine.scores["dice"] == by_spacing.scores["dice"]


def test_masks_on_other_voxels_are_refused(masks: tuple[Mask, Mask]) -> None:
    other = np.zeros((5, 5, 5), np.uint8)
    with pytest.raises(brainmets.BrainmetsError, match="E_GRID"):
        brainmets.evaluate(masks[0], other)
    with pytest.raises(brainmets.BrainmetsError, match="E_VOXEL_TYPE"):
        brainmets.evaluate(masks[0], masks[1].data * 0.5)


def test_a_lps_image_is_turned_onto_a_ras_one(masks: tuple[Mask, Mask]) -> None:
    turned = sitk.DICOMOrient(brainmets.python.exchange.to_sitk(masks[1].data, GRID), "LPS")
    assert turned.GetSize() != masks[1].data.shape
    found = brainmets.evaluate(masks[0], turned)
    assert found.scores["dice"] == brainmets.evaluate(*masks).scores["dice"]


def test_scores_are_tables_and_a_figure(masks: tuple[Mask, Mask]) -> None:
    found = brainmets.evaluate(*masks)
    table = found.lesions.to_dataframe()
    assert set(table["outcome"]) == {"found", "missed"}
    assert found.to_dataframe().loc[0, "dice"] == found.scores["dice"]
    assert "<table>" in found._repr_html_()
    assert len(found.plot().axes) == 1


def test_folders_are_paired_by_case(masks: tuple[Mask, Mask], tmp_path: Path) -> None:
    for side, mask in zip(("a", "b"), masks, strict=True):
        (tmp_path / side).mkdir()
        for case in ("one", "two"):
            write_mask(mask, tmp_path / side / f"{case}.nii.gz")
    found = brainmets.evaluate(
        tmp_path / "a", tmp_path / "b", scorer="brats-2024", regions="binary", jobs=1
    )
    assert len(found.run.cases) == 2
    assert found.scores["dice"] == pytest.approx(brainmets.evaluate(*masks).scores["dice"])
