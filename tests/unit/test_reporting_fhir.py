"""A result as FHIR R4: valid, equal to the lesions, and silent on the patient unless known."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from brainmets.domain import Mask
from brainmets.domain.prediction import RESEARCH_USE_ONLY
from brainmets.io.dicom_source import find_source
from brainmets.io.dicom_sr import values_of
from brainmets.io.dicom_stamp import Tracking, tracking_of
from brainmets.reporting.fhir import fhir_document
from tests.unit.test_io_dicom_objects import LAYOUTS, drawn, finding, shuffled_zip, turned

if TYPE_CHECKING:
    from brainmets.io.dicom_source import DicomSeriesSource
    from brainmets.io.dicom_stamp import Finding

bundles = pytest.importorskip("fhir.resources.R4B.bundle")


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> tuple[Finding, DicomSeriesSource]:
    grid = turned(*LAYOUTS[3])
    archive, _ = shuffled_zip(tmp_path_factory.mktemp("scan"), grid)
    source, mask = find_source(archive, drawn(grid))
    return finding(mask), source


def resources(document: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    """The resources of a kind in a bundle that the FHIR library takes, each reference resolved."""
    bundles.Bundle.model_validate_json(json.dumps(document, allow_nan=False))
    named = [one["fullUrl"] for one in document["entry"]]
    assert len(set(named)) == len(named)
    text = json.dumps(document)
    for place in text.split('"reference": "')[1:]:
        assert place.partition('"')[0] in named
    entries = [one["resource"] for one in document["entry"]]
    return [one for one in entries if one["resourceType"] == kind]


def test_every_lesion_is_an_observation_with_its_measurements(
    scan: tuple[Finding, DicomSeriesSource],
) -> None:
    found, source = scan
    document = fhir_document(found, RESEARCH_USE_ONLY, source)
    (report,) = resources(document, "DiagnosticReport")
    count, *lesions = resources(document, "Observation")

    assert count["valueInteger"] == len(lesions) == len(found.lesions)
    assert len(report["result"]) == 1 + len(lesions)
    assert report["status"] == "preliminary"
    assert RESEARCH_USE_ONLY in report["conclusion"]
    assert report["imagingStudy"][0]["identifier"]["value"] == f"urn:oid:{source.study_uid}"
    assert report["subject"]["identifier"]["value"] == source.identity["PatientID"]
    for told, lesion in zip(lesions, found.lesions, strict=True):
        uid = tracking_of(found, lesion).uid
        assert told["identifier"][0]["value"] == f"urn:oid:{uid}"
        values = {
            one["code"]["coding"][0]["code"]: (
                one["valueQuantity"]["value"],
                one["valueQuantity"]["code"],
            )
            for one in told["component"]
        }
        assert values == {name[0]: (value, unit[0]) for name, value, unit in values_of(lesion)}


def test_patient_is_named_only_where_the_images_are_known(
    scan: tuple[Finding, DicomSeriesSource],
) -> None:
    found, source = scan
    document = fhir_document(found, RESEARCH_USE_ONLY)
    assert resources(document, "Observation")
    for secret in (source.identity["PatientID"], source.identity["PatientName"], source.study_uid):
        assert secret not in json.dumps(document)
    assert "subject" not in json.dumps(document)


def test_lesions_over_time_readings_and_unknown_probabilities(
    scan: tuple[Finding, DicomSeriesSource],
) -> None:
    found, source = scan
    first, *rest = found.lesions
    unseen = replace(first, peak_probability=float("nan"), mean_probability=float("nan"))
    told = replace(
        found,
        lesions=(unseen, *rest),
        reviewed=True,
        tracking={first.id: Tracking(identifier="Lesion 7", uid="2.25.7", change="growing")},
        gone=(Tracking(identifier="Lesion 9", uid="2.25.9", change="gone"),),
        readings={first.id: ("metastasis", "near the vessel")},
    )
    document = fhir_document(told, RESEARCH_USE_ONLY, source)
    _, lesion, *_, gone = resources(document, "Observation")

    assert [one["value"] for one in lesion["identifier"]] == ["urn:oid:2.25.7", "Lesion 7"]
    assert "near the vessel" in lesion["note"][0]["text"]
    assert lesion["component"][-1]["valueCodeableConcept"]["text"] == "growing"
    codes = [one["code"]["coding"][0]["code"] for one in lesion["component"]]
    assert "peak-probability" not in codes
    assert gone["component"][0]["valueQuantity"]["value"] == 0.0
    assert lesion["status"] == "final"


def test_scan_without_lesions_counts_none(scan: tuple[Finding, DicomSeriesSource]) -> None:
    found, source = scan
    none = Mask(data=np.zeros_like(found.mask.data), geometry=found.mask.geometry)
    document = fhir_document(replace(found, mask=none, lesions=()), RESEARCH_USE_ONLY, source)
    (count,) = resources(document, "Observation")
    assert count["valueInteger"] == 0
