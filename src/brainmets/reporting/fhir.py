"""A result as HL7 FHIR R4: a Bundle with a DiagnosticReport and an Observation for each lesion.

The codes are those of the DICOM measurement report. Patient and study are named by their DICOM
identifiers where the DICOM images are known, and not at all elsewhere.
"""

from __future__ import annotations

import math
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid5

from brainmets.io.dicom_sr import CHANGE, COUNT, OWN, VOLUME, site_of, values_of
from brainmets.io.dicom_stamp import MANUFACTURER, tracking_of

if TYPE_CHECKING:
    from brainmets.domain import Lesion
    from brainmets.io.dicom_source import DicomSeriesSource
    from brainmets.io.dicom_stamp import Finding, Tracking

__all__ = ["fhir_document"]

SYSTEMS = {"SCT": "http://snomed.info/sct", OWN: "urn:brainmets:codes"}
UCUM = "http://unitsofmeasure.org"
CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
SECTION = "http://terminology.hl7.org/CodeSystem/v2-0074"
DICOM_UID = "urn:dicom:uid"
NAMES = UUID("6f0a3d6e-6c0f-5a0e-9a53-6a1f6f3f2f10")
"""Ids are made of what they name: the same result has the same ids."""


def fhir_document(
    finding: Finding, notice: str, source: DicomSeriesSource | None = None
) -> dict[str, Any]:
    """Return a collection Bundle: report, device, and observations of count and lesions."""
    made = finding.provenance
    base = f"{made.input_sha256} {made.model_sha256} {made.code_version}"
    now = datetime.now().astimezone().isoformat(timespec="seconds")
    status = "final" if finding.reviewed else "preliminary"
    known = {} if source is None else source.identity
    common: dict[str, Any] = {"status": status} | _subject(known) | _day(known)
    device = _entry(base, "Device", "device", _device(finding))
    measured = {"device": {"reference": device["fullUrl"]}} | common
    found = [_lesion(finding, one) for one in finding.lesions]
    found += [_gone(one) for one in finding.gone]
    observations = [
        _entry(base, "Observation", str(n), one | measured)
        for n, one in enumerate([_count(finding), *found])
    ]
    report: dict[str, Any] = common | {
        "category": [{"coding": [{"system": SECTION, "code": "NMR", "display": "Nuclear Magnetic"
                                  " Resonance"}]}],
        "code": _concept(("90084008", "SCT", "MRI of head")),
        "issued": now,
        "result": [{"reference": one["fullUrl"]} for one in observations],
        "conclusion": f"{notice} {len(finding.lesions)} lesions. {finding.account()}",
    }  # fmt: skip
    if source is not None:
        study = {"system": DICOM_UID, "value": f"urn:oid:{source.study_uid}"}
        report["imagingStudy"] = [{"type": "ImagingStudy", "identifier": study}]
    return {
        "resourceType": "Bundle",
        "type": "collection",
        "timestamp": now,
        "entry": [_entry(base, "DiagnosticReport", "report", report), device, *observations],
    }


def _entry(base: str, kind: str, name: str, resource: dict[str, Any]) -> dict[str, Any]:
    identity = uuid5(NAMES, f"{base} {kind} {name}")
    return {
        "fullUrl": f"urn:uuid:{identity}",
        "resource": {"resourceType": kind, "id": str(identity)} | resource,
    }


def _subject(known: Any) -> dict[str, Any]:
    patient = known.get("PatientID", "")
    return {"subject": {"type": "Patient", "identifier": {"value": patient}}} if patient else {}


def _day(known: Any) -> dict[str, Any]:
    day = known.get("StudyDate", "")
    return {"effectiveDateTime": f"{day[:4]}-{day[4:6]}-{day[6:8]}"} if len(day) == 8 else {}


def _device(finding: Finding) -> dict[str, Any]:
    made = finding.provenance
    return {
        "manufacturer": MANUFACTURER,
        "deviceName": [{"name": made.model, "type": "model-name"}],
        "serialNumber": made.model_sha256,
        "version": [{"value": made.code_version}],
    }


def _count(finding: Finding) -> dict[str, Any]:
    return _observation(COUNT) | {"valueInteger": len(finding.lesions)}


def _lesion(finding: Finding, lesion: Lesion) -> dict[str, Any]:
    tracked = tracking_of(finding, lesion)
    site, side = site_of(lesion)
    where = {"coding": [one for code in (site, side) if code for one in _coding(code)]}
    told = _observation(("52988006", "SCT", "Lesion")) | _named(tracked)
    told["bodySite"] = where | ({"text": lesion.where} if lesion.where else {})
    told["component"] = [
        {"code": _concept(name), "valueQuantity": _quantity(value, unit)}
        for name, value, unit in values_of(lesion)
        if not math.isnan(value)
    ] + _change(tracked)
    if said := finding.said(lesion):
        told["note"] = [{"text": said.strip()}]
    return told


def _gone(tracked: Tracking) -> dict[str, Any]:
    volume = {"code": _concept(VOLUME), "valueQuantity": _quantity(0.0, ("mm3", "UCUM", ""))}
    return (
        _observation(("52988006", "SCT", "Lesion"))
        | _named(tracked)
        | {"component": [volume, *_change(tracked)]}
    )


def _observation(code: tuple[str, str, str]) -> dict[str, Any]:
    category = {"system": CATEGORY, "code": "imaging", "display": "Imaging"}
    return {"category": [{"coding": [category]}], "code": _concept(code)}


def _named(tracked: Tracking) -> dict[str, Any]:
    return {
        "identifier": [
            {"system": DICOM_UID, "value": f"urn:oid:{tracked.uid}"},
            {"value": tracked.identifier},
        ]
    }


def _change(tracked: Tracking) -> list[dict[str, Any]]:
    if not tracked.change:
        return []
    return [{"code": _concept(CHANGE), "valueCodeableConcept": {"text": tracked.change}}]


def _concept(code: tuple[str, str, str]) -> dict[str, Any]:
    return {"coding": _coding(code), "text": code[2]}


def _coding(code: tuple[str, str, str]) -> list[dict[str, str]]:
    value, scheme, meaning = code
    return [{"system": SYSTEMS[scheme], "code": value, "display": meaning}]


def _quantity(value: float, unit: tuple[str, str, str]) -> dict[str, Any]:
    return {"value": value, "unit": unit[0], "system": UCUM, "code": unit[0]}
