"""Results taken away: the same lesions in every format, the right images or a refusal."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
import pydicom
import pytest

from brainmets.domain import Geometry, HeadPhantom
from brainmets.domain.errors import (
    NotAResult,
    NothingToExport,
    OptionError,
    OutputExists,
    SourceDiffers,
)
from brainmets.inference import OperatingPoint
from brainmets.io import write_volume
from brainmets.io.dicom_sr import read_measurements
from brainmets.workflows.export import FORMATS, ExportFormat, ExportOptions, export
from brainmets.workflows.report import ReportOptions, write_report
from brainmets.workflows.segment import SegmentOptions, segment
from tests.bundles import random_bundle

if TYPE_CHECKING:
    from pathlib import Path

OFTEN = OperatingPoint(threshold=0.55, peak=0.6, min_volume_mm3=40.0)
NEVER = OperatingPoint(threshold=1.0, peak=1.0, min_volume_mm3=1e6)


def segmented(root: Path, point: OperatingPoint) -> tuple[Path, Path]:
    """A scan and its result folder."""
    random_bundle(root / "models" / "attention-unet-3d", dims=3, widths=(4, 8), point=point, seed=3)
    image, _ = HeadPhantom().render(Geometry.isotropic((44, 52, 40), spacing_mm=4.0))
    scan = write_volume(image, root / "head.nii.gz")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BRAINMETS_MODELS", str(root / "models"))
        segment(scan, root / "result", SegmentOptions())
    return scan, root / "result"


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return segmented(tmp_path_factory.mktemp("done"), OFTEN)


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return segmented(tmp_path_factory.mktemp("empty"), NEVER)


def test_every_format_holds_the_same_lesions(done: tuple[Path, Path], tmp_path: Path) -> None:
    scan, result = done
    out = tmp_path / "export"
    written = export(result, out, ExportOptions(formats=FORMATS, source=scan))
    assert written.lesions > 0
    mask = np.asarray(nib.load(written.files["nifti"]).dataobj)
    assert np.array_equal(mask, np.asarray(nib.load(result / "mask.nii.gz").dataobj))
    assert len(np.unique(mask)) - 1 == written.lesions
    assert len(json.loads(written.files["json"].read_text())["lesions"]) == written.lesions
    lines = written.files["csv"].read_text().splitlines()
    rows = list(csv.DictReader(line for line in lines if not line.startswith("#")))
    assert len(rows) == written.lesions
    seg = pydicom.dcmread(written.files["dicom-seg"])
    assert len(seg.SegmentSequence) == written.lesions
    assert int(seg.pixel_array.astype(bool).sum()) == int((mask > 0).sum())
    regions = pydicom.dcmread(written.files["rtstruct"])
    assert len(regions.StructureSetROISequence) == written.lesions
    made = [pydicom.dcmread(path) for path in written.files["images"].iterdir()]
    referred = {
        item.ReferencedSOPInstanceUID
        for item in seg.ReferencedSeriesSequence[0].ReferencedInstanceSequence
    }
    assert referred <= {image.SOPInstanceUID for image in made}
    pictures = [pydicom.dcmread(path) for path in written.files["captures"].iterdir()]
    assert 1 <= len(pictures) <= written.lesions
    document = json.loads(written.files["fhir"].read_text())
    assert len(document["entry"]) == 3 + written.lesions
    for dataset in (seg, regions, *pictures):
        assert "research" in str(dataset).lower()


def test_an_export_is_replaced_but_never_another_folder(
    done: tuple[Path, Path], tmp_path: Path
) -> None:
    _, result = done
    options = ExportOptions(formats=("csv",))
    export(result, tmp_path / "out", options)
    export(result, tmp_path / "out", options)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(OutputExists):
        export(result, tmp_path / "mine", options)
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"


@pytest.mark.parametrize(
    "named",
    [
        {"series_number": 0},
        {"series_number": 10**6},
        {"series_description": "a\\b"},
        {"series_description": "a\nb"},
        {"series_description": "x" * 45},
    ],
)
def test_series_that_dicom_cannot_hold_is_refused(named: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match="DICOM"):
        ExportOptions(formats=("csv",), **named)


def test_what_is_no_result_is_refused(tmp_path: Path) -> None:
    (tmp_path / "holiday").mkdir()
    with pytest.raises(NotAResult, match="E_RESULT"):
        export(tmp_path / "holiday", tmp_path / "out", ExportOptions(formats=("csv",)))
    assert not (tmp_path / "out").exists()


def test_dicom_objects_need_the_images_that_were_segmented(
    done: tuple[Path, Path], tmp_path: Path
) -> None:
    _, result = done
    with pytest.raises(OptionError, match="--source"):
        export(result, tmp_path / "out", ExportOptions(formats=("dicom-seg",)))
    image, _ = HeadPhantom().render(Geometry.isotropic((40, 40, 40), spacing_mm=4.0))
    other = write_volume(image, tmp_path / "other.nii.gz")
    with pytest.raises(SourceDiffers, match="E_SOURCE"):
        export(result, tmp_path / "out", ExportOptions(formats=("rtstruct",), source=other))
    assert not (tmp_path / "out").exists()


def test_no_lesion_is_a_segmentation_that_says_so(empty: tuple[Path, Path], tmp_path: Path) -> None:
    scan, result = empty
    written = export(result, tmp_path / "out", ExportOptions(formats=FORMATS, source=scan))

    assert written.lesions == 0
    assert set(written.files) == set(FORMATS) - {"rtstruct"} | {"images"}
    assert isinstance(written.refused.pop("rtstruct"), NothingToExport)
    assert not written.refused
    object_ = pydicom.dcmread(written.files["dicom-seg"])
    assert [one.SegmentLabel for one in object_.SegmentSequence] == ["No lesion"]
    assert not object_.pixel_array.any()
    assert object_.NumberOfFrames == len(list(written.files["images"].iterdir()))
    with pytest.raises(NothingToExport, match="E_NO_LESION"):
        export(result, tmp_path / "rt", ExportOptions(formats=("rtstruct",), source=scan))
    assert not (tmp_path / "rt").exists()
    told = export(result, tmp_path / "sr", ExportOptions(formats=("sr",), source=scan))
    assert "dicom-seg" not in told.files
    for reports in (told, written):
        measured = read_measurements(reports.files["sr"].read_bytes())
        assert [list(v.values()) for v in measured.values()] == [[0.0]]
    report = write_report(result, tmp_path / "report.pdf", ReportOptions(source=scan))
    assert report.read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize("kept", [True, False])
def test_a_frame_of_reference_that_is_made_is_noted(
    kept: bool, done: tuple[Path, Path], tmp_path: Path
) -> None:
    scan, result = done
    made = export(result, tmp_path / "made", ExportOptions(formats=("dicom-seg",), source=scan))
    for path in made.files["images"].iterdir():
        data = pydicom.dcmread(path)
        if not kept:
            del data.FrameOfReferenceUID
        data.save_as(path)
    options = ExportOptions(formats=("dicom-seg", "rtstruct"), source=made.files["images"])
    written = export(result, tmp_path / "out", options)

    assert ("no Frame of Reference UID" in " ".join(written.notes)) is not kept
    for kind in options.formats:
        told = pydicom.dcmread(written.files[kind]).ContributingEquipmentSequence[0]
        assert ("no Frame of Reference UID" in told.ContributionDescription) is not kept


@pytest.mark.parametrize("source", [None, "other.nii.gz", "gone.nii.gz"])
@pytest.mark.parametrize("kinds", [("dicom-seg",), ("rtstruct", "dicom-seg")])
def test_a_format_that_cannot_be_written_takes_no_other_with_it(
    kinds: tuple[ExportFormat, ...], source: str | None, done: tuple[Path, Path], tmp_path: Path
) -> None:
    image, _ = HeadPhantom().render(Geometry.isotropic((40, 40, 40), spacing_mm=4.0))
    write_volume(image, tmp_path / "other.nii.gz")
    options = ExportOptions(
        formats=(*kinds, "csv", "json", "nifti"), source=source and tmp_path / source
    )
    written = export(done[1], tmp_path / "out", options)

    assert list(written.files) == ["csv", "json", "nifti"]
    assert all(path.is_file() for path in written.files.values())
    assert list(written.refused) == list(kinds)
    assert {error.code for error in written.refused.values()} == {
        {None: "E_OPTION", "other.nii.gz": "E_SOURCE", "gone.nii.gz": "E_FILE_MISSING"}[source]
    }
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "lesions.csv", "lesions.nii.gz", "report.json",
    ]  # fmt: skip


def test_the_report_is_made_with_and_without_the_image(
    done: tuple[Path, Path], tmp_path: Path
) -> None:
    scan, result = done
    plain = write_report(result, tmp_path / "plain.pdf")
    pictures = write_report(result, tmp_path / "pictures.pdf", ReportOptions(source=scan))
    assert plain.read_bytes().startswith(b"%PDF")
    assert pictures.read_bytes() != plain.read_bytes()
