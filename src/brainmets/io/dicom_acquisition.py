"""When a DICOM series was acquired and of whom: to put scans in order, never to be kept."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING

from brainmets.domain.errors import DicomHeader
from brainmets.io.dicom_scan import scan
from brainmets.io.entries import entries_of
from brainmets.io.guard import guarded
from brainmets.io.limits import DEFAULT_LIMITS
from brainmets.io.series import choose_series, group_series

if TYPE_CHECKING:
    from pathlib import Path

    from pydicom import Dataset

__all__ = ["Acquisition", "read_acquisition"]

DATES = ("AcquisitionDate", "AcquisitionDateTime", "SeriesDate", "ContentDate", "StudyDate")
"""Attributes that tell the day, the nearest to the patient's time in the scanner first."""

PATIENT = ("PatientID", "PatientName", "PatientBirthDate")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Acquisition:
    """A series' day, and a mark that equal patients share; None where the header is silent.

    The mark is a hash: good for telling two series of one export apart, and nothing else.
    """

    day: date | None = None
    patient: str | None = None


def read_acquisition(path: Path, *, series: str | None = None) -> Acquisition:
    """Read the day and the patient's mark of a DICOM series; both None for other formats.

    Raises:
        InputError: as `read_case`.
    """
    from pydicom import dcmread

    with entries_of(path, DEFAULT_LIMITS) as entries:
        files = [entry for entry in entries if entry.kind == "dicom"]
        if not files:
            return Acquisition()
        offered = group_series(scan(files, DEFAULT_LIMITS), DEFAULT_LIMITS)
        chosen = choose_series(offered, series, path.name)
        fault = DicomHeader(
            f"{path.name} has a DICOM header that cannot be read",
            expected="complete DICOM files",
            remedy="export the series again",
        )
        with guarded(fault), chosen.frames[0].entry.open() as stream:
            header = dcmread(
                stream, stop_before_pixels=True, force=True, specific_tags=[*DATES, *PATIENT]
            )
            return Acquisition(day=_day(header), patient=_patient(header))


def _day(header: Dataset) -> date | None:
    for name in DATES:
        text = str(header.get(name) or "").strip().replace(".", "")[:8]
        try:
            return datetime.strptime(text, "%Y%m%d").date()  # noqa: DTZ007 - a day has no zone
        except ValueError:
            continue
    return None


def _patient(header: Dataset) -> str | None:
    """Hash the patient's identifier, or name and birthday together where there is none."""
    identifier, name, birthday = (str(header.get(tag) or "").strip() for tag in PATIENT)
    told = identifier or (f"{name}\0{birthday}" if name and birthday else "")
    return hashlib.sha256(told.casefold().encode()).hexdigest() if told else None
