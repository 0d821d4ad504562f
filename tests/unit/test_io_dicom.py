"""DICOM in: whatever the order, nesting and compression, the voxels come back in their place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pydicom
import pytest

from brainmets.domain.errors import (
    DicomPixels,
    DuplicateSlices,
    MissingSlices,
    SeveralSeries,
    UnknownSeries,
)
from brainmets.io import list_series, read_case
from tests.unit.io_files import (
    BIG_ENDIAN,
    IMPLICIT,
    JPEG_2000,
    JPEG_LS,
    NATIVE,
    PATIENT,
    RLE,
    head,
    oblique_affine,
    write_dicom,
    write_enhanced,
    zipped,
)

if TYPE_CHECKING:
    from pathlib import Path

SAME_MM = 1e-4


@pytest.mark.parametrize("syntax", [NATIVE, IMPLICIT, BIG_ENDIAN, RLE, JPEG_LS, JPEG_2000])
def test_shuffled_oblique_series_comes_back_exactly(tmp_path: Path, syntax: str) -> None:
    volume = head(affine=oblique_affine())
    write_dicom(tmp_path / "s", volume, syntax=syntax)
    case = read_case(tmp_path / "s")
    assert np.array_equal(case.images["t1c"].data, volume.data)
    assert case.geometry.same_grid(volume.geometry, tolerance_mm=SAME_MM)
    assert case.source.format == "dicom"
    assert case.kind == "volume"


@pytest.mark.parametrize("dtype", ["u1", "<u2", "<i2", "<i4"])
def test_pixel_types_and_rescaling(tmp_path: Path, dtype: str) -> None:
    volume = head()
    step, shift = (5.0, 0.0) if dtype == "u1" else (0.5, -3.0) if "u" in dtype else (0.5, 400.0)
    write_dicom(tmp_path / "s", volume, dtype=dtype, slope=step, intercept=shift)
    found = read_case(tmp_path / "s").images["t1c"].data
    assert np.abs(found - volume.data).max() <= step / 2


def test_spare_bits_with_overlays_are_dropped(tmp_path: Path) -> None:
    volume = head()
    paths = write_dicom(tmp_path / "s", volume)
    for path in paths:
        data = pydicom.dcmread(path)
        data.BitsStored, data.HighBit = 12, 11
        data.PixelData = (np.frombuffer(data.PixelData, "<u2") | 0x8000).astype("<u2").tobytes()
        data.save_as(path)
    assert np.array_equal(read_case(tmp_path / "s").images["t1c"].data, volume.data)


def test_inverted_photometry_is_turned_back(tmp_path: Path) -> None:
    volume = head()
    write_dicom(tmp_path / "s", volume, PhotometricInterpretation="MONOCHROME1")
    found = read_case(tmp_path / "s").images["t1c"].data
    assert np.array_equal(found, volume.data.max() - volume.data)


def test_folder_and_zip_give_the_same_case_whatever_the_names(tmp_path: Path) -> None:
    volume, uid = head(), "1.2.3.4"
    first = write_dicom(tmp_path / "a", volume, uid=uid)
    contents = {f"deep/{n}/IM": path.read_bytes() for n, path in enumerate(reversed(first))}
    archive = zipped(tmp_path / "b.zip", {**contents, "README.txt": b"hello", "__MACOSX/x": b"1"})
    folder, packed = read_case(tmp_path / "a"), read_case(archive)
    assert folder.source.sha256 == packed.source.sha256
    assert folder.case_id == packed.case_id == f"dicom-{folder.source.sha256[:12]}"
    assert np.array_equal(folder.images["t1c"].data, packed.images["t1c"].data)


def test_files_without_preamble_are_read(tmp_path: Path) -> None:
    volume = head()
    for path in write_dicom(tmp_path / "s", volume, syntax=IMPLICIT):
        data = pydicom.dcmread(path)
        data.preamble = None
        del data.file_meta
        data.save_as(path, implicit_vr=True, little_endian=True, enforce_file_format=False)
    assert np.array_equal(read_case(tmp_path / "s").images["t1c"].data, volume.data)


@pytest.mark.parametrize("syntax", [NATIVE, RLE, JPEG_LS, JPEG_2000])
def test_enhanced_multi_frame(tmp_path: Path, syntax: str) -> None:
    volume = head(affine=oblique_affine())
    path = write_enhanced(tmp_path / "enhanced.dcm", volume, syntax=syntax)
    case = read_case(path)
    assert np.abs(case.images["t1c"].data - volume.data).max() <= 1
    assert case.geometry.same_grid(volume.geometry, tolerance_mm=SAME_MM)


def test_echoes_of_one_series_are_offered_apart(tmp_path: Path) -> None:
    path = write_enhanced(tmp_path / "two.dcm", head(), echoes=2)
    offered = list_series(path)
    assert [one.slices for one in offered] == [20, 20]
    with pytest.raises(SeveralSeries):
        read_case(path)
    first, second = (read_case(path, series=str(n)).images["t1c"].data for n in (1, 2))
    assert np.array_equal(first + 2, second)


def test_several_series_are_listed_and_chosen(tmp_path: Path) -> None:
    one, two = head(), head((20, 24, 18))
    write_dicom(tmp_path / "u/one", one, uid="1.2.3", number=7)
    write_dicom(
        tmp_path / "u/two", two, uid="1.2.4", number=9, SeriesDescription="AX T2 FLAIR",
        RepetitionTime="9000", EchoTime="120", InversionTime="2500",
    )  # fmt: skip
    write_dicom(
        tmp_path / "u/scout", head((20, 24, 5)), uid="1.2.5", number=1,
        ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"],
    )  # fmt: skip
    offered = list_series(tmp_path / "u")
    assert [(i.index, i.number, i.uid, i.slices, i.guess) for i in offered] == [
        (1, 7, "1.2.3", 20, "t1c"),
        (2, 9, "1.2.4", 18, "t2f"),
    ]
    assert not any(PATIENT in one.description for one in offered)
    assert offered[0].spacing_mm == pytest.approx((5.0, 5.0, 9.0))
    with pytest.raises(SeveralSeries, match=r"1: MR 40 × 48 × 20 .*, 2: MR 20 × 24 × 18"):
        read_case(tmp_path / "u")
    for name in ("2", "9", "1.2.4"):
        assert read_case(tmp_path / "u", series=name).geometry.shape == (20, 24, 18)
    with pytest.raises(UnknownSeries):
        read_case(tmp_path / "u", series="5")


def test_gaps_and_copies_are_named(tmp_path: Path) -> None:
    write_dicom(tmp_path / "s", head(), skip=(4, 9, 10))
    with pytest.raises(MissingSlices, match=r"3 missing slices \(after number 4, 8 of 17"):
        read_case(tmp_path / "s")
    paths = write_dicom(tmp_path / "t", head(), shuffled=False)
    for k in (2, 7):
        data = pydicom.dcmread(paths[k])
        data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
        data.save_as(tmp_path / "t" / f"copy{k}")
    with pytest.raises(DuplicateSlices, match=r"2 slices .*\(number 4, 10 of 22"):
        read_case(tmp_path / "t")


def test_a_doubtful_sequence_is_noted(tmp_path: Path) -> None:
    write_dicom(tmp_path / "s", head(), SeriesDescription="SAG MPRAGE")
    assert "suggests t1n" in read_case(tmp_path / "s").source.notes[0]
    assert read_case(tmp_path / "s", sequence="t1n").source.notes == ()


@pytest.mark.parametrize("syntax", [JPEG_LS, JPEG_2000])
def test_a_frame_may_not_be_larger_inside_than_outside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, syntax: str
) -> None:
    def decoded(*_: object) -> None:
        pytest.fail("the frame reached a decoder, which would allocate what it declares")

    monkeypatch.setattr("brainmets.io.dicom_pixels.decoder_of", decoded)
    large = head((64, 64, 20))
    for path in write_dicom(tmp_path / "s", large, syntax=syntax):
        data = pydicom.dcmread(path)
        data.Rows = data.Columns = 32
        data.save_as(path)
    with pytest.raises(DicomPixels):
        read_case(tmp_path / "s")


def test_the_real_head_lies_as_its_header_says(data_dir: Path) -> None:
    archive = data_dir / "mprage-dicom.zip"
    if not archive.is_file():
        pytest.skip("mprage-dicom.zip is not in BRAINMETS_DATA")
    case = read_case(archive)
    assert case.geometry.shape == (256, 256, 170)
    assert case.geometry.axis_codes == "PIR"
    # First file: ImagePositionPatient (82.6727663688362, -133.00455415248, 138.458779340959).
    corners = case.geometry.to_ras_mm([[0, 0, 0], [0, 0, 169]])
    assert (
        np.abs(corners - (-82.6727663688362, 133.00455415248, 138.458779340959)).sum(1).min() < 1e-3
    )
    assert "4711" not in case.case_id
    assert list_series(archive)[0].guess == "t1n"
