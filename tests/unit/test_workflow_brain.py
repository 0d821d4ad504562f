"""`brainmets brain`: mask, structures and their volumes, or a refusal that writes nothing."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from brainmets.bundles import SHIPPED_ANATOMY
from brainmets.cli.app import app
from brainmets.domain.errors import OutputExists, WrongModelKind
from brainmets.domain.structures import BRAIN_STRUCTURES, Structure
from brainmets.inference.anatomy import WITH_FLUID, AnatomyNetwork
from brainmets.io import write_volume
from brainmets.workflows.brain import label_brain
from tests.heads_with_anatomy import shares_of
from tests.unit.test_plausibility_heads import head, image_of

if TYPE_CHECKING:
    from pathlib import Path

    from brainmets.domain import Volume
    from brainmets.inference.anatomy import Anatomy


@pytest.fixture
def scan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A head on a grid turned to the back, whose anatomy the network is sure of."""
    made = head()
    anatomy = replace(made, shares=shares_of(made.structures))

    def located(_network: AnatomyNetwork, _volume: Volume) -> Anatomy:
        return anatomy

    monkeypatch.setattr(AnatomyNetwork, "locate", located)
    return write_volume(image_of(anatomy, "t1"), tmp_path / "head.nii.gz")


def test_mask_structures_and_table_agree(scan: Path, tmp_path: Path) -> None:
    out = tmp_path / "brain"
    result = label_brain(scan, out, anatomy=SHIPPED_ANATOMY)
    brain = nib.load(out / "brain.nii.gz")
    structures = np.asarray(nib.load(out / "structures.nii.gz").dataobj)
    anatomy = head()
    np.testing.assert_array_equal(structures, anatomy.structures)
    mask = np.asarray(brain.dataobj) > 0
    np.testing.assert_array_equal(mask, np.isin(structures, WITH_FLUID))
    np.testing.assert_allclose(brain.affine, nib.load(scan).affine, atol=1e-4)
    voxel_ml = anatomy.geometry.voxel_volume_mm3 / 1000
    assert result.brain_ml == pytest.approx(mask.sum() * voxel_ml, abs=0.01)
    with (out / "structures.csv").open() as file:
        rows = {row["structure"]: row for row in csv.DictReader(file)}
    assert set(rows) == set(result.volumes_ml)
    for structure in Structure:
        name = structure.name.lower().replace("_", " ")
        if name in rows:
            count = np.count_nonzero(structures == structure)
            assert float(rows[name]["volume_ml"]) == pytest.approx(count * voxel_ml, abs=0.01)
            assert rows[name]["in_brain"] == str(int(structure in BRAIN_STRUCTURES))


def test_the_command_prints_volumes_and_keeps_what_is_there(scan: Path, tmp_path: Path) -> None:
    out = tmp_path / "brain"
    run = CliRunner().invoke(app, ["brain", str(scan), "--out", str(out)])
    assert run.exit_code == 0, run.output
    assert "left cerebellum" in run.output
    assert "Research use only" in run.output
    again = CliRunner().invoke(app, ["brain", str(scan), "--out", str(out), "--json"])
    assert again.exit_code == 0, again.output
    assert json.loads(again.stdout)["brain_ml"] > 500
    (out / "mine.txt").write_text("kept")
    with pytest.raises(OutputExists):
        label_brain(scan, out, anatomy=SHIPPED_ANATOMY)
    assert (out / "mine.txt").read_text() == "kept"


def test_slices_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "slice.png"
    Image.fromarray(np.random.default_rng(1).integers(0, 255, (64, 64), dtype=np.uint8)).save(path)
    with pytest.raises(WrongModelKind):
        label_brain(path, tmp_path / "out", anatomy=SHIPPED_ANATOMY)
    assert not (tmp_path / "out").exists()
