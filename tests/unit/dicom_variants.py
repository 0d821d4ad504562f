"""DICOM folders as they come: each variant makes one, and says what must become of it.

`expected` is the code of the refusal, or None where the series of `write_variant`'s head must be
read whole. `noted` are words of the note that the result then carries. Import the table for
further checks: every variant writes nothing but its own files.
"""

from __future__ import annotations

import gzip
import shutil
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pydicom
from pydicom.uid import generate_uid

from tests.unit.io_files import head, write_dicom

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["VARIANTS", "Variant", "variant_head"]

CLASSES = "1.2.840.10008.5.1.4.1.1."
STANDARD_ASIDE = {
    "MR Spectroscopy": f"{CLASSES}4.2",
    "Parametric Map": f"{CLASSES}30",
    "Segmentation": f"{CLASSES}66.4",
    "Grayscale Softcopy Presentation State": f"{CLASSES}11.1",
    "Basic Text SR": f"{CLASSES}88.11",
    "RT Structure Set": f"{CLASSES}481.3",
    "Encapsulated PDF": f"{CLASSES}104.1",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One kind of folder: `make` writes it and returns what is to be read."""

    feature: str
    make: Callable[[Path], Path]
    expected: str | None = None
    noted: tuple[str, ...] = ()
    series: str | None = None
    volumes: int = 1


def variant_head() -> Any:
    """The head that every variant holds."""
    return head((24, 28, 12))


def _series(folder: Path, **options: Any) -> list[Path]:
    return write_dicom(folder / "s", variant_head(), shuffled=False, **options)


def _preambles(start: bytes, every: int) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        for number, path in enumerate(_series(folder)):
            if number % every == 0:
                content = path.read_bytes()
                path.write_bytes(start + content[len(start) :])
        return folder / "s"

    return make


def _beside(storage: str, *, cut: int | None = None, deflated: bool = False) -> Callable[..., Path]:
    def make(folder: Path) -> Path:
        paths = _series(folder)
        data = pydicom.dcmread(paths[0])
        data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = storage
        data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        del data.PixelData
        if deflated:
            data.file_meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian
        data.save_as(folder / "s" / "other")
        if cut:
            content = (folder / "s" / "other").read_bytes()
            (folder / "s" / "other").write_bytes(content[:cut])
        return folder / "s"

    return make


def _plane(image_type: list[str], **changes: Any) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        data = pydicom.dcmread(_series(folder)[5])
        data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # small letters, as some devices write them
            data.ImageType = image_type
            for name, value in changes.items():
                setattr(data, name, value)
            data.save_as(folder / "s" / "plane")
        return folder / "s"

    return make


def _changed(change: Callable[[int], dict[str, Any]]) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        _series(folder, changes={k: change(k) for k in range(12)})
        return folder / "s"

    return make


def _twice(folder: Path) -> Path:
    _series(folder)
    shutil.copytree(folder / "s", folder / "s" / "again")
    return folder / "s"


def _one_copy(folder: Path) -> Path:
    shutil.copy(_series(folder)[3], folder / "s" / "again")
    return folder / "s"


def _other_pixels(folder: Path) -> Path:
    data = pydicom.dcmread(_series(folder)[3])
    data.PixelData = data.PixelData[:-2] + b"\1\0"
    data.save_as(folder / "s" / "again")
    return folder / "s"


def _dark_slice(folder: Path) -> Path:
    path = _series(folder)[5]
    data = pydicom.dcmread(path)
    data.PhotometricInterpretation = "MONOCHROME1"
    data.save_as(path)
    return folder / "s"


def _gzipped(folder: Path) -> Path:
    for path in _series(folder):
        path.write_bytes(gzip.compress(path.read_bytes()))
    return folder / "s"


def _two_numbers(uids: tuple[str, str]) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        write_dicom(folder / "s/a", variant_head(), uid=uids[0], number=2)
        write_dicom(folder / "s/b", head((20, 20, 10)), uid=uids[1], number=5)
        for path in (folder / "s").rglob("x*"):
            data = pydicom.dcmread(path)
            data.SeriesInstanceUID = data.SeriesInstanceUID if uids[0] else ""
            data.save_as(path)
        return folder / "s"

    return make


def _two_facets(folder: Path) -> Path:
    for echo in (1, 2):
        for part in ("M", "P"):
            write_dicom(
                folder / "s" / f"{echo}{part}",
                variant_head(),
                uid="1.2.3",
                EchoTime=str(10 * echo),
                EchoNumbers=echo,
                ImageType=["ORIGINAL", "PRIMARY", part, "NONE"],
            )
    return folder / "s"


def _other_formats(folder: Path) -> Path:
    _series(folder)
    (folder / "s" / "notes.txt").write_text("seen by nobody\n" * 40, encoding="utf-8")
    return folder / "s"


def _cut_slice(folder: Path) -> Path:
    path = _series(folder)[11]  # the last one: nothing else would tell that it is lacking
    path.write_bytes(path.read_bytes()[:900])
    return folder / "s"


def _deflated(folder: Path) -> Path:
    path = _series(folder)[11]
    data = pydicom.dcmread(path)
    data.file_meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian
    data.save_as(path)
    return folder / "s"


VARIANTS = (
    *(
        Variant(feature=f"preamble {start!r} in 1 file of {every}", make=_preambles(start, every))
        for start in (b"II*\0", b"MM\0*", b"PK\x03\x04", b"\x1f\x8b", b"\xff\xd8\xff")
        for every in (1, 3)
    ),
    *(
        Variant(feature=f"{name} in the folder", make=_beside(uid), noted=("Left aside", name))
        for name, uid in STANDARD_ASIDE.items()
    ),
    Variant(
        feature="presentation state cut short in the folder",
        make=_beside(f"{CLASSES}11.1", cut=700),
        noted=("Presentation State",),
    ),
    Variant(
        feature="deflated structured report in the folder",
        make=_beside(f"{CLASSES}88.11", deflated=True),
        noted=("SR",),
    ),
    Variant(
        feature="localiser plane among the slices",
        make=_plane(
            ["ORIGINAL", "PRIMARY", "LOCALIZER"], ImageOrientationPatient=[0, 1, 0, 0, 0, -1]
        ),
        noted=("plane (localiser)",),
    ),
    Variant(
        feature="maximum intensity projection among the slices",
        make=_plane(["DERIVED", "SECONDARY", "PROJECTION IMAGE", "MIP"]),
        noted=("plane (projection",),
    ),
    Variant(
        feature="localiser plane in small letters among the slices",
        make=_plane(["ORIGINAL", "PRIMARY", "Localizer"]),
        noted=("plane (localiser)",),
    ),
    Variant(
        feature="sagittal MIP among the slices",
        make=_plane(["DERIVED", "PRIMARY", "MIP SAG"]),
        noted=("plane (projection",),
    ),
    Variant(
        feature="secondary capture among the slices",
        make=_plane(
            ["DERIVED", "SECONDARY"], SOPClassUID=f"{CLASSES}7"
        ),
        noted=("plane (secondary capture",),
    ),
    Variant(
        feature="one slice with high values dark",
        make=_dark_slice,
        expected="E_SLICES_MIXED",
    ),
    Variant(
        feature="every file gzipped",
        make=_gzipped,
        expected="E_FORMAT",
    ),
    Variant(
        feature="text file in the folder", make=_other_formats, noted=("notes.txt (text)",)
    ),
    Variant(
        feature="series UID of its own for every slice",
        make=_changed(lambda k: {"SeriesInstanceUID": f"1.2.3.{k + 1}"}),
        noted=("12 series",),
    ),
    Variant(
        feature="series number of its own for every slice",
        make=_changed(lambda k: {"SeriesNumber": k + 1}),
        noted=("12 series",),
    ),
    Variant(feature="no series UID", make=_changed(lambda _: {"SeriesInstanceUID": ""})),
    Variant(
        feature="empty series UIDs with two series numbers",
        make=_two_numbers(("", "")),
        series="2",
        volumes=2,
    ),
    Variant(
        feature="two series numbers under one UID",
        make=_two_numbers(("1.2.3", "1.2.3")),
        series="2",
        volumes=2,
    ),
    Variant(
        feature="series number that is another line's index",
        make=_two_numbers(("1.2.4", "1.2.3")),
        series="2",
        volumes=2,
    ),
    Variant(feature="every file twice", make=_twice, noted=("12 copies",)),
    Variant(feature="one file twice", make=_one_copy, noted=("1 copy",)),
    Variant(
        feature="one instance UID twice in one place with other pixels",
        make=_other_pixels,
        expected="E_SLICES_DUPLICATE",
    ),
    Variant(
        feature="echo and magnitude/phase in one series",
        make=_two_facets,
        series="line:1",
        volumes=4,
    ),
    Variant(feature="last slice cut short", make=_cut_slice, expected="E_DICOM_HEADER"),
    Variant(
        feature="MR image deflated as a whole",
        make=_deflated,
        expected="E_DICOM_HEADER",
    ),
)  # fmt: skip
"""Every kind of folder that the tests know."""
