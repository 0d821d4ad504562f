"""When a DICOM series was acquired, of whom, and what it calls itself."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Literal

from brainmets.domain.errors import DicomHeader
from brainmets.io.dicom_scan import scan
from brainmets.io.entries import entries_of
from brainmets.io.guard import guarded
from brainmets.io.limits import DEFAULT_LIMITS
from brainmets.io.series import choose_series, group_series

if TYPE_CHECKING:
    from pathlib import Path

    from pydicom import Dataset

__all__ = ["Acquisition", "ShownPatient", "Title", "read_acquisition", "read_title"]

DATES = ("AcquisitionDate", "AcquisitionDateTime", "SeriesDate", "ContentDate", "StudyDate")
"""Attributes that tell the day, the nearest to the patient's time in the scanner first."""

PATIENT = ("PatientID", "PatientName", "PatientBirthDate")


LONGEST_LINE = 64

ShownPatient = Literal["none", "id", "name"]
"""What may be shown of a patient: nothing, the identifier, or the name."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Title:
    """What a series calls itself: day of acquisition, description, patient as far as allowed."""

    day: date | None = None
    description: str = ""
    patient: str = ""

    def __str__(self) -> str:
        """Say it in a line; empty where nothing is known."""
        day = "" if self.day is None else self.day.isoformat()
        return " · ".join(filter(None, (self.patient, day, self.description)))


@dataclass(frozen=True, slots=True, repr=False)
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
    header = _first_header(path, series, [*DATES, *PATIENT])
    return Acquisition() if header is None else Acquisition(_day(header), _patient(header))


def read_title(path: Path, *, series: str | None = None, patient: ShownPatient = "none") -> Title:
    """Read what a DICOM series calls itself, for its owner to see; empty for other formats.

    Args:
        path: the input as `read_case` takes it.
        series: which series, as `read_case` takes it.
        patient: what may be shown of the patient.

    Raises:
        InputError: as `read_case`.
    """
    named = {"none": (), "id": ("PatientID",), "name": ("PatientName",)}[patient]
    header = _first_header(path, series, [*DATES, "SeriesDescription", *named])
    if header is None:
        return Title()
    return Title(
        day=_day(header),
        description=_line(header.get("SeriesDescription")),
        patient=_line(header.get(named[0])).replace("^", " ").strip() if named else "",
    )


def _line(value: object) -> str:
    """One short line of printable letters."""
    letters = (one if one.isprintable() else " " for one in str(value or ""))
    return " ".join("".join(letters).split())[:LONGEST_LINE]


def _first_header(path: Path, series: str | None, tags: list[str]) -> Dataset | None:
    """Read attributes of a series' first file; None where there is no DICOM."""
    from pydicom import dcmread

    with entries_of(path, DEFAULT_LIMITS) as entries:
        files = [entry for entry in entries if entry.kind == "dicom"]
        if not files:
            return None
        offered = group_series(scan(files, DEFAULT_LIMITS), DEFAULT_LIMITS)
        chosen = choose_series(offered, series, path.name)
        fault = DicomHeader(
            f"{path.name} has a DICOM header that cannot be read",
            expected="complete DICOM files",
            remedy="export the series again",
        )
        with guarded(fault), chosen.frames[0].entry.open() as stream:
            return dcmread(stream, stop_before_pixels=True, force=True, specific_tags=[*tags])


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
