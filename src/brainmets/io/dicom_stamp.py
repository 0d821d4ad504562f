"""What every DICOM object of ours says about itself, its patient and its making."""

from __future__ import annotations

from colorsys import hls_to_rgb
from dataclasses import dataclass, field
from datetime import datetime
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np

from brainmets.domain.errors import GridMismatch, OutputDiffers
from brainmets.domain.prediction import RESEARCH_USE_ONLY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydicom import Dataset
    from pydicom.dataset import FileDataset

    from brainmets.domain.lesion import Lesion
    from brainmets.domain.prediction import Provenance
    from brainmets.domain.volume import Mask
    from brainmets.io.dicom_source import DicomSeriesSource, SourceSlice

__all__ = [
    "FRAME_OF_REFERENCE_MADE",
    "MANUFACTURER",
    "MOST_SERIES_NUMBER",
    "SERIES_DESCRIPTION",
    "SERIES_NUMBER",
    "Finding",
    "Tracking",
    "begun",
    "coded",
    "colour_of",
    "dataset",
    "decimals",
    "differs",
    "encoded",
    "new_object",
    "numbered",
    "reference",
    "stamp",
    "tracking_of",
]

FRAME_OF_REFERENCE_MADE = (
    "The images have no Frame of Reference UID; one was made for the object: a viewer may not lay"
    " the object over them."
)

MANUFACTURER = "brainmets"
UTF_8 = "ISO_IR 192"
LONG_STRING, SHORT_TEXT = 64, 1024
"""Characters that the types LO and ST hold."""

SERIES_NUMBER = 9_101
"""Of the segmentation; other objects have the numbers after it."""

MOST_SERIES_NUMBER = 999_999
RESEARCH = " - RESEARCH USE ONLY"
SERIES_DESCRIPTION = rf"^[^\\\x00-\x1f\x7f]{{0,{LONG_STRING - len(RESEARCH)}}}$"
"""What may stand before it in a series description."""

REQUIRED = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime",
    "AccessionNumber", "StudyID", "ReferringPhysicianName",
)  # fmt: skip
"""Attributes that must be there, empty where nothing is known (type 2)."""

OPTIONAL = ("PatientAge", "StudyDescription")

COLOURS = (
    (255, 196, 0), (0, 214, 255), (255, 104, 158), (126, 230, 88), (186, 140, 255), (255, 138, 72),
)  # fmt: skip
"""The outlines' colours, as on the page and in overlay.png."""

GOLDEN_TURN = 0.618034
"""Hues this far apart are spread evenly however many there are."""


def colour_of(identifier: int) -> tuple[int, int, int]:
    """Return the colour (red, green, blue; 0 to 255) of a lesion; those of 1 to 999 differ."""
    if identifier <= len(COLOURS):
        return COLOURS[identifier - 1]
    hue = identifier * GOLDEN_TURN % 1.0
    lightness = (0.5, 0.62, 0.74)[identifier % 3]
    red, green, blue = (round(255 * part) for part in hls_to_rgb(hue, lightness, 0.9))
    return red, green, blue


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracking:
    """What one lesion is called in every study of its patient.

    `change` says what became of it since the study before, as a follow-up does; empty where
    nothing is known.
    """

    identifier: str
    uid: str
    change: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Finding:
    """A mask to hand over: lesions by their ids, none perhaps, and who drew them.

    `mask` is on the grid of the images it will refer to. `reviewed` says that a person
    has decided which lesions stand. `tracking` names lesions, by id, as earlier studies do;
    `gone` are lesions of earlier studies that this one no longer shows. `readings` are a reader's
    label and comment by lesion. `series_number` is the segmentation's, other objects' are
    counted from it; `series_description` is every object's, the network's name by default.

    Raises:
        GridMismatch: a lesion has no voxel, or a voxel no lesion.
    """

    mask: Mask
    lesions: tuple[Lesion, ...]
    provenance: Provenance
    reviewed: bool = False
    tracking: Mapping[int, Tracking] = field(default_factory=dict[int, Tracking])
    gone: tuple[Tracking, ...] = ()
    readings: Mapping[int, tuple[str, str]] = field(default_factory=dict[int, tuple[str, str]])
    series_number: int = SERIES_NUMBER
    series_description: str = ""

    def said(self, lesion: Lesion) -> str:
        """Return what a reader called a lesion and wrote of it; empty where nothing."""
        label, comment = self.readings.get(lesion.id, ("", ""))
        parts = (label.replace("_", " "), " ".join(comment.split()))
        text = ": ".join(part for part in parts if part)
        return f"Reader: {text}. " if text else ""

    def __post_init__(self) -> None:
        """Check that mask and lesions tell the same."""
        drawn = set(np.unique(self.mask.data[self.mask.data > 0]).tolist())
        if drawn != {lesion.id for lesion in self.lesions}:
            raise GridMismatch(
                f"a mask of {len(drawn)} lesions with a table of {len(self.lesions)}",
                expected="a line for every lesion of the mask",
                remedy="segment again, or restore the files as they were written",
            )

    def account(self) -> str:
        """Tell in one text which program found this, in what, and how."""
        made = self.provenance
        settings = ", ".join(f"{name} {value}" for name, value in made.settings.items())
        review = " Lesions reviewed by a person." if self.reviewed else " Not reviewed."
        text = (
            f"{RESEARCH_USE_ONLY} Segmented by {MANUFACTURER} {made.code_version}, model"
            f" {made.model} (sha256 {made.model_sha256}), {made.engine}.{review} Input sha256"
            f" {made.input_sha256}. Settings: {settings}."
        )
        return text[:SHORT_TEXT]


