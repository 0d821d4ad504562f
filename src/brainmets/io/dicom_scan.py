"""Finding the image frames in a heap of DICOM files, by their headers alone."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cache
from io import BytesIO
from typing import TYPE_CHECKING, Any, BinaryIO

from brainmets.domain.errors import DicomHeader, TooLarge
from brainmets.io.dicom_skim import skim
from brainmets.io.guard import guarded

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pydicom import Dataset

    from brainmets.io.dicom_skim import Skimmed
    from brainmets.io.entries import Entry
    from brainmets.io.limits import Limits

__all__ = ["Frame", "Hints", "PixelLayout", "Scan", "scan"]

PIXEL_DATA, PIXEL_DATA_BIG_ENDIAN = b"\xe0\x7f\x10\x00", b"\x7f\xe0\x00\x10"
"""Tag (7FE0,0010) as its four bytes."""

DEFLATED = b"1.2.840.10008.1.2.1.99"
MEDIA_STORAGE_CLASS = b"\x02\x00\x02\x00UI"
META_BYTES = 1_024
"""The file meta group, with the transfer syntax, ends before."""

MR_IMAGES = {
    "1.2.840.10008.5.1.4.1.1.4",  # MR Image Storage
    "1.2.840.10008.5.1.4.1.1.4.1",  # Enhanced MR Image Storage
    "1.2.840.10008.5.1.4.1.1.4.4",  # Legacy Converted Enhanced MR Image Storage
}
STANDARD = "1.2.840.10008."
"""How the storage classes of the standard begin; a vendor's own may be MR images."""

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
MODALITIES = ("MR", "OT", "")
"""What may be an MR image; CT, PT, SEG, RTSTRUCT, SR, PR and the rest are left aside."""

LOCALISER_TYPES = ("LOCALIZER", "SCOUT")
PROJECTION_TYPES = ("PROJECTION IMAGE", "MIP", "MINIP", "MIN IP", "MAX IP", "MAXIP")
"""How values of Image Type of single planes begin that are not slices of a volume."""

TAGS = [
    "SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "SeriesNumber", "Modality", "ImageType",
    "SeriesDescription", "ProtocolName", "ContrastBolusAgent", "ContrastBolusAgentSequence",
    "ScanningSequence", "RepetitionTime", "EchoTime", "InversionTime", "EchoNumbers",
    "AcquisitionNumber", "TemporalPositionIdentifier", "Rows", "Columns", "PixelSpacing",
    "ImageOrientationPatient", "ImagePositionPatient", "RescaleSlope", "RescaleIntercept",
    "SamplesPerPixel", "PhotometricInterpretation", "BitsAllocated", "BitsStored", "HighBit",
    "PixelRepresentation", "NumberOfFrames", "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
]  # fmt: skip

KNOWN_AT_MOST = 4_096
"""Kinds of headers that are remembered."""

FUNCTIONAL_GROUPS = (
    "PlanePositionSequence", "PlaneOrientationSequence", "PixelMeasuresSequence",
    "PixelValueTransformationSequence", "FrameContentSequence", "MRImageFrameTypeSequence",
    "MREchoSequence", "MRTimingAndRelatedParametersSequence", "MRModifierSequence",
    "MRDiffusionSequence",
)  # fmt: skip
"""Where multi-frame files keep what classic ones have at the top (DICOM PS3.3 C.7.6.16)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hints:
    """What a header says about the MR sequence; never shown, only used to guess."""

    description: str = ""
    contrast: bool = False
    inversion_recovery: bool = False
    repetition_ms: float = math.nan
    echo_ms: float = math.nan
    inversion_ms: float = math.nan


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelLayout:
    """How one file stores its pixels.

    `at` is the byte where uncompressed pixels begin.
    """

    compressed: bool
    at: int
    big_endian: bool
    samples: int
    photometric: str
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One image plane: a whole classic file, or one frame of a multi-frame file.

    `orientation` holds the direction cosines of increasing column and row index, `position`
    the centre of the first pixel, both in LPS mm; None where the header has none. `facets` tell
    volumes apart that share a series: echo, image type, time point.
    """

    entry: Entry
    index: int
    instance_uid: str
    series_uid: str
    series_number: int
    rows: int
    columns: int
    spacing_mm: tuple[float, float]
    orientation: tuple[float, ...] | None
    position: tuple[float, ...] | None
    slope: float
    intercept: float
    localiser: bool
    projection: bool
    capture: bool
    facets: tuple[tuple[str, str], ...]
    hints: Hints
    pixels: PixelLayout


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """What a heap of DICOM files holds.

    `aside` lists names of files that are no MR image, and what they are. `broken` lists faults of
    files that may be, with the series they belong to where that could be read.
    """

    frames: tuple[Frame, ...]
    aside: tuple[tuple[str, str], ...] = ()
    broken: tuple[tuple[str | None, DicomHeader], ...] = ()


