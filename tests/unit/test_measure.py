"""Every figure a network is judged by, from one command."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from brainmets.domain import Geometry, HeadPhantom, Mask
from brainmets.inference import Bundle, revise_bundle
from brainmets.io import write_mask, write_volume
from brainmets.workflows.bundle_scores import distinct
from brainmets.workflows.measure import MeasureOptions, measure
from tests.bundles import random_bundle
from tests.unit.test_networks import slice_bundle, slices

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["slices"]  # a fixture of the other module

GRID = Geometry.isotropic((56, 64, 56), spacing_mm=3.0)


def volumes(root: Path) -> Path:
    """Write four phantom scans as a folder a case, and the two scans that are looked at."""
    for number in range(4):
        image, lesions = HeadPhantom().render(GRID)
        case = root / "gliomas" / f"case{number}"
        case.mkdir(parents=True)
        write_volume(image, case / "t1c.nii.gz")
        labels = np.where(lesions.data > 0, 4, 0).astype(np.uint8)
        write_mask(Mask(data=labels, geometry=GRID), case / "x_seg.nii.gz")
    (root / "met-00110").mkdir()
    write_volume(image, root / "met-00110" / "BraTS-MET-00110-000-t1c.nii.gz")
    return root


def volume_bundle(root: Path, seed: int, test: list[str]) -> Bundle:
    source = {
        "kind": "volumes", "root": "gliomas", "mask": ["*_seg*"], "lesion_labels": [4],
        "test_cases": test, "ignore_lesions_of": ["case1"],
    }  # fmt: skip
    bundle = random_bundle(root, seed=seed)
    return revise_bundle(bundle, root, extra={"recipe": {"sources": [source]}})


def test_folds_are_pooled_pictured_and_written(tmp_path: Path) -> None:
    data = volumes(tmp_path / "data")
    folds = [
        volume_bundle(tmp_path / "f0", 0, ["case0", "case1"]),
        volume_bundle(tmp_path / "f1", 1, ["case2"]),
    ]
    document = measure(folds, tmp_path / "out", MeasureOptions(data_root=data))
    first = document["bundles"][0]["held_out"]
    assert (first["cases"], first["with_lesion"], first["not_enhancing"]) == (2, 1, 1)
    rows = {row["case"]: row for row in first["case_by_case"]}
    assert rows["case1"]["dice"] is None
    assert rows["case1"]["group"] == "not enhancing"
    assert first["dice"]["value"] == rows["case0"]["dice"]
    (pooled,) = document["cross_validated"]
    assert pooled["bundles"] == ["f0", "f1"]
    assert pooled["held_out"]["with_lesion"] == 2
    dice = [row["dice"] for row in pooled["held_out"]["case_by_case"] if row["dice"] is not None]
    assert pooled["held_out"]["dice"]["value"] == sum(dice) / 2
    seen = document["bundles"][1]["ring_case"]
    assert (tmp_path / "out" / seen["picture"]).read_bytes().startswith(b"\x89PNG")
    assert seen["components"] == len(seen["lesions"])
    assert document["bundles"][0]["healthy"] is None  # that scan is not there
    assert document["benchmark"] is None
    assert json.loads((tmp_path / "out" / "measured.json").read_text("utf-8")) == document
    text = (tmp_path / "out" / "measured.md").read_text("utf-8")
    assert "cross-validated" in text
    assert "| case2 |" in text


def test_folds_of_one_name_are_told_apart() -> None:
    assert distinct(["a", "b"]) == ["a", "b"]
    assert distinct(["a", "b", "a"]) == ["a-1", "b-2", "a-3"]


def test_slices_are_measured_by_block_and_tumour(
    slices: Path,
    tmp_path: Path,
) -> None:
    bundle = slice_bundle(tmp_path / "net", "attention-unet", 0, (1, 2))
    card = "# net\n\n## Held-out test\n\nof training\n\n## Limits\n\nmany\n"
    bundle = revise_bundle(bundle, tmp_path / "net", card=card)
    options = MeasureOptions(data_root=slices, write_cards=True)
    document = measure([bundle], tmp_path / "out", options)
    held = document["bundles"][0]["held_out"]
    assert (held["cases"], held["patients"]) == (6, 2)
    assert list(held["groups"]) == ["glioma"]
    assert held["groups"]["glioma"]["dice"] == held["dice"]
    assert held["dice"]["low"] <= held["dice"]["value"] <= held["dice"]["high"]
    assert "mean Dice a held-out slice | ≥ 0.75" in (tmp_path / "out" / "measured.md").read_text()
    written = Bundle.load(tmp_path / "net").card
    assert "of training" not in written
    assert written.index("# net") < written.index("## Measured") < written.index("## Limits")
    assert f"{held['dice']['value']:.3f}" in written


def test_the_table_of_the_readme_shows_what_was_measured(
    slices: Path,
    tmp_path: Path,
) -> None:
    page = load_script("readme_table")
    bundle = slice_bundle(tmp_path / "net", "unet-plus-plus", 0, (1, 2))
    document = measure([bundle], tmp_path / "out", MeasureOptions(data_root=slices))
    claim = {"claim": "it works", "verdict": "undecided", "because": "too few Dice"}
    text = page.table([document], [{"claims": [claim]}])
    dice = document["bundles"][0]["held_out"]["dice"]
    assert f"Dice | – | {dice['value']:.3f} ({dice['low']:.3f}–{dice['high']:.3f}) |" in text
    assert "“it works”: **undecided**. Too few Dice." in text
    readme = f"before {page.BEGIN} old {page.END} after"
    assert page.insert(readme, text) == f"before {page.BEGIN}\n{text}\n{page.END} after"
    with pytest.raises(SystemExit, match="no <!-- measured"):
        page.insert("nothing", text)


def load_script(name: str) -> ModuleType:
    path = Path(__file__).resolve().parents[2] / "docs" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
