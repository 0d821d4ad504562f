"""Lesions as a DICOM measurement report (PS3.16 TID 1500), built by highdicom.

One measurement group a lesion: volume, diameters, probability and place, the lesion's name over
time, and the segment that was measured. A lesion of an earlier study that is gone has a group
without a segment. A scan without lesions has one group that counts none.
"""

from __future__ import annotations

import math
import warnings
from io import BytesIO
from typing import TYPE_CHECKING, Any

from brainmets.domain.prediction import RESEARCH_USE_ONLY
from brainmets.io.dicom_stamp import (
    LONG_STRING,
    MANUFACTURER,
    begun,
    differs,
    encoded,
    numbered,
    stamp,
    tracking_of,
)
from brainmets.io.guard import guarded

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydicom import Dataset

    from brainmets.domain.lesion import Lesion
    from brainmets.io.dicom_source import DicomSeriesSource
    from brainmets.io.dicom_stamp import Finding, Tracking

__all__ = [
    "CHANGE",
    "COUNT",
    "OWN",
    "VOLUME",
    "measurement_report",
    "read_measurements",
    "site_of",
    "values_of",
]

Code = tuple[str, str, str]
"""Value, scheme and meaning."""

SERIES = 2
"""Counted from the segmentation's series number."""

OWN = "99BRAINMETS"
"""Designator of codes that no standard has."""

DECIMALS = 3
"""Of millimetres, cubic millimetres and probabilities."""

SITES = {
    "frontal": ("83251001", "Frontal lobe"),
    "parietal": ("16630005", "Parietal lobe"),
    "temporal": ("78277001", "Temporal lobe"),
    "occipital": ("31065004", "Occipital lobe"),
    "cerebell": ("113305005", "Cerebellum"),
    "brain stem": ("119238007", "Brain Stem"),
    "thalamus": ("42695009", "Thalamus"),
}
"""SNOMED CT structures by a word of a lesion's place; anything else is in the brain."""

SIDES = {"left": ("7771000", "Left"), "right": ("24028007", "Right")}

VOLUME = ("118565006", "SCT", "Volume")
LONG_AXIS = ("103339001", "SCT", "Long axis")
SHORT_AXIS = ("103340004", "SCT", "Short axis")
LONGEST_IN_SPACE = ("longest-3d", OWN, "Longest diameter in space")
PROBABILITY = ("peak-probability", OWN, "Peak probability of a lesion")
COUNT = ("lesion-count", OWN, "Number of lesions")
CHANGE = ("change", OWN, "Change since the previous scan")
MM, MM3, ONE = ("mm", "UCUM", "millimeter"), ("mm3", "UCUM", "cubic millimeter"), ("1", "UCUM", "1")


