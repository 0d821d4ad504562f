"""Which image of an input is taken, by names, headers and content."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from brainmets.domain import Geometry, HeadPhantom
from brainmets.domain.structures import Structure
from brainmets.inference.anatomy import AnatomyNetwork
from brainmets.io import write_volume
from brainmets.workflows import inspection, plausibility
from tests.unit.test_plausibility_heads import head, image_of, with_sinus

if TYPE_CHECKING:
    from pathlib import Path

    from brainmets.domain import Sequence, Volume
    from brainmets.inference.anatomy import Anatomy


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    image, _ = HeadPhantom().render(Geometry.isotropic((40, 48, 40), spacing_mm=5.0))
    return write_volume(image, tmp_path / "scan.nii.gz")


@pytest.mark.parametrize(
    ("contrast", "sinuses", "expected"),
    [
        ("t1", 1.4, "t1c"),
        ("t1", 0.7, "t1n"),
        ("t2", 0.5, "t2w"),
        ("flair", 0.5, "t2f"),
        ("flat", 1.0, None),
    ],
)
def test_content_tells_the_sequence(
    contrast: str, sinuses: float, expected: Sequence | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    anatomy = with_sinus(head())
    volume = image_of(anatomy, "t1" if contrast == "flat" else contrast)
    data = np.array(volume.data)
    white = np.isin(anatomy.structures, (Structure.LEFT_WHITE_MATTER, Structure.RIGHT_WHITE_MATTER))
    level = float(np.median(data[white]))
    data[anatomy.structures == Structure.VENOUS_SINUS] = sinuses * level
    if contrast == "flat":
        data[anatomy.structures > 0] = level
    image = type(volume)(data=data, geometry=volume.geometry)

    def located(_network: AnatomyNetwork, _volume: Volume) -> Anatomy:
        return anatomy

    monkeypatch.setattr(AnatomyNetwork, "locate", located)
    assert plausibility.sequence_seen(image) == expected


@pytest.mark.parametrize("name", ["scan.nii.gz", "0042.nii.gz"])
def test_content_counts_where_the_name_tells_nothing(
    name: str, scan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = scan.rename(tmp_path / name)
    monkeypatch.setattr(inspection, "sequence_seen", lambda _image: "t2f")
    (found,) = inspection.inspect_input(path)
    assert found.info.guess == "t2f"
    assert found.likely
    assert any("it looks like t2f" in note for note in found.notes)
    monkeypatch.setattr(inspection, "sequence_seen", lambda _image: None)
    (found,) = inspection.inspect_input(path)
    assert found.info.guess is None
    assert found.likely


def test_a_name_that_tells_the_sequence_stands(
    scan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = scan.rename(tmp_path / "patient_t1c.nii.gz")
    asked: list[object] = []
    monkeypatch.setattr(inspection, "sequence_seen", asked.append)
    (found,) = inspection.inspect_input(path)
    assert found.info.guess == "t1c"
    assert not asked
