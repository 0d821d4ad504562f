"""A result taken away in the formats that other systems read."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, field, replace
from shutil import rmtree
from typing import TYPE_CHECKING, Literal, get_args

from brainmets.domain.errors import InputError, OptionError, OutputDiffers, SourceDiffers
from brainmets.domain.regrid import turned_onto
from brainmets.io import write_mask
from brainmets.io.dicom_images import derived_series, images_of
from brainmets.io.dicom_sc import captures
from brainmets.io.dicom_seg import segmentation
from brainmets.io.dicom_source import find_source, holds_dicom
from brainmets.io.dicom_sr import measurement_report
from brainmets.io.dicom_stamp import (
    FRAME_OF_REFERENCE_MADE,
    MOST_SERIES_NUMBER,
    SERIES_DESCRIPTION,
    SERIES_NUMBER,
    Finding,
    Tracking,
)
from brainmets.io.rtstruct import no_region, structure_set
from brainmets.reporting.captures import drawn_captures
from brainmets.reporting.documents import (
    lesions_document,
    lesions_table,
    mask_comment,
    report_json,
)
from brainmets.reporting.edited import EDITED
from brainmets.reporting.fhir import fhir_document
from brainmets.reporting.names import REPORT, is_export
from brainmets.reporting.slicer_scene import write_scene
from brainmets.reporting.staging import check_output, staged
from brainmets.reporting.stored import read_result
from brainmets.workflows.segmented_image import read_segmented

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Sequence as Ordered
    from pathlib import Path

    from brainmets.domain import Mask
    from brainmets.domain.errors import BrainmetsError
    from brainmets.io.dicom_source import DicomSeriesSource
    from brainmets.reporting.stored import StoredResult

__all__ = ["FORMATS", "ExportFormat", "ExportOptions", "ExportResult", "export"]

ExportFormat = Literal[
    "dicom-seg", "sr", "rtstruct", "captures", "fhir", "nifti", "slicer", "csv", "json"
]

FORMATS: tuple[ExportFormat, ...] = get_args(ExportFormat)

DICOM: frozenset[ExportFormat] = frozenset({"dicom-seg", "sr", "rtstruct", "captures"})

NAMES: dict[ExportFormat, str] = {
    "dicom-seg": "segmentation.dcm",
    "sr": "measurements.dcm",
    "rtstruct": "structures.dcm",
    "captures": "captures",
    "fhir": "report.fhir.json",
    "nifti": "lesions.nii.gz",
    "slicer": "scene.mrb",
    "csv": "lesions.csv",
    "json": "report.json",
}
"""What each format's file is called; captures are a folder of files."""