def measurement_report(
    finding: Finding, source: DicomSeriesSource, segments: bytes | None
) -> bytes:
    """Return a measurement report of the lesions; `segments` is their Segmentation object.

    Raises:
        OutputDiffers: read back with pydicom alone, the measurements are others.
    """
    from pydicom import dcmread
    from pydicom.uid import generate_uid

    whole = None if segments is None else dcmread(BytesIO(segments), stop_before_pixels=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of values that the images brought
        data: Any = _report(finding, source, whole, str(generate_uid()), str(generate_uid()))
    stamp(data, finding, source)
    content, fault = encoded(data), differs("measurement report")
    with guarded(fault):
        found = read_measurements(content)
    if found != _meant(finding):
        raise fault
    return content


def read_measurements(content: bytes) -> dict[str, dict[str, float]]:
    """Read a report with pydicom alone: values by code value, by tracking UID."""
    from pydicom import dcmread

    found: dict[str, dict[str, float]] = {}
    for group in _groups(dcmread(BytesIO(content))):
        uid, values = "", dict[str, float]()
        for item in group.ContentSequence:
            code = str(item.ConceptNameCodeSequence[0].CodeValue)
            if item.ValueType == "UIDREF" and code == "112040":
                uid = str(item.UID)
            elif item.ValueType == "NUM":
                values[code] = float(item.MeasuredValueSequence[0].NumericValue)
        found[uid] = values
    return found


def _groups(data: Dataset) -> Iterator[Dataset]:
    """Yield every Measurement Group (125007, DCM)."""
    for item in data.get("ContentSequence", ()):
        if item.ValueType == "CONTAINER":
            if str(item.ConceptNameCodeSequence[0].CodeValue) == "125007":
                yield item
            else:
                yield from _groups(item)


def values_of(lesion: Lesion) -> list[tuple[Code, float, Code]]:
    """Return what a lesion measures, where it is known: name, value, unit."""
    told = [
        (VOLUME, lesion.volume_mm3, MM3),
        (LONG_AXIS, lesion.diameter_in_plane_mm, MM),
        (SHORT_AXIS, lesion.perpendicular_mm, MM),
        (LONGEST_IN_SPACE, lesion.diameter_3d_mm, MM),
        (PROBABILITY, lesion.peak_probability, ONE),
    ]
    return [
        (name, round(value, DECIMALS), unit) for name, value, unit in told if not math.isnan(value)
    ]


def _meant(finding: Finding) -> dict[str, dict[str, float]]:
    meant = {
        tracking_of(finding, lesion).uid: {name[0]: value for name, value, _ in values_of(lesion)}
        for lesion in finding.lesions
    }
    meant |= {one.uid: {VOLUME[0]: 0.0} for one in finding.gone}
    return meant or {_none_found(finding).uid: {COUNT[0]: 0.0}}


def _none_found(finding: Finding) -> Tracking:
    from pydicom.uid import generate_uid

    from brainmets.io.dicom_stamp import Tracking

    made = finding.provenance
    uid = generate_uid(entropy_srcs=["no lesion", made.input_sha256, made.model_sha256])
    return Tracking(identifier=f"{MANUFACTURER}: no lesion", uid=str(uid))


def _report(
    finding: Finding, source: DicomSeriesSource, segments: Dataset | None, series: str, uid: str
) -> Dataset:
    from highdicom import sr
    from pydicom.sr.codedict import codes

    evidence = _images(source)
    if segments is not None:
        evidence.append(segments)
    groups: list[Any] = []
    if segments is not None:
        for number, lesion in numbered(finding):
            groups.append(_measured(finding, lesion, number, segments, source))
    groups += [_plain_group(one, VOLUME, MM3) for one in finding.gone]
    groups = groups or [_plain_group(_none_found(finding), COUNT, ONE)]
    device = sr.DeviceObserverIdentifyingAttributes(
        uid=_device_uid(finding),
        name=MANUFACTURER,
        manufacturer_name=MANUFACTURER,
        model_name=finding.provenance.model[:LONG_STRING],
        serial_number=finding.provenance.model_sha256[:LONG_STRING],
    )
    content = sr.MeasurementReport(
        observation_context=sr.ObservationContext(
            observer_device_context=sr.ObserverContext(
                observer_type=codes.DCM.Device, observer_identifying_attributes=device
            )
        ),
        procedure_reported=_code("90084008", "SCT", "MRI of head"),
        imaging_measurements=groups,
        title=codes.DCM.ImagingMeasurementReport,
    )
    content[0].ContentSequence.append(_comment(f"{RESEARCH_USE_ONLY} {finding.account()}"))
    return sr.Comprehensive3DSR(
        evidence=evidence,
        content=content[0],
        series_instance_uid=series,
        series_number=finding.series_number + SERIES,
        sop_instance_uid=uid,
        instance_number=1,
        manufacturer=MANUFACTURER,
        is_complete=True,
    )


def _measured(
    finding: Finding, lesion: Lesion, number: int, segments: Dataset, source: DicomSeriesSource
) -> Any:
    from highdicom import sr

    made, tracked = finding.provenance, tracking_of(finding, lesion)
    group = sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(uid=tracked.uid, identifier=tracked.identifier),
        referenced_segment=sr.ReferencedSegment(
            sop_class_uid=segments.SOPClassUID,
            sop_instance_uid=segments.SOPInstanceUID,
            segment_number=number,
            source_series=sr.SourceSeriesForSegmentation(source.series_uid),
        ),
        finding_type=_code("52988006", "SCT", "Lesion"),
        algorithm_id=sr.AlgorithmIdentification(
            name=made.model[:LONG_STRING], version=made.code_version, manufacturer=MANUFACTURER
        ),
        finding_sites=[_site(lesion)],
        measurements=[
            sr.Measurement(name=_code(*name), value=value, unit=_code(*unit))
            for name, value, unit in values_of(lesion)
        ],
        qualitative_evaluations=_change(tracked),
    )
    if said := finding.said(lesion):
        group[0].ContentSequence.append(_comment(said.strip()))
    return group


def _plain_group(tracked: Tracking, name: tuple[str, str, str], unit: tuple[str, str, str]) -> Any:
    """A group of one measurement, 0, that no segment shows."""
    from highdicom import sr

    return sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(uid=tracked.uid, identifier=tracked.identifier),
        finding_type=_code("52988006", "SCT", "Lesion"),
        finding_sites=[sr.FindingSite(_code("12738006", "SCT", "Brain"))],
        measurements=[sr.Measurement(name=_code(*name), value=0.0, unit=_code(*unit))],
        qualitative_evaluations=_change(tracked),
    )


def _change(tracked: Tracking) -> Any:
    from highdicom import sr

    if not tracked.change:
        return None
    value = _code(tracked.change.replace(" ", "-")[:16], OWN, tracked.change.capitalize())
    return [sr.QualitativeEvaluation(name=_code(*CHANGE), value=value)]


def site_of(lesion: Lesion) -> tuple[Code, Code | None]:
    """Return the codes of a lesion's structure and side."""
    known = (site for word, site in SITES.items() if word in lesion.place)
    value, meaning = next(known, ("12738006", "Brain"))
    side = SIDES.get(lesion.side)
    return (value, "SCT", meaning), None if side is None else (side[0], "SCT", side[1])


def _site(lesion: Lesion) -> Any:
    from highdicom import sr

    site, side = site_of(lesion)
    return sr.FindingSite(_code(*site), laterality=None if side is None else _code(*side))


def _comment(text: str) -> Any:
    from highdicom import sr

    return sr.TextContentItem(
        name=_code("121106", "DCM", "Comment"),
        value=text,
        relationship_type=sr.RelationshipTypeValues.CONTAINS,
    )


def _code(value: str, scheme: str, meaning: str) -> Any:
    from highdicom.sr import CodedConcept

    return CodedConcept(value, scheme, meaning)


def _device_uid(finding: Finding) -> str:
    from pydicom.uid import generate_uid

    made = finding.provenance
    return str(generate_uid(entropy_srcs=[MANUFACTURER, made.model, made.model_sha256]))


def _images(source: DicomSeriesSource) -> list[Dataset]:
    """Every image of the series once, with what a report copies of it."""
    whole = {one.sop_instance_uid: one.sop_class_uid for one in source.slices}
    images: list[Dataset] = []
    for uid, kind in whole.items():
        image = begun(source, kind, uid)
        image.SeriesInstanceUID = source.series_uid
        images.append(image)
    return images
