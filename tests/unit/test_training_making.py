"""Samples made while training runs."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

import numpy as np
import pytest

pytest.importorskip("torch")

from brainmets.domain import Geometry, Volume
from brainmets.domain.volume import Mask
from brainmets.io import write_mask, write_volume
from brainmets.training.config import InsertionSettings, Recipe, VolumeSource
from brainmets.training.losses import IGNORE
from brainmets.training.making import InsertionMaker
from brainmets.training.samples import read_volume_case

if TYPE_CHECKING:
    from pathlib import Path

EDGE = 96


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two stripped heads with a tumour each; the second one's counts neither way."""
    rng = np.random.default_rng(0)
    z, y, x = (axis - EDGE / 2 for axis in np.mgrid[:EDGE, :EDGE, :EDGE])
    head = x**2 + y**2 + z**2 < 42**2
    tumour = (x - 15) ** 2 + y**2 + z**2 < 8**2
    geometry = Geometry(affine=np.eye(4), shape=(EDGE, EDGE, EDGE))
    for name in ("a", "b"):
        image = head * (100 + 10 * (np.abs(z) < 15) + rng.normal(0, 3, head.shape))
        image[tumour] = 180
        folder = tmp_path / "scans" / name
        folder.mkdir(parents=True)
        write_volume(
            Volume(data=image.astype(np.float32), geometry=geometry), folder / "x_t1c.nii.gz"
        )
        write_mask(Mask(data=tumour.astype(np.uint8), geometry=geometry), folder / "x_seg.nii.gz")
    return tmp_path


def maker(data: Path, share: float) -> InsertionMaker:
    source = VolumeSource(
        root="scans",
        mask=("*_seg*",),
        lesion_labels=(1,),
        ignore_lesions_of=("b",),
        insertion=InsertionSettings(share=share),
    )
    recipe = Recipe.model_validate(
        {
            "name": "x",
            "network": {"name": "attention-unet", "dims": 3, "in_channels": 2, "widths": [4, 8]},
            "plan": {"dims": 3},
            "sources": [source.model_dump()],
            "optimiser": {"steps": 1, "batch": 1, "patch": [16, 16, 16]},
        }
    )
    return InsertionMaker(recipe=recipe, source=source, data_root=data)


def test_inserted_lesions_join_the_scans_own_and_what_is_ignored_stays_so(data: Path) -> None:
    make = pickle.loads(pickle.dumps(maker(data, share=1.0)))  # noqa: S301 - bytes made here
    plain, kept = maker(data, share=1e-9)(0), maker(data, share=1e-9)(1)
    first, second = make(0), make(1)
    own = plain.target == 1
    assert own.sum() > 1000
    assert (first.target[own] == 1).all()
    assert (first.target == 1).sum() > own.sum()
    assert len(first.centres) > 1
    assert not (kept.target == 1).any()
    assert (second.target[kept.target == IGNORE] == IGNORE).all()
    assert (second.target == 1).any()
    new = (first.target == 1) & ~own
    assert np.abs(first.data[0].astype(float) - plain.data[0])[new].mean() > 0.05


def test_a_number_always_makes_the_same_sample(data: Path) -> None:
    once, again, other = maker(data, 1.0)(2), maker(data, 1.0)(2), maker(data, 1.0)(4)
    assert np.array_equal(once.data, again.data)
    assert np.array_equal(once.target, again.target)
    assert not np.array_equal(once.target, other.target)


def test_labels_that_count_neither_way_stay_so(data: Path) -> None:
    _, wanted = read_volume_case(data / "scans" / "a", maker(data, 1.0).source)
    ignoring = maker(data, 1.0).source.model_copy(update={"ignored_labels": (0,)})
    _, target = read_volume_case(data / "scans" / "a", ignoring)
    assert set(np.unique(wanted)) == {0, 1}
    assert np.array_equal(target == 1, wanted == 1)
    assert (target[wanted == 0] == IGNORE).all()
