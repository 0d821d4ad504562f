"""Measurement reports: valid, equal to the lesions, and read by other software."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING

import highdicom
import numpy as np
import pytest
from pydicom.uid import generate_uid

from brainmets.domain import Mask
from brainmets.domain.prediction import RESEARCH_USE_ONLY
from brainmets.io.dicom_seg import segmentation
from brainmets.io.dicom_source import find_source
from brainmets.io.dicom_sr import measurement_report
from brainmets.io.dicom_stamp import Tracking
from tests.unit.dicom_readers import dciodvfy_errors
from tests.unit.test_io_dicom_objects import LAYOUTS, drawn, finding, shuffled_zip, turned

if TYPE_CHECKING:
    from pathlib import Path

    from brainmets.io.dicom_source import DicomSeriesSource
    from brainmets.io.dicom_stamp import Finding

FIELDS = {
    "Volume": "volume_mm3",
    "Long axis": "diameter_in_plane_mm",
    "Short axis": "perpendicular_mm",
    "Longest diameter in space": "diameter_3d_mm",
    "Peak probability of a lesion": "peak_probability",
}


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> tuple[Finding, DicomSeriesSource]:
    folder = tmp_path_factory.mktemp("scan")
    archive, _ = shuffled_zip(folder, turned(*LAYOUTS[3], oblique=True))
    source, mask = find_source(archive, drawn(turned(*LAYOUTS[3], oblique=True)))
    return finding(mask), source


def checked(path: Path) -> str:
    """What DCMTK prints of a report that dicom3tools has no error for."""
    assert dciodvfy_errors(path) == []
    if not shutil.which("dsrdump"):
        pytest.skip("no dsrdump: apt install dcmtk")
    done = subprocess.run(["dsrdump", "+Pl", path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def groups(path: Path, *, volumetric: bool) -> list:
    report = highdicom.sr.srread(path).content
    if volumetric:
        return report.get_volumetric_roi_measurement_groups()
    return report.get_image_measurement_groups()


def test_report_holds_what_was_measured(
    scan: tuple[Finding, DicomSeriesSource], tmp_path: Path
) -> None:
    found, source = scan
    segments, path = segmentation(found, source), tmp_path / "sr.dcm"
    path.write_bytes(measurement_report(found, source, segments))

    assert RESEARCH_USE_ONLY in checked(path)
    (tmp_path / "seg.dcm").write_bytes(segments)
    seg = highdicom.seg.segread(tmp_path / "seg.dcm")
    by_uid = {str(s.TrackingUID): int(s.SegmentNumber) for s in seg.SegmentSequence}
    read = groups(path, volumetric=True)
    assert {group.tracking_uid for group in read} == set(by_uid)
    for group in read:
        number = by_uid[group.tracking_uid]
        lesion = found.lesions[number - 1]
        assert group.referenced_segment.referenced_segment_numbers == [number]
        values = {one.name.meaning: one.value for one in group.get_measurements()}
        for name, field in FIELDS.items():
            assert values[name] == pytest.approx(getattr(lesion, field), abs=5e-4)


def test_lesions_keep_the_names_of_earlier_studies(
    scan: tuple[Finding, DicomSeriesSource], tmp_path: Path
) -> None:
    found, source = scan
    old, lost = str(generate_uid()), str(generate_uid())
    followed = replace(
        found,
        tracking={2: Tracking(identifier="Lesion 7", uid=old, change="growing")},
        gone=(Tracking(identifier="Lesion 4", uid=lost, change="gone"),),
    )
    path = tmp_path / "sr.dcm"
    path.write_bytes(measurement_report(followed, source, segmentation(followed, source)))

    assert "Growing" in checked(path)
    named = {one.tracking_uid: one for one in groups(path, volumetric=True)}
    assert named[old].tracking_identifier == "Lesion 7"
    (resolved,) = groups(path, volumetric=False)
    assert (resolved.tracking_uid, resolved.get_measurements()[0].value) == (lost, 0)


def test_a_scan_without_lesions_has_a_report_that_counts_none(
    scan: tuple[Finding, DicomSeriesSource], tmp_path: Path
) -> None:
    found, source = scan
    mask = Mask(data=np.zeros_like(found.mask.data), geometry=found.mask.geometry)
    path = tmp_path / "sr.dcm"
    none = replace(found, mask=mask, lesions=())
    path.write_bytes(measurement_report(none, source, None))

    assert "Number of lesions" in checked(path)
    (only,) = groups(path, volumetric=False)
    assert only.get_measurements()[0].value == 0


def test_two_reports_of_one_result_name_lesions_alike(
    scan: tuple[Finding, DicomSeriesSource], tmp_path: Path
) -> None:
    found, source = scan
    named = []
    for number in range(2):
        path = tmp_path / f"{number}.dcm"
        path.write_bytes(measurement_report(found, source, segmentation(found, source)))
        named.append({one.tracking_uid for one in groups(path, volumetric=True)})

    assert named[0] == named[1]
    assert len(named[0]) == len(found.lesions)