def scan(entries: Iterable[Entry], limits: Limits) -> Scan:
    """Return every MR frame among DICOM `entries`; other objects are left aside.

    Raises:
        TooLarge: there are more frames than `limits` allow.
    """
    frames: list[Frame] = []
    aside: list[tuple[str, str]] = []
    broken: list[tuple[str | None, DicomHeader]] = []
    known: dict[bytes, _Known] = {}
    for entry in entries:
        found = _File(entry, known)
        try:
            frames += found.frames()
        except DicomHeader as fault:
            broken.append((found.series_uid, fault))
        if found.other is not None:
            aside.append((entry.name, found.other))
        if len(frames) > limits.max_slices * 16:
            raise TooLarge(
                f"more than {limits.max_slices * 16:,} DICOM frames",
                expected="one examination",
                remedy="give a single series",
            )
    return Scan(frames=tuple(frames), aside=tuple(aside), broken=tuple(broken))


@dataclass(frozen=True, slots=True)
class _Known:
    """What came of a file; others that are alike need no parsing."""

    frame: Frame | None
    series_uid: str | None
    other: str | None


class _File:
    """One file: its frames, or what `other` object it is."""

    def __init__(self, entry: Entry, known: dict[bytes, _Known]) -> None:
        self._entry, self._known = entry, known
        self.other: str | None = None
        self.series_uid: str | None = None

    def frames(self) -> list[Frame]:
        """Return the MR frames.

        Raises:
            DicomHeader: the header cannot be read.
        """
        name = self._entry.name
        fault = DicomHeader(
            f"{name} has a DICOM header that cannot be read or ends before the pixels",
            expected="complete DICOM files",
            remedy="export the series again",
        )
        with guarded(fault), self._entry.open() as stream:
            head = stream.read(META_BYTES)
            storage = _storage_class(head)
            if not _may_be_mr(storage):
                self.other = _class_name(storage)
                return []
            if DEFLATED in head:
                raise _deflated(name)
            stream.seek(0)
            small = skim(stream, _wanted())
            if small is None:
                stream.seek(0)
                return self._parsed(stream, 0)
            if small.alike is None:
                return self._parsed_part(small)
            return self._like_others(small)

    def _like_others(self, small: Skimmed) -> list[Frame]:
        """Parse the first of the files that differ in identifier and position alone."""
        key = small.alike or b""
        if key not in self._known:
            frames = self._parsed_part(small)
            if len(self._known) < KNOWN_AT_MOST and len(frames) < 2:
                self._known[key] = _Known(
                    frames[0] if frames else None, self.series_uid, self.other
                )
            return frames
        known = self._known[key]
        self.series_uid, self.other = known.series_uid, known.other
        if known.frame is None:
            return []
        return [
            replace(
                known.frame,
                entry=self._entry,
                instance_uid=small.instance_uid,
                position=small.position if all(map(math.isfinite, small.position)) else None,
                pixels=replace(known.frame.pixels, at=small.at),
            )
        ]

    def _parsed_part(self, small: Skimmed) -> list[Frame]:
        return self._parsed(BytesIO(small.content), small.at - len(small.content))

    def _parsed(self, stream: BinaryIO, shift: int) -> list[Frame]:
        """Parse a file whose pixels begin `shift` bytes further on than in `stream`."""
        from pydicom import dcmread

        header = dcmread(stream, stop_before_pixels=True, force=True, specific_tags=TAGS)
        self.series_uid = str(header.get("SeriesInstanceUID") or "") or None
        if not _is_mr_image(header):
            self.other = _class_name(str(header.get("SOPClassUID", "")))
            return []
        return list(_frames(header, self._entry, _layout(header, stream, shift)))


