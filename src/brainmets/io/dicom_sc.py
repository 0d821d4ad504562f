"""A picture as a DICOM Secondary Capture (PS3.3 A.8.1), for viewers that show no Segmentation."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from brainmets.domain.prediction import RESEARCH_USE_ONLY
from brainmets.io.dicom_stamp import MANUFACTURER, differs, encoded, stamp
from brainmets.io.guard import guarded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from brainmets.io.dicom_source import DicomSeriesSource
    from brainmets.io.dicom_stamp import Finding

__all__ = ["captures"]

SERIES = 3
"""Counted from the segmentation's series number."""


def captures(
    pictures: Sequence[NDArray[np.uint8]], finding: Finding, source: DicomSeriesSource
) -> list[bytes]:
    """Return one series with an image for each picture (row, column, red-green-blue).

    Columns run to the patient's left, rows to the back.

    Raises:
        OutputDiffers: read back with pydicom, the pixels are others.
    """
    from pydicom.uid import generate_uid

    series = str(generate_uid())
    return [
        _capture(picture, number, series, finding, source)
        for number, picture in enumerate(pictures, start=1)
    ]


def _capture(
    picture: NDArray[np.uint8],
    number: int,
    series: str,
    finding: Finding,
    source: DicomSeriesSource,
) -> bytes:
    from highdicom.sc import SCImage
    from pydicom.uid import generate_uid

    known = source.identity
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of values that the images brought
        data: Any = SCImage(
            pixel_array=picture,
            photometric_interpretation="RGB",
            bits_allocated=8,
            coordinate_system="PATIENT",
            patient_orientation=("L", "P"),
            study_instance_uid=source.study_uid,
            series_instance_uid=series,
            series_number=finding.series_number + SERIES,
            sop_instance_uid=str(generate_uid()),
            instance_number=number,
            manufacturer=MANUFACTURER,
            patient_id=known.get("PatientID", ""),
            patient_name=known.get("PatientName", ""),
            patient_birth_date=known.get("PatientBirthDate", ""),
            patient_sex=known.get("PatientSex", ""),
            accession_number=known.get("AccessionNumber", ""),
            study_id=known.get("StudyID", ""),
            study_date=known.get("StudyDate", ""),
            study_time=known.get("StudyTime", ""),
            referring_physician_name=known.get("ReferringPhysicianName", ""),
        )
    stamp(data, finding, source)
    data.BodyPartExamined = "BRAIN"
    data.ConversionType = "WSD"
    data.ImageComments = RESEARCH_USE_ONLY
    data.BurnedInAnnotation = "NO"  # of numbers and sizes, of nobody's identity
    content, fault = encoded(data), differs("secondary capture")
    with guarded(fault):
        same = np.array_equal(_read(content), picture)
    if not same:
        raise fault
    return content


def _read(content: bytes) -> NDArray[np.uint8]:
    from io import BytesIO

    from pydicom import dcmread

    return dcmread(BytesIO(content)).pixel_array