def tracking_of(finding: Finding, lesion: Lesion) -> Tracking:
    """Return what a lesion is called: as earlier studies call it, or by its place in this scan.

    The UID is the same in every object made of the same result.
    """
    from pydicom.uid import generate_uid

    if lesion.id in finding.tracking:
        return finding.tracking[lesion.id]
    place = ", ".join(f"{mm:.1f}" for mm in lesion.centroid_ras_mm)
    made_of = [finding.provenance.input_sha256, finding.provenance.model_sha256, place]
    return Tracking(
        identifier=f"{MANUFACTURER} lesion {lesion.id}", uid=str(generate_uid(entropy_srcs=made_of))
    )


def numbered(finding: Finding) -> list[tuple[int, Lesion]]:
    """Return the lesions with consecutive numbers from 1, in order of their ids.

    Rejected lesions leave gaps between ids; numbers in DICOM may have none.
    """
    ordered = sorted(finding.lesions, key=lambda lesion: lesion.id)
    return list(enumerate(ordered, start=1))


def new_object(
    finding: Finding,
    source: DicomSeriesSource,
    sop_class_uid: str,
    *,
    modality: str,
    series: int,
) -> FileDataset:
    """Begin an object in the patient and study of `source`, a new series of one.

    `series` counts from the segmentation's series number.
    """
    from pydicom.uid import generate_uid

    data = begun(source, sop_class_uid, str(generate_uid()))
    data.Modality = modality
    data.SeriesInstanceUID, data.SeriesNumber = generate_uid(), finding.series_number + series
    data.InstanceNumber = 1
    stamp(data, finding, source)
    now = datetime.now().astimezone()
    data.ContentDate = data.SeriesDate = data.InstanceCreationDate = f"{now:%Y%m%d}"
    data.ContentTime = data.SeriesTime = data.InstanceCreationTime = f"{now:%H%M%S}"
    return data


def stamp(data: Dataset, finding: Finding, source: DicomSeriesSource) -> None:
    """Say of an object by which program it was made, from what, and how."""
    made = finding.provenance
    data.SpecificCharacterSet = UTF_8
    for keyword in OPTIONAL:
        if keyword in source.identity:
            setattr(data, keyword, source.identity[keyword])
    described = finding.series_description or f"{MANUFACTURER} {made.model[:30]}"
    data.SeriesDescription = f"{described}{RESEARCH}"[:LONG_STRING]
    data.ManufacturerModelName = made.model[:LONG_STRING]
    data.SoftwareVersions = f"{MANUFACTURER} {made.code_version}"[:LONG_STRING]
    data.DeviceSerialNumber = made.model_sha256[:LONG_STRING] or "unknown"
    data.ContributingEquipmentSequence = [
        dataset(
            PurposeOfReferenceCodeSequence=[coded("109102", "DCM", "Processing Equipment")],
            Manufacturer=MANUFACTURER,
            ManufacturerModelName=data.ManufacturerModelName,
            SoftwareVersions=data.SoftwareVersions,
            ContributionDescription=_account(finding, source),
        )
    ]


def _account(finding: Finding, source: DicomSeriesSource) -> str:
    told = FRAME_OF_REFERENCE_MADE if source.frame_of_reference_made else ""
    return f"{told}{' ' * bool(told)}{finding.account()}"[:SHORT_TEXT]


def begun(source: DicomSeriesSource, sop_class_uid: str, uid: str) -> FileDataset:
    """Begin a file: patient, study and frame of reference of `source`, made by us."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import UID, ExplicitVRLittleEndian

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = UID(sop_class_uid), UID(uid)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    data.SpecificCharacterSet = UTF_8
    data.SOPClassUID, data.SOPInstanceUID = sop_class_uid, uid
    data.Manufacturer = MANUFACTURER
    for keyword in REQUIRED:
        setattr(data, keyword, source.identity.get(keyword, ""))
    data.StudyInstanceUID = source.study_uid
    data.FrameOfReferenceUID = source.frame_of_reference_uid
    data.PositionReferenceIndicator = ""
    return data


def dataset(**attributes: Any) -> Dataset:
    """Return a data set of attributes by keyword."""
    from pydicom import Dataset

    data = Dataset()
    for keyword, value in attributes.items():
        setattr(data, keyword, value)
    return data


def coded(value: str, scheme: str, meaning: str) -> Dataset:
    """Return a code as a sequence item."""
    return dataset(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning)


def reference(image: SourceSlice) -> dict[str, str | int]:
    """Return the attributes that name an image, and its frame where it has several."""
    named: dict[str, str | int] = {
        "ReferencedSOPClassUID": image.sop_class_uid,
        "ReferencedSOPInstanceUID": image.sop_instance_uid,
    }
    return named if image.frame is None else named | {"ReferencedFrameNumber": image.frame}


def decimals(*numbers: float) -> list[str]:
    """Write numbers as decimal strings of at most 16 characters, as exactly as they hold."""
    from pydicom.valuerep import format_number_as_ds

    return [format_number_as_ds(float(number)) for number in numbers]


def encoded(data: Dataset) -> bytes:
    """Return the file's bytes."""
    buffer = BytesIO()
    data.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def differs(what: str) -> OutputDiffers:
    """Say that what was written does not read back."""
    return OutputDiffers(
        f"a {what} that does not read back as the mask it was made from",
        expected="the same lesions in the same place",
        remedy="nothing was written; please report it with the size and spacing of the scan",
    )
