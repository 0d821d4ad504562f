"""A scan without lesions as a DICOM Segmentation: valid, read by others, and empty."""

from __future__ import annotations

from typing import TYPE_CHECKING

import highdicom
import numpy as np
import pytest

from brainmets.domain import Mask
from brainmets.io.dicom_seg import segmentation
from brainmets.io.dicom_source import find_source
from brainmets.io.dicom_stamp import Finding
from tests.unit.dicom_readers import dciodvfy_errors
from tests.unit.io_files import head, write_dicom, write_enhanced
from tests.unit.test_io_dicom_objects import LAYOUTS, MADE, turned

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("kind", ["classic", "oblique", "enhanced"])
def test_a_scan_without_lesions_is_a_valid_segmentation(kind: str, tmp_path: Path) -> None:
    grid = turned(*LAYOUTS[5], oblique=kind != "classic")
    empty = Mask(data=np.zeros(grid.shape, np.uint8), geometry=grid)
    image = head(shape=grid.shape, affine=np.array(grid.affine))
    if kind == "enhanced":
        write_enhanced(tmp_path / "a.dcm", image)
    else:
        write_dicom(tmp_path / "a.dcm", image)
    source, on_source = find_source(tmp_path / "a.dcm", empty)
    content = segmentation(
        Finding(mask=on_source, lesions=(), provenance=MADE, reviewed=kind == "oblique"), source
    )
    (tmp_path / "seg.dcm").write_bytes(content)

    read = highdicom.seg.segread(tmp_path / "seg.dcm")
    assert [one.segment_label for one in map(read.get_segment_description, [1])] == ["No lesion"]
    volume = read.get_volume()
    assert not volume.array.any()
    assert sorted(volume.spatial_shape) == sorted(grid.shape)
    assert dciodvfy_errors(tmp_path / "seg.dcm") == []
