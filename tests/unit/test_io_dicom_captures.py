"""Pictures with outlines: valid Secondary Captures of the slices in which lesions are."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from pydicom import dcmread

from brainmets.domain import Mask
from brainmets.domain.prediction import RESEARCH_USE_ONLY
from brainmets.io import read_case
from brainmets.io.dicom_sc import captures
from brainmets.io.dicom_seg import segmentation
from brainmets.io.dicom_source import find_source
from brainmets.io.dicom_sr import measurement_report
from brainmets.io.rtstruct import structure_set
from brainmets.reporting.captures import MOST, drawn_captures
from brainmets.reporting.views import colour_of
from tests.unit.dicom_readers import dciodvfy_errors
from tests.unit.test_io_dicom_objects import LAYOUTS, drawn, finding, shuffled_zip, turned

if TYPE_CHECKING:
    from pathlib import Path

    from brainmets.io.dicom_source import DicomSeriesSource
    from brainmets.io.dicom_stamp import Finding

Scan = tuple["Finding", "DicomSeriesSource", Any]


@pytest.fixture(scope="module", params=[0, 3, 11, 17])
def scan(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Scan:
    grid = turned(*LAYOUTS[request.param], oblique=True)
    archive, _ = shuffled_zip(tmp_path_factory.mktemp("scan"), grid)
    source, mask = find_source(archive, drawn(grid))
    (image,) = read_case(archive).images.values()
    return finding(mask), source, image


def drawn_of(scan: Scan, **changes: Any) -> list[np.ndarray]:
    found, _, image = scan
    mask = changes.pop("mask", found.mask)
    lesions = changes.pop("lesions", found.lesions)
    return drawn_captures(image, mask, lesions, RESEARCH_USE_ONLY)


def test_every_lesion_is_outlined_in_a_valid_picture(scan: Scan, tmp_path: Path) -> None:
    found, source, _ = scan
    pictures = drawn_of(scan)
    seen = {tuple(colour) for one in pictures for colour in np.unique(one.reshape(-1, 3), axis=0)}
    assert {colour_of(lesion.id) for lesion in found.lesions} <= seen
    assert len({one.shape for one in pictures}) == 1

    named = replace(found, series_number=700, series_description="Metastases")
    objects = captures(pictures, named, source)
    read = [dcmread(BytesIO(content)) for content in objects]
    for number, (picture, content, data) in enumerate(
        zip(pictures, objects, read, strict=True), start=1
    ):
        (tmp_path / "sc.dcm").write_bytes(content)
        assert dciodvfy_errors(tmp_path / "sc.dcm") == []
        assert np.array_equal(data.pixel_array, picture)
        assert (data.SeriesNumber, data.InstanceNumber) == (703, number)
        assert data.StudyInstanceUID == source.study_uid
        assert data.PatientID == source.identity["PatientID"]
        assert data.SeriesDescription == "Metastases - RESEARCH USE ONLY"
        assert RESEARCH_USE_ONLY in data.ImageComments
    assert len({data.SOPInstanceUID for data in read}) == len(read)
    assert len({data.SeriesInstanceUID for data in read}) == 1


def test_scan_without_lesions_has_one_picture(scan: Scan) -> None:
    found, _, _ = scan
    none = Mask(data=np.zeros_like(found.mask.data), geometry=found.mask.geometry)
    (picture,) = drawn_of(scan, mask=none, lesions=())
    colours = {tuple(one) for one in np.unique(picture.reshape(-1, 3), axis=0)}
    assert not colours & {colour_of(lesion.id) for lesion in found.lesions}


def test_of_many_slices_those_of_the_largest_lesions_are_drawn(
    scan: Scan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("brainmets.reporting.captures.MOST", 1)
    assert MOST == 30
    found, _, _ = scan
    (picture,) = drawn_of(scan)
    largest = max(found.lesions, key=lambda one: one.volume_mm3)
    colours = {tuple(one) for one in np.unique(picture.reshape(-1, 3), axis=0)}
    assert colour_of(largest.id) in colours


def test_series_of_all_objects_are_numbered_from_one_and_described_alike(scan: Scan) -> None:
    found, source, _ = scan
    named = replace(found, series_number=41, series_description="x" * 44)
    segments = segmentation(named, source)
    objects = [segments, structure_set(named, source), measurement_report(named, source, segments)]
    read = [dcmread(BytesIO(content)) for content in objects]

    assert [int(data.SeriesNumber) for data in read] == [41, 42, 43]
    assert {data.SeriesDescription for data in read} == {"x" * 44 + " - RESEARCH USE ONLY"}
