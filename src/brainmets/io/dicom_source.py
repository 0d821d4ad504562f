"""The DICOM series that a mask is on: what segmentation objects must refer to.

Headers only, pixels no further than to recognise a series by its content. Values that would make
an object invalid (a sex or date that is none) are left out rather than handed on.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from brainmets.domain.errors import (
    DicomHeader,
    GridMismatch,
    InputError,
    NoDicom,
    SourceDiffers,
)
from brainmets.domain.regrid import turned_onto
from brainmets.io.dicom_pixels import decode_stack
from brainmets.io.dicom_scan import scan
from brainmets.io.dicom_stack import LPS_TO_RAS, stack_frames
from brainmets.io.entries import entries_of
from brainmets.io.guard import guarded
from brainmets.io.limits import DEFAULT_LIMITS, Limits
from brainmets.io.series import choose, choose_series, group_series

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Sequence as Ordered
    from pathlib import Path

    from numpy.typing import NDArray
    from pydicom import Dataset

    from brainmets.domain.geometry import Geometry
    from brainmets.domain.volume import Mask
    from brainmets.io.dicom_scan import Frame
    from brainmets.io.dicom_stack import Stack
    from brainmets.io.entries import Entry
    from brainmets.io.series import DicomSeries

__all__ = ["DicomSeriesSource", "SourceSlice", "find_source", "holds_dicom"]

TEXTS = {
    "PatientName": 64,
    "PatientID": 64,
    "AccessionNumber": 16,
    "StudyID": 16,
    "StudyDescription": 64,
    "ReferringPhysicianName": 64,
}
"""Who and which study, by the characters their type holds: an object is filed by them."""

PATTERNS = {
    "PatientBirthDate": re.compile(r"[0-9]{8}"),
    "StudyDate": re.compile(r"[0-9]{8}"),
    "StudyTime": re.compile(r"[0-9]{2}([0-9]{2}([0-9]{2}(\.[0-9]{1,6})?)?)?"),
    "PatientSex": re.compile(r"[MFO]"),
    "PatientAge": re.compile(r"[0-9]{3}[DWMY]"),
}
"""The same, by the form that their type demands."""

UID = re.compile(r"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))+")
TAGS = [
    "SpecificCharacterSet", "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID",
    "SeriesInstanceUID", "FrameOfReferenceUID", "PositionReferenceIndicator", "SliceThickness",
    *TEXTS, *PATTERNS,
]  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSlice:
    """One image plane to refer to; `frame` counts from 1 in a multi-frame file, else None."""

    sop_class_uid: str
    sop_instance_uid: str
    frame: int | None
    position_lps_mm: tuple[float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DicomSeriesSource:
    """A series as an object about it needs it: its planes in order of `geometry`'s last axis.

    `identity` holds patient and study by DICOM keyword, as the images have them, cleaned.
    `frame_of_reference_made` says that the images have none and one was made for the object.
    """

    slices: tuple[SourceSlice, ...]
    geometry: Geometry
    study_uid: str
    series_uid: str
    frame_of_reference_uid: str
    identity: Mapping[str, str]
    frame_of_reference_made: bool = False

    @property
    def axes_lps(self) -> NDArray[np.float64]:
        """Unit vectors (2, 3) of increasing column and row index."""
        steps = (LPS_TO_RAS @ self.geometry.affine[:3, :2]).T
        return steps / np.linalg.norm(steps, axis=1, keepdims=True)


def holds_dicom(path: Path, *, limits: Limits = DEFAULT_LIMITS) -> bool:
    """Say whether a file, folder or zip holds any DICOM file.

    Raises:
        InputError: it cannot be opened.
    """
    with entries_of(path, limits) as entries:
        return any(entry.kind == "dicom" for entry in entries)


def find_source(
    path: Path,
    mask: Mask,
    *,
    series: str | None = None,
    sha256: str | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> tuple[DicomSeriesSource, Mask]:
    """Find the series in a DICOM file, folder or zip that a mask is on; turn the mask onto it.

    Of several series the one that fits is taken: by its grid and, where `sha256` identifies the
    content of the segmented series, by that.

    Raises:
        NoDicom: there is no MR series.
        SourceDiffers: the series that fits in space holds other images than were segmented.
        GridMismatch: no series lies where the mask does.
        SeveralSeries: more than one does, and nothing identifies the one meant.
        InputError: as `read_case`.
    """
    with entries_of(path, limits) as entries:
        offered = group_series(scan(_dicom_only(entries, path.name), limits), limits)
        if series is not None:
            offered = (choose_series(offered, series, path.name),)
        fitting = _fitting(offered, mask, limits)
        if sha256 is not None:
            fitting = [one for one in fitting if decode_stack(one[1])[1] == sha256]
            if not fitting:
                raise SourceDiffers(
                    f"images in {path.name} that lie where the mask does but are not those"
                    " segmented",
                    expected="the series that the result was made from",
                    remedy="give that series",
                )
        if len(fitting) > 1:
            choose([one[0].info for one in fitting], None, path.name)  # raises SeveralSeries
        _, stack, turned = fitting[0]
        return _described(stack), turned


def _dicom_only(entries: Ordered[Entry], name: str) -> list[Entry]:
    found = [entry for entry in entries if entry.kind == "dicom"]
    if not found:
        raise NoDicom(
            f"{name} holds no DICOM",
            expected="the folder or zip of the DICOM series that was segmented",
            remedy="give it as the source",
        )
    return found


def _fitting(
    offered: Ordered[DicomSeries], mask: Mask, limits: Limits
) -> list[tuple[DicomSeries, Stack, Mask]]:
    """Those series that hold the mask's voxels; raise the last refusal where none does."""
    fitting: list[tuple[DicomSeries, Stack, Mask]] = []
    refusal: InputError | None = None
    for one in offered:
        try:
            stack = stack_frames(one.frames, limits)
            fitting.append((one, stack, turned_onto(mask, stack.geometry)))
        except InputError as error:
            if refusal is None or isinstance(error, GridMismatch):
                refusal = error
    if not fitting and refusal is not None:
        raise refusal
    return fitting


