"""Places of lesions stay those of the segmentation when the page finds or draws lesions again."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from brainmets.api.display import STRUCTURES, load_structures, save_view
from brainmets.api.rethreshold import named
from brainmets.domain import Case, Mask, Prediction, Provenance, Report, Source, Volume
from brainmets.domain.errors import RecordDamaged
from brainmets.inference import OperatingPoint, find_lesions
from tests.heads_with_anatomy import made_anatomy

if TYPE_CHECKING:
    from pathlib import Path

POINT = OperatingPoint(threshold=0.5, peak=0.5)


def report() -> Report:
    """A ball in the left cerebellar hemisphere, in a head whose structures are known."""
    anatomy = made_anatomy()
    grid = anatomy.geometry
    voxels = np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), axis=-1)
    away = np.linalg.norm(grid.to_ras_mm(voxels.reshape(-1, 3)) - (-30.0, -62.0, -42.0), axis=1)
    data = (away < 6.0).astype(np.float32).reshape(grid.shape)
    probability = Volume(data=data, geometry=grid)
    mask, lesions = find_lesions(probability, POINT)
    image = Volume(data=anatomy.image + data, geometry=grid)
    source = Source(format="nifti", sha256="0" * 64)
    return Report(
        case=Case(images={"t1c": image}, geometry=grid, source=source, case_id="made"),
        prediction=Prediction(
            probability=probability,
            mask=mask,
            lesions=lesions,
            provenance=Provenance(
                model="made",
                model_sha256="0" * 64,
                code_version="0",
                engine="none",
                input_sha256="0" * 64,
                settings=POINT.model_dump(),
            ),
        ),
        structures=anatomy,
    )


def test_structures_that_were_stored_name_places_again(tmp_path: Path) -> None:
    made = report()
    save_view(made, tmp_path)
    stored = load_structures(tmp_path)
    assert stored is not None
    assert made.structures is not None
    np.testing.assert_array_equal(stored.structures, made.structures.structures)
    np.testing.assert_array_equal(stored.brain, made.structures.brain)
    mask: Mask = made.prediction.mask
    result: Any = SimpleNamespace(provenance=SimpleNamespace(settings={}))
    (lesion,) = named(made.prediction.lesions, mask, tmp_path, result)
    assert lesion.place == "left cerebellar hemisphere"


def test_results_without_structures_are_named_without(tmp_path: Path) -> None:
    made = replace(report(), structures=None)
    save_view(made, tmp_path)
    assert load_structures(tmp_path) is None
    result: Any = SimpleNamespace(provenance=SimpleNamespace(settings={}))
    lesions = made.prediction.lesions
    assert named(lesions, made.prediction.mask, tmp_path, result) == lesions


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x03\x04 cut"])
def test_damaged_structures_are_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / STRUCTURES).write_bytes(content)
    with pytest.raises(RecordDamaged, match="structures"):
        load_structures(tmp_path)