IMAGES = "images"
"""Folder of the DICOM images made of a NIfTI scan."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOptions:
    """What to write.

    `source` is what was segmented, or the DICOM series it was converted from: DICOM objects
    refer to its images. `series` chooses among several. `original` leaves a reader's corrections
    aside. `review` is the folder of a saved review, by default the result's own. `tracking` names
    lesions, by id, as earlier studies do; `gone` are those of earlier studies that are gone.
    `series_number` and `series_description` are as in `Finding`.

    Raises:
        OptionError: a number or a description that DICOM does not hold.
    """

    formats: tuple[ExportFormat, ...]
    source: Path | None = None
    series: str | None = None
    original: bool = False
    review: Path | None = None
    tracking: Mapping[int, Tracking] = field(default_factory=dict[int, Tracking])
    gone: tuple[Tracking, ...] = ()
    series_number: int = SERIES_NUMBER
    series_description: str = ""

    def __post_init__(self) -> None:
        """Check what the series are called."""
        fits = re.fullmatch(SERIES_DESCRIPTION, self.series_description)
        if not fits or not 1 <= self.series_number <= MOST_SERIES_NUMBER:
            raise OptionError(
                "a series number or description that DICOM does not hold",
                expected=f"a number of 1 to {MOST_SERIES_NUMBER}, at most 44 characters without"
                " line breaks and backslashes",
                remedy="choose others",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportResult:
    """What was written: paths by format, and `images` where images were made along.

    `refused` says why a format could not be written; the others were. `notes` are sentences for
    the user.
    """

    files: dict[str, Path]
    lesions: int
    notes: tuple[str, ...] = ()
    refused: dict[str, BrainmetsError] = field(default_factory=dict)


def export(folder: Path, out: Path, options: ExportOptions) -> ExportResult:
    """Write a result that `segment` left in `folder` into `out`.

    A measurement report refers to a segmentation, which is written along unless there is no lesion.

    A format that cannot be written does not keep the others from being written. Files that an
    earlier export left in `out` under other names stay.

    Raises:
        NotAResult: `folder` holds no result.
        OptionError: no format can hold this result, or all need `source`.
        NothingToExport: there is no lesion, and the only format needs one.
        InputError: no format can be written, as `source` cannot be used or is not what was
            segmented.
        OutputExists, DiskFull, OutputDiffers: `out` does not take the files.
    """
    result = read_result(folder, review=options.review, original=options.original)
    refused = _refused_at_once(result, options)
    if len(refused) == len(options.formats):
        raise next(iter(refused.values()))
    if "sr" not in refused:
        options = _with_segmentation(result, options)
    check_output(out, may_replace=is_export)
    with staged(out, owned=frozenset()) as draft:
        notes = _write(result, folder, draft, options, refused)
        if len(refused) == len(options.formats):
            raise next(iter(refused.values()))
        names = {kind: NAMES[kind] for kind in options.formats if kind not in refused}
        if (draft / IMAGES).is_dir():
            names |= {IMAGES: IMAGES}
    return ExportResult(
        files={kind: out / name for kind, name in names.items()},
        lesions=len(result.lesions),
        notes=tuple(notes),
        refused={kind: refused[kind] for kind in options.formats if kind in refused},
    )


def _with_segmentation(result: StoredResult, options: ExportOptions) -> ExportOptions:
    needed = "sr" in options.formats and result.lesions and "dicom-seg" not in options.formats
    return replace(options, formats=("dicom-seg", *options.formats)) if needed else options


def _refused_at_once(
    result: StoredResult, options: ExportOptions
) -> dict[ExportFormat, BrainmetsError]:
    """Refuse what no work can bring about."""
    refused: dict[ExportFormat, BrainmetsError] = {}
    for kind in options.formats:
        if result.kind == "slices" and (kind in DICOM or kind in {"nifti", "fhir", "slicer"}):
            refused[kind] = OptionError(
                f"slice images for {kind}",
                expected="a scan with position and orientation",
                remedy="take the PNG masks from the result folder, or csv, json and the PDF report",
            )
        elif kind in DICOM and options.source is None:
            refused[kind] = OptionError(
                "no source images",
                expected="the images that the DICOM object is to refer to",
                remedy="name the DICOM folder or zip that was segmented (or the NIfTI file, to"
                " get DICOM images made along) with --source",
            )
        elif kind == "slicer" and options.source is None:
            refused[kind] = OptionError(
                "no scan for the scene",
                expected="the images that were segmented",
                remedy="name them with --source",
            )
        elif kind == "rtstruct" and not result.lesions:
            refused[kind] = no_region()
    return refused


def _write(
    result: StoredResult,
    folder: Path,
    draft: Path,
    options: ExportOptions,
    refused: dict[ExportFormat, BrainmetsError],
) -> list[str]:
    notes: list[str] = []
    if result.reviewed:
        notes.append(f"As reviewed: {result.rejected} of the lesions found were rejected.")
    if result.edited:
        notes.append(EDITED)
    formats: list[ExportFormat] = [kind for kind in options.formats if kind not in refused]
    objects: list[ExportFormat] = [kind for kind in FORMATS if kind in DICOM and kind in formats]
    notes += _write_objects(result, draft, options, objects, refused)
    if "fhir" in formats:
        notes += [one for one in _write_fhir(result, draft, options, refused) if one not in notes]
    if "nifti" in formats:
        comment = mask_comment(result.provenance, notice=result.notice, reviewed=result.reviewed)
        write_mask(result.mask, draft / NAMES["nifti"], comment=comment)
    if "slicer" in formats and options.source is not None:
        try:
            image = read_segmented(result, options.source, series=options.series)
        except InputError as error:
            refused["slicer"] = error
        else:
            write_scene(result, image, draft / NAMES["slicer"])
    if "csv" in formats:
        table = lesions_table(
            result.lesions,
            result.provenance,
            units=result.mask.geometry.units,
            notice=result.notice,
            slice_names=result.slice_names,
            readings=result.readings,
        )
        (draft / NAMES["csv"]).write_text(table, encoding="utf-8")
    if "json" in formats:
        (draft / NAMES["json"]).write_text(_document(result, folder), encoding="utf-8")
    return notes


def _write_objects(
    result: StoredResult,
    draft: Path,
    options: ExportOptions,
    objects: Ordered[ExportFormat],
    refused: dict[ExportFormat, BrainmetsError],
) -> list[str]:
    """Write DICOM objects, noting in `refused` those that cannot be."""
    if not objects or options.source is None:
        return []
    try:
        images, finding, notes = _finding(result, options, options.source, draft)
    except InputError as error:
        refused |= dict.fromkeys(objects, error)
        return []
    segments: bytes | None = None
    for kind in objects:  # a segmentation goes before the report that refers to it
        try:
            if kind == "dicom-seg":
                segments = segmentation(finding, images)
                (draft / NAMES[kind]).write_bytes(segments)
            elif kind == "sr" and "dicom-seg" in refused:
                refused[kind] = refused["dicom-seg"]
            elif kind == "sr":
                content = measurement_report(finding, images, segments if finding.lesions else None)
                (draft / NAMES[kind]).write_bytes(content)
            elif kind == "captures":
                _write_captures(result, draft, options, finding, images)
            else:
                (draft / NAMES[kind]).write_bytes(structure_set(finding, images))
        except (InputError, OutputDiffers) as error:
            refused[kind] = error
    if all(kind in refused for kind in objects):
        rmtree(draft / IMAGES, ignore_errors=True)  # nothing refers to them
        return []
    return notes


def _write_captures(
    result: StoredResult,
    draft: Path,
    options: ExportOptions,
    finding: Finding,
    images: DicomSeriesSource,
) -> None:
    if options.source is None:
        return
    image = read_segmented(result, options.source, series=options.series)
    pictures = drawn_captures(image, result.mask, result.lesions, result.notice)
    (draft / NAMES["captures"]).mkdir()
    for number, content in enumerate(captures(pictures, finding, images), start=1):
        (draft / NAMES["captures"] / f"{number:03}.dcm").write_bytes(content)


def _write_fhir(
    result: StoredResult,
    draft: Path,
    options: ExportOptions,
    refused: dict[ExportFormat, BrainmetsError],
) -> list[str]:
    """Write the FHIR document, with patient and study where the DICOM images are at hand."""
    images, notes = None, list[str]()
    finding = _as_finding(result, result.mask, options)
    if options.source is not None and result.kind != "slices" and holds_dicom(options.source):
        try:
            images, finding, notes = _finding(result, options, options.source, draft)
        except InputError as error:
            refused["fhir"] = error
            return []
    document = fhir_document(finding, result.notice, images)
    (draft / NAMES["fhir"]).write_text(report_json(document), encoding="utf-8")
    return notes


def _finding(
    result: StoredResult, options: ExportOptions, source: Path, draft: Path
) -> tuple[DicomSeriesSource, Finding, list[str]]:
    """Find the images to refer to, or make some; lay the mask on them."""
    series = options.series
    notes: list[str] = []
    if holds_dicom(source):
        content = result.input_sha256 if result.format == "dicom" else None
        found, mask = find_source(source, result.mask, series=series, sha256=content)
        if content is None:
            notes.append("The DICOM series was recognised by its place, not by its content.")
        if found.frame_of_reference_made:
            notes.append(FRAME_OF_REFERENCE_MADE)
    elif result.format == "dicom":
        raise SourceDiffers(
            f"no DICOM in {source.name}",
            expected="the DICOM series that was segmented",
            remedy="give its folder or zip",
        )
    else:
        image = read_segmented(result, source, series=series)
        found = derived_series(image.geometry, result.provenance.input_sha256)
        mask = turned_onto(result.mask, found.geometry)
        (draft / IMAGES).mkdir()
        for name, content in images_of(image, found):
            (draft / IMAGES / name).write_bytes(content)
        notes.append(
            f"{IMAGES}/ holds the scan as {len(found.slices)} DICOM images of an unknown patient:"
            " the object refers to them, send both."
        )
    return found, _as_finding(result, mask, options), notes


def _as_finding(result: StoredResult, mask: Mask, options: ExportOptions) -> Finding:
    return Finding(
        mask=mask,
        lesions=result.lesions,
        provenance=result.provenance,
        reviewed=result.reviewed,
        tracking=options.tracking,
        gone=options.gone,
        readings=result.readings,
        series_number=options.series_number,
        series_description=options.series_description,
    )


def _document(result: StoredResult, folder: Path) -> str:
    """The report as it was written, with the lesions that stand."""
    document = json.loads((folder / REPORT).read_text(encoding="utf-8"))
    document["provenance"] = asdict(result.provenance)
    document |= lesions_document(result.lesions)
    for row in document["lesions"]:
        if row["id"] in result.readings:
            row["label"], row["comment"] = result.readings[row["id"]]
    document["warnings"] = list(result.warnings)
    document["review"] = {"reviewed": result.reviewed, "rejected": result.rejected}
    if result.edited:
        document["review"]["edited"] = True
    return report_json(document)