@cache
def _wanted() -> frozenset[bytes]:
    """Return `TAGS` as little-endian files hold them."""
    from pydicom.tag import Tag

    tags = [Tag(name) for name in [*TAGS, "SpecificCharacterSet"]]
    return frozenset(
        tag.group.to_bytes(2, "little") + tag.element.to_bytes(2, "little") for tag in tags
    )


def _storage_class(head: bytes) -> str:
    """Read the storage class from the file meta group, which comes before anything deflated."""
    at = head.find(MEDIA_STORAGE_CLASS)
    if at < 0:
        return ""
    start = at + len(MEDIA_STORAGE_CLASS) + 2
    length = int.from_bytes(head[start - 2 : start], "little")
    return head[start : start + length].rstrip(b"\0 ").decode("ascii", "replace")


def _may_be_mr(storage: str) -> bool:
    standard = storage.startswith(STANDARD) and not storage.startswith(SECONDARY_CAPTURE)
    return storage in MR_IMAGES or not standard


def _class_name(storage: str) -> str:
    from pydicom.uid import UID

    name = UID(storage).name if storage.startswith(STANDARD) else ""
    return name.removesuffix(" Storage") if name and name != storage else "no MR image"


def _deflated(name: str) -> DicomHeader:
    """Deflated data sets are turned away: the parser would inflate them without any bound."""
    return DicomHeader(
        f"{name} is deflated as a whole",
        expected="a data set that is not deflated; compressed pixels are fine",
        remedy="convert it, for instance with dcmconv +te",
    )


def _is_mr_image(header: Dataset) -> bool:
    meta = getattr(header, "file_meta", {})  # a file cut short still has its meta group
    if {
        str(header.get("SOPClassUID", "")),
        str(meta.get("MediaStorageSOPClassUID", "")),
    } & MR_IMAGES:
        return True
    if not _may_be_mr(str(header.get("SOPClassUID", ""))):
        return False
    placed = "ImagePositionPatient" in header or "PerFrameFunctionalGroupsSequence" in header
    return placed and "Rows" in header and str(header.get("Modality", "")).strip() in MODALITIES


def _frames(header: Dataset, entry: Entry, pixels: PixelLayout) -> Iterator[Frame]:
    if "PerFrameFunctionalGroupsSequence" not in header:
        yield _frame(header, entry, 0, [header], pixels)
        return
    shared = list(header.get("SharedFunctionalGroupsSequence") or ())[:1]
    for index, own in enumerate(header.PerFrameFunctionalGroupsSequence):
        groups = [own, *shared]
        items = [
            item
            for group in groups
            for macro in FUNCTIONAL_GROUPS
            for item in (group.get(macro) or ())[:1]
        ]
        yield _frame(header, entry, index, [*items, header], pixels)


def _frame(
    header: Dataset, entry: Entry, index: int, places: list[Dataset], pixels: PixelLayout
) -> Frame:
    image_type = [
        str(part).strip().upper() for part in _values(_find(places, "FrameType", "ImageType"))
    ]
    spacing = _numbers(_find(places, "PixelSpacing"), 2)
    return Frame(
        entry=entry,
        index=index,
        instance_uid=str(header.get("SOPInstanceUID", "")),
        series_uid=str(header.get("SeriesInstanceUID", "")),
        series_number=_series_number(header),
        rows=int(header.get("Rows", 0)),
        columns=int(header.get("Columns", 0)),
        spacing_mm=(spacing[0], spacing[1]) if spacing else (math.nan, math.nan),
        orientation=_numbers(_find(places, "ImageOrientationPatient"), 6),
        position=_numbers(_find(places, "ImagePositionPatient"), 3),
        slope=_number(_find(places, "RescaleSlope"), 1.0),
        intercept=_number(_find(places, "RescaleIntercept"), 0.0),
        localiser=any(part in LOCALISER_TYPES for part in image_type),
        projection=any(part.startswith(PROJECTION_TYPES) for part in image_type),
        capture=str(header.get("SOPClassUID", "")).startswith(SECONDARY_CAPTURE),
        facets=_facets(places, image_type),
        hints=_hints(header, places),
        pixels=pixels,
    )


