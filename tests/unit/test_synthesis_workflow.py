"""Synthetic heads as files, and the analytic head phantom."""

from __future__ import annotations

import json
from shutil import rmtree
from typing import TYPE_CHECKING

import numpy as np
import pytest

from brainmets.domain.errors import OutputExists
from brainmets.io import read_mask, read_volume, write_mask
from brainmets.synthesis import ENHANCING, sample_head
from brainmets.workflows.cohort import CohortOptions
from brainmets.workflows.synthesize import synthesize
from tests.unit.synthesis_mini import CLEAN, mini_labels

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRAINMETS_CACHE", str(tmp_path / "cache"))


def test_heads_are_written_with_their_truth_and_parameters(tmp_path: Path) -> None:
    labels = write_mask(mini_labels(), tmp_path / "labels.nii.gz")
    stages: list[str] = []
    run = synthesize(
        labels, tmp_path / "out", seed=4, count=2, config=CLEAN,
        progress=lambda stage, _done: stages.append(stage),
    )  # fmt: skip
    assert [status.case for status in run.finished] == ["head-4", "head-5"]
    folders = [tmp_path / "out" / status.case for status in run.finished]
    assert stages[0] == "read"
    for folder in folders:
        image, lesions = read_volume(folder / "t1c.nii.gz"), read_mask(folder / "lesions.nii.gz")
        assert image.geometry.same_grid(lesions.geometry)
        record = json.loads((folder / "parameters.json").read_text("utf-8"))
        assert len(record["placed"]) == len(np.unique(lesions.data)) - 1
        for lesion in record["placed"]:
            assert np.count_nonzero(lesions.data == lesion["id"]) == lesion["voxels"]
    assert not list((tmp_path / "out").glob(".*"))
    with pytest.raises(OutputExists):
        synthesize(labels, tmp_path / "out", seed=5)


def test_heads_are_resumed_and_made_in_parts(tmp_path: Path) -> None:
    labels = write_mask(mini_labels(), tmp_path / "labels.nii.gz")
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    synthesize(labels, whole, seed=4, count=3, config=CLEAN)
    for k in (1, 2):
        synthesize(labels, parts, seed=4, count=3, config=CLEAN, cohort=CohortOptions(part=(k, 2)))
    (parts / "status" / "head-5.json").unlink()
    (parts / "status" / "head-6.json").unlink()
    rmtree(parts / "head-6")
    run = synthesize(
        labels, parts, seed=4, count=3, config=CLEAN, cohort=CohortOptions(resume=True)
    )
    assert not run.failed
    for name in ("head-4", "head-5", "head-6"):
        for file in ("t1c.nii.gz", "lesions.nii.gz", "parameters.json"):
            assert (parts / name / file).read_bytes() == (whole / name / file).read_bytes()


def test_a_head_made_from_formulas_is_whole_and_repeatable() -> None:
    case = sample_head(0)
    assert len(case.placed) >= 3
    assert min(case.image.geometry.shape) > 120
    rims = case.image.data[case.classes.data == ENHANCING]
    assert np.percentile(rims, 90) > np.percentile(case.image.data, 90)
    assert np.array_equal(sample_head(0).image.data, case.image.data)
