"""Prepared samples on disk: made once, mapped, renewed when the case or the plan changes."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

pytest.importorskip("torch")

from brainmets.io.datasets import open_dataset
from brainmets.preprocessing import Plan
from brainmets.training.datasets import CaseReader
from brainmets.training.prepared import PreparedStore
from tests.unit import head_cohorts

if TYPE_CHECKING:
    from pathlib import Path

PLAN = Plan(spacing_mm=head_cohorts.SPACING_MM)


def test_a_case_is_prepared_once_and_again_when_it_changes(tmp_path: Path) -> None:
    head_cohorts.write_folders(tmp_path / "data", patients=2)
    dataset = open_dataset(tmp_path / "data")
    readers = [
        CaseReader(dataset=dataset, case=case, labels=(), plan=PLAN) for case in dataset.cases
    ]
    # an id that is no name for a folder
    readers[0] = replace(readers[0], case=replace(readers[0].case, case_id="P7/../S1"))
    store, told = PreparedStore(tmp_path / "store"), []

    def note(stage: str, done: float, /) -> None:
        told.append((stage, done))

    samples = store.samples(readers, note)
    assert told == [("prepare", 0.5), ("prepare", 1.0)]
    assert isinstance(samples[0].data, np.memmap)
    direct = readers[1]()
    assert np.array_equal(samples[1].data, direct.data)
    assert np.array_equal(samples[1].target, direct.target)
    assert np.array_equal(samples[1].centres, direct.centres)
    assert {place.parent for place in (tmp_path / "store").iterdir()} == {tmp_path / "store"}

    store.samples(readers, note)
    assert len(told) == 2  # nothing was left to do
    mask = readers[1].case.masks[0]
    os.utime(mask, ns=(1, 1))
    store.samples(readers, note)
    assert told[2:] == [("prepare", 1.0)]
    coarse = [replace(reader, plan=Plan(spacing_mm=12.0)) for reader in readers]
    assert store.samples(coarse, note)[0].target.size < samples[0].target.size / 4


def test_processes_beside_prepare_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from brainmets.training import prepared

    monkeypatch.setattr(prepared, "WORTH_PROCESSES", 2)
    monkeypatch.setattr(prepared, "count_processors", lambda: 2)
    head_cohorts.write_folders(tmp_path / "data", patients=2)
    dataset = open_dataset(tmp_path / "data")
    readers = [
        CaseReader(dataset=dataset, case=case, labels=(), plan=PLAN) for case in dataset.cases
    ]
    told: list[float] = []
    samples = PreparedStore(tmp_path / "store").samples(readers, lambda _s, d: told.append(d))
    assert told == [0.5, 1.0]
    for sample, reader in zip(samples, readers, strict=True):
        assert np.array_equal(sample.data, reader().data)