def _layout(header: Dataset, stream: BinaryIO, shift: int) -> PixelLayout:
    """Describe the pixels; the parser has stopped `stream` right before their head."""
    syntax = getattr(header, "file_meta", {}).get("TransferSyntaxUID")
    compressed = bool(syntax and syntax.is_compressed)  # deflated data sets count as well
    implicit, little = header.original_encoding
    here = stream.tell()
    if stream.read(4) != (PIXEL_DATA if little else PIXEL_DATA_BIG_ENDIAN):
        raise EOFError
    allocated = int(header.get("BitsAllocated", 16))
    stored = int(header.get("BitsStored", allocated))
    return PixelLayout(
        compressed=compressed,
        at=shift + here + (8 if implicit else 12),  # tag and length, with or without the type
        big_endian=not little,
        samples=int(header.get("SamplesPerPixel", 1)),
        photometric=str(header.get("PhotometricInterpretation", "")).strip(),
        bits_allocated=allocated,
        bits_stored=stored,
        high_bit=int(header.get("HighBit", stored - 1)),
        signed=bool(header.get("PixelRepresentation", 0)),
    )


def _facets(places: list[Dataset], image_type: list[str]) -> tuple[tuple[str, str], ...]:
    component = _find(places, "ComplexImageComponent")
    return (
        ("image type", "/".join([*image_type[2:], str(component or "")])),
        ("echo", str(_find(places, "EffectiveEchoTime", "EchoNumbers", "EchoTime"))),
        ("b-value", str(_find(places, "DiffusionBValue"))),
        ("time", str(_find(places, "TemporalPositionIndex", "TemporalPositionIdentifier"))),
        ("acquisition", str(_find(places, "AcquisitionNumber"))),
    )


def _hints(header: Dataset, places: list[Dataset]) -> Hints:
    words = (str(header.get(name, "")) for name in ("SeriesDescription", "ProtocolName"))
    agent = str(header.get("ContrastBolusAgent") or "").strip().casefold()
    return Hints(
        description=" ".join(words),
        contrast=agent not in {"", "no", "none", "n"}
        or bool(header.get("ContrastBolusAgentSequence")),
        inversion_recovery="IR" in _values(_find(places, "ScanningSequence"))
        or str(_find(places, "InversionRecovery")) == "YES",
        repetition_ms=_loose(places, "RepetitionTime"),
        echo_ms=_loose(places, "EffectiveEchoTime", "EchoTime"),
        inversion_ms=_loose(places, "InversionTime", "InversionTimes"),
    )


def _find(places: list[Dataset], *names: str) -> Any:
    """Return the first value present under any of the names, the closest place first."""
    for place in places:
        for name in names:
            value = place.get(name)
            if value is not None and value != "":
                return value
    return None


def _values(value: Any) -> list[Any]:
    if value is None:
        return []
    return [value] if isinstance(value, (str, int, float)) else list(value)


def _number(value: Any, default: float) -> float:
    values = _values(value)
    return float(values[0]) if values else default


def _loose(places: list[Dataset], *names: str) -> float:
    """Return a number that only helps to guess: NaN where it is missing or no number."""
    try:
        return _number(_find(places, *names), math.nan)
    except (ValueError, TypeError, OverflowError):
        return math.nan


def _series_number(header: Dataset) -> int:
    number = _loose([header], "SeriesNumber")
    return int(number) if math.isfinite(number) else 0


def _numbers(value: Any, count: int) -> tuple[float, ...] | None:
    values = tuple(float(one) for one in _values(value))
    finite = len(values) == count and all(math.isfinite(one) for one in values)
    return values if finite else None