def _described(stack: Stack) -> DicomSeriesSource:
    headers: dict[int, Dataset] = {}
    slices: list[SourceSlice] = []
    for frame in stack.frames:
        header = headers.get(id(frame.entry))
        if header is None:
            header = headers[id(frame.entry)] = _header(frame)
        x, y, z = frame.position or (0.0, 0.0, 0.0)  # stack_frames has refused None
        slices.append(
            SourceSlice(
                sop_class_uid=_uid(header, "SOPClassUID", frame),
                sop_instance_uid=_uid(header, "SOPInstanceUID", frame),
                frame=frame.index + 1 if _holds_frames(header) else None,
                position_lps_mm=(x, y, z),
            )
        )
    first, at = headers[id(stack.frames[0].entry)], stack.frames[0]
    series_uid = _uid(first, "SeriesInstanceUID", at)
    frame_of_reference, made = _frame_of_reference(first, series_uid)
    return DicomSeriesSource(
        slices=tuple(slices),
        geometry=stack.geometry,
        study_uid=_uid(first, "StudyInstanceUID", at),
        series_uid=series_uid,
        frame_of_reference_uid=frame_of_reference,
        frame_of_reference_made=made,
        identity=_identity(first),
    )


def _header(frame: Frame) -> Dataset:
    from pydicom import dcmread

    with guarded(_broken(frame, "a header that can be read")), frame.entry.open() as stream:
        return dcmread(stream, stop_before_pixels=True, force=True, specific_tags=TAGS)


def _uid(header: Dataset, keyword: str, frame: Frame) -> str:
    fault = _broken(frame, f"a valid {keyword}")
    with guarded(fault):
        value = str(header.get(keyword, "")).strip()
    if len(value) > 64 or not UID.fullmatch(value):
        raise fault
    return value


def _broken(frame: Frame, lacks: str) -> DicomHeader:
    return DicomHeader(
        f"{frame.entry.name} has not {lacks}",
        expected="images that an object can refer to",
        remedy="export the series again from where it is kept",
    )


def _holds_frames(header: Dataset) -> bool:
    """Whether the class is a multi-frame one, whose frames are referred to by number."""
    from pydicom.uid import EnhancedMRImageStorage, LegacyConvertedEnhancedMRImageStorage

    return str(header.get("SOPClassUID", "")) in {
        EnhancedMRImageStorage,
        LegacyConvertedEnhancedMRImageStorage,
    }


def _frame_of_reference(header: Dataset, series_uid: str) -> tuple[str, bool]:
    """The images' own, or one made where an anonymiser has taken it out; and whether it was."""
    from pydicom.uid import generate_uid

    value = str(header.get("FrameOfReferenceUID", "")).strip()
    if value and len(value) <= 64 and UID.fullmatch(value):
        return value, False
    return str(generate_uid(entropy_srcs=["brainmets frame of reference", series_uid])), True


def _identity(header: Dataset) -> dict[str, str]:
    found: dict[str, str] = {}
    fault = DicomHeader(
        "a patient or study attribute that cannot be read",
        expected="a DICOM header of valid text",
        remedy="export the series again",
    )
    with guarded(fault):
        header.decode()
        for keyword in (*TEXTS, *PATTERNS):
            value = header.get(keyword)
            text = "" if value is None else _printable(str(value))
            pattern = PATTERNS.get(keyword)
            if pattern is not None and not pattern.fullmatch(text):
                continue
            limit = TEXTS.get(keyword)
            found[keyword] = text if limit is None else text[:limit].strip()
    return {keyword: text for keyword, text in found.items() if text}


def _printable(text: str) -> str:
    return "".join(sign for sign in text if sign.isprintable() and sign != "\\").strip()
