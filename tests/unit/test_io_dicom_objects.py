"""Segmentation objects and structure sets: valid, in place, and readable by other software."""

from __future__ import annotations

import itertools
import shutil
from dataclasses import replace
from io import BytesIO
from typing import TYPE_CHECKING, Any

import highdicom
import numpy as np
import pytest
from pydicom import dcmread
from scipy.spatial import cKDTree

from brainmets.domain import Geometry, Mask, Provenance, Volume
from brainmets.domain.errors import (
    DicomHeader,
    GantryTilt,
    GridMismatch,
    NoDicom,
    NothingToExport,
    SeveralSeries,
    SourceDiffers,
    UnknownSeries,
)
from brainmets.inference import OperatingPoint, find_lesions
from brainmets.io import read_case
from brainmets.io.dicom_images import derived_series, images_of
from brainmets.io.dicom_seg import segmentation
from brainmets.io.dicom_source import find_source
from brainmets.io.dicom_stamp import Finding, colour_of
from brainmets.io.rtstruct import structure_set
from tests.unit.dicom_readers import (
    dciodvfy_errors,
    plastimatch_volumes,
    region_volumes_mm3,
    segment_points_lps,
)
from tests.unit.io_files import PATIENT, head, oblique_affine, write_dicom, write_enhanced, zipped

if TYPE_CHECKING:
    from pathlib import Path

SHAPE = (34, 42, 19)
"""Columns, rows and slices all different: whoever swaps two of them is caught."""

SPACING = (5.4, 4.1, 8.0)
MADE = Provenance(
    model="attention-unet-3d",
    model_sha256="ab" * 32,
    code_version="1.2.3",
    engine="openvino 2026",
    input_sha256="cd" * 32,
    settings={"threshold": 0.5, "precision": "bfloat16"},
)

UNITS = (*np.eye(3), *-np.eye(3))
LAYOUTS = [
    (along, down)
    for along, down in itertools.product(UNITS, UNITS)
    if abs(float(np.dot(along, down))) < 0.5
]
"""All 24: columns along any axis either way, rows along any other (signs of cosines included)."""


def turned(along: np.ndarray, down: np.ndarray, *, oblique: bool = False) -> Geometry:
    """A grid whose columns run along one axis of LPS and whose rows run along another."""
    axes = np.column_stack([along, down, np.cross(along, down)])
    if oblique:
        a, b = np.deg2rad([13.0, -21.0])
        about_z = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
        about_x = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
        axes = about_z @ about_x @ axes
    affine = np.eye(4)
    affine[:3, :3] = np.diag([-1.0, -1.0, 1.0]) @ axes @ np.diag(SPACING)
    middle = (np.array(SHAPE) - 1) / 2
    affine[:3, 3] = np.array([3.7, -11.2, 25.9]) - affine[:3, :3] @ middle
    return Geometry(shape=SHAPE, affine=affine)


def drawn(grid: Geometry) -> Mask:
    """Lesions that writers get wrong: one voxel, a hollow shell, a comb, pixels at corners."""
    ids = np.zeros(grid.shape, dtype=np.uint8)
    i, j, k = np.indices(grid.shape)
    distance = np.sqrt((i - 12) ** 2 + (j - 15) ** 2 + 2 * (k - 9) ** 2)
    ids[(distance < 9) & (distance > 4)] = 1
    ids[12, 15, 9] = 1  # an island in the hole
    ids[24:33:2, 30:38, 4] = 2
    ids[24:33, 30, 4] = 2
    ids[27, 5, 13] = ids[28, 6, 13] = ids[29, 5, 13] = ids[28, 4, 13] = 3
    ids[0, 0, 0] = 4
    ids[33, 41, 18] = 5
    return Mask(data=ids, geometry=grid)


def finding(mask: Mask, **changes: Any) -> Finding:
    """The lesions of a mask, measured one by one so that they keep their numbers."""
    lesions = []
    for number in np.unique(mask.data[mask.data > 0]).tolist():
        inside = (mask.data == number).astype(np.float32)
        _, found = find_lesions(Volume(data=inside, geometry=mask.geometry), OperatingPoint())
        lesions.append(replace(found[0], id=number))
    return Finding(mask=mask, lesions=tuple(lesions), provenance=MADE, **changes)


def shuffled_zip(folder: Path, grid: Geometry, **fields: Any) -> tuple[Path, Path]:
    """A scan on the grid as a zip in a meaningless order, and a folder of the same files."""
    image = head(shape=grid.shape, affine=np.array(grid.affine))
    paths = write_dicom(folder / "images", image, **fields)
    (folder / "flat").mkdir()
    for path in paths:
        shutil.copy(path, folder / "flat" / path.name)
    return zipped(folder / "images.zip", paths), folder / "flat"


def assert_same_points(points_lps: np.ndarray, mask: Mask, number: int) -> None:
    """Each voxel of a lesion has exactly one pixel, within 0.01 mm of its centre."""
    ras = mask.geometry.to_ras_mm(np.argwhere(mask.data == number))
    assert len(points_lps) == len(ras)
    distance, partner = cKDTree(ras * (-1, -1, 1)).query(points_lps)
    assert distance.max() <= 0.01
    assert len(np.unique(partner)) == len(ras)


@pytest.mark.parametrize("oblique", [False, True])
@pytest.mark.parametrize("layout", range(len(LAYOUTS)))
def test_objects_lie_where_the_mask_does(layout: int, oblique: bool, tmp_path: Path) -> None:
    grid = turned(*LAYOUTS[layout], oblique=oblique)
    mask = drawn(grid)
    archive, _ = shuffled_zip(tmp_path, grid)

    source, on_source = find_source(archive, mask)
    found = finding(on_source)
    segments = segment_points_lps(segmentation(found, source))
    volumes = region_volumes_mm3(structure_set(found, source), source.geometry)

    assert set(segments) == set(volumes) == {f"Lesion {n}" for n in range(1, 6)}
    for number in range(1, 6):
        assert_same_points(segments[f"Lesion {number}"], mask, number)
    # An island lies inside a hole of its own region: summed outlines count it as they should.
    for number in range(1, 6):
        meant = np.count_nonzero(mask.data == number) * grid.voxel_volume_mm3
        assert volumes[f"Lesion {number}"] == pytest.approx(meant, rel=0.03)


@pytest.mark.parametrize("layout", [0, 1, 8, 14, 19])
@pytest.mark.parametrize("oblique", [False, True])
def test_plastimatch_reads_the_same_volumes(layout: int, oblique: bool, tmp_path: Path) -> None:
    grid = turned(*LAYOUTS[layout], oblique=oblique)
    mask = drawn(grid)
    archive, images = shuffled_zip(tmp_path, grid)
    source, on_source = find_source(archive, mask)
    path = tmp_path / "structures.dcm"
    path.write_bytes(structure_set(finding(on_source), source))

    volumes = plastimatch_volumes(path, images, tmp_path / "drawn")

    for number in range(1, 6):
        meant = np.count_nonzero(mask.data == number) * grid.voxel_volume_mm3
        assert volumes[f"Lesion {number}"] == pytest.approx(meant, rel=0.03)


@pytest.mark.parametrize("layout", [0, 7, 13, 21])
def test_highdicom_reads_the_same_segments(layout: int, tmp_path: Path) -> None:
    grid = turned(*LAYOUTS[layout], oblique=True)
    mask = drawn(grid)
    archive, _ = shuffled_zip(tmp_path, grid)
    source, on_source = find_source(archive, mask)

    read = highdicom.seg.Segmentation.from_dataset(
        dcmread(BytesIO(segmentation(finding(on_source), source)))
    )
    volume = read.get_volume(combine_segments=True)

    for number in range(1, 6):
        ijk = np.argwhere(volume.array == number)
        points = ijk @ volume.affine[:3, :3].T + volume.affine[:3, 3]
        assert_same_points(points, mask, number)


@pytest.mark.parametrize("reviewed", [False, True])
def test_validator_finds_no_error(tmp_path: Path, reviewed: bool) -> None:
    grid = turned(*LAYOUTS[0], oblique=True)
    archive, _ = shuffled_zip(tmp_path, grid, PatientSex="X", StudyID="9" * 16)
    source, on_source = find_source(archive, drawn(grid))
    found = finding(on_source, reviewed=reviewed)

    for name, content in (
        ("seg.dcm", segmentation(found, source)),
        ("rt.dcm", structure_set(found, source)),
    ):
        (tmp_path / name).write_bytes(content)
        assert dciodvfy_errors(tmp_path / name) == []


def test_objects_say_whose_and_by_whom(tmp_path: Path) -> None:
    grid = turned(*LAYOUTS[0])
    archive, _ = shuffled_zip(tmp_path, grid, SpecificCharacterSet="ISO_IR 100")
    source, on_source = find_source(archive, drawn(grid))
    images = {s.sop_instance_uid for s in source.slices}

    for content in (
        segmentation(finding(on_source), source),
        structure_set(finding(on_source), source),
    ):
        data = dcmread(BytesIO(content))
        assert data.PatientName == PATIENT
        assert data.StudyInstanceUID == "1.2.826.0.1.3680043.8.498.2"
        assert data.FrameOfReferenceUID == "1.2.826.0.1.3680043.8.498.1"
        assert "RESEARCH USE ONLY" in data.SeriesDescription
        assert data.ManufacturerModelName == MADE.model
        told = data.ContributingEquipmentSequence[0].ContributionDescription
        for fact in (MADE.model_sha256, MADE.input_sha256, "threshold 0.5", "Research use only"):
            assert fact in told
    referenced = {
        item.ReferencedSOPInstanceUID
        for item in dcmread(BytesIO(segmentation(finding(on_source), source)))
        .ReferencedSeriesSequence[0]
        .ReferencedInstanceSequence
    }
    assert referenced == images


def test_each_frame_refers_to_the_image_below_it(tmp_path: Path) -> None:
    grid = turned(*LAYOUTS[17], oblique=True)
    archive, folder = shuffled_zip(tmp_path, grid)
    source, on_source = find_source(archive, drawn(grid))
    places = {}
    for path in folder.rglob("x*"):
        image = dcmread(path, stop_before_pixels=True)
        places[image.SOPInstanceUID] = np.array(image.ImagePositionPatient, float)

    data = dcmread(BytesIO(segmentation(finding(on_source), source)))
    structures = dcmread(BytesIO(structure_set(finding(on_source), source)))

    for groups in data.PerFrameFunctionalGroupsSequence:
        image = groups.DerivationImageSequence[0].SourceImageSequence[0]
        place = np.array(groups.PlanePositionSequence[0].ImagePositionPatient, float)
        assert np.abs(place - places[image.ReferencedSOPInstanceUID]).max() < 1e-6
    normal = np.cross(*source.axes_lps)
    for region in structures.ROIContourSequence:
        for contour in region.ContourSequence:
            image = contour.ContourImageSequence[0]
            points = np.array(contour.ContourData, float).reshape(-1, 3)
            beside = (points - places[image.ReferencedSOPInstanceUID]) @ normal
            assert np.abs(beside).max() < 1e-3


def test_frames_lie_in_order_of_segment_and_position(tmp_path: Path) -> None:
    grid = turned(*LAYOUTS[11])
    archive, _ = shuffled_zip(tmp_path, grid)
    source, on_source = find_source(archive, drawn(grid))

    data = dcmread(BytesIO(segmentation(finding(on_source), source)))
    normal = np.cross(*source.axes_lps)
    keys = [
        (
            int(g.SegmentIdentificationSequence[0].ReferencedSegmentNumber),
            -float(np.dot(g.PlanePositionSequence[0].ImagePositionPatient, normal)),
        )
        for g in data.PerFrameFunctionalGroupsSequence
    ]

    assert keys == sorted(keys)


def test_rejected_lesions_leave_no_gap_in_numbers(tmp_path: Path) -> None:
    grid = turned(*LAYOUTS[0])
    archive, _ = shuffled_zip(tmp_path, grid)
    mask = drawn(grid)
    kept = Mask(data=np.where(np.isin(mask.data, (1, 4)), 0, mask.data), geometry=grid)
    source, on_source = find_source(archive, kept)

    content = segmentation(finding(on_source, reviewed=True), source)

    segments = dcmread(BytesIO(content)).SegmentSequence
    assert [s.SegmentNumber for s in segments] == [1, 2, 3]
    assert [s.SegmentLabel for s in segments] == ["Lesion 2", "Lesion 3", "Lesion 5"]
    assert {s.SegmentAlgorithmType for s in segments} == {"SEMIAUTOMATIC"}
    for label, points in segment_points_lps(content).items():
        assert_same_points(points, mask, int(label.split()[1]))


def test_multi_frame_images_are_referred_to_by_frame(tmp_path: Path) -> None:
    image = head(shape=SHAPE, affine=oblique_affine(SPACING))
    path = write_enhanced(tmp_path / "enhanced.dcm", image)
    mask = drawn(image.geometry)
    source, on_source = find_source(path, mask)

    content = segmentation(finding(on_source), source)

    for label, points in segment_points_lps(content).items():
        assert_same_points(points, mask, int(label.split()[1]))
    written = dcmread(path, stop_before_pixels=True)
    for groups in dcmread(BytesIO(content)).PerFrameFunctionalGroupsSequence:
        named = groups.DerivationImageSequence[0].SourceImageSequence[0]
        frame = written.PerFrameFunctionalGroupsSequence[named.ReferencedFrameNumber - 1]
        assert np.allclose(
            np.array(frame.PlanePositionSequence[0].ImagePositionPatient, float),
            np.array(groups.PlanePositionSequence[0].ImagePositionPatient, float),
        )
    (tmp_path / "seg.dcm").write_bytes(content)
    assert dciodvfy_errors(tmp_path / "seg.dcm") == []


@pytest.mark.parametrize("axes", list(itertools.permutations(range(3)))[::2])
def test_a_converted_mask_finds_its_series(axes: tuple[int, int, int], tmp_path: Path) -> None:
    """What dcm2niix does to axes, in every way, mirrored axes included."""
    grid = turned(*LAYOUTS[3], oblique=True)
    archive, _ = shuffled_zip(tmp_path, grid)
    mask = drawn(grid)
    flips = (True, False, True)
    moved = Mask(
        data=np.flip(mask.data.transpose(axes), (0, 2)), geometry=grid.permuted(axes, flips)
    )

    source, on_source = find_source(archive, moved)

    for label, points in segment_points_lps(segmentation(finding(on_source), source)).items():
        assert_same_points(points, mask, int(label.split()[1]))


def test_the_segmented_series_is_told_from_its_like(tmp_path: Path) -> None:
    grid = turned(*LAYOUTS[0])
    image = head(shape=SHAPE, affine=np.array(grid.affine))
    native = Volume(data=np.rint(image.data * 0.7), geometry=grid)
    write_dicom(tmp_path / "study" / "a", native, number=3, uid="1.2.3.1")
    write_dicom(tmp_path / "study" / "b", image, number=4, uid="1.2.3.2")
    content = read_case(tmp_path / "study", series="4").source.sha256

    source, _ = find_source(tmp_path / "study", drawn(grid), sha256=content)

    assert source.series_uid == "1.2.3.2"
    with pytest.raises(SeveralSeries):
        find_source(tmp_path / "study", drawn(grid))
    with pytest.raises(SourceDiffers):
        find_source(tmp_path / "study", drawn(grid), series="3", sha256=content)
    with pytest.raises(UnknownSeries):
        find_source(tmp_path / "study", drawn(grid), series="9")


def test_a_mask_elsewhere_is_refused(tmp_path: Path) -> None:
    grid = turned(*LAYOUTS[0])
    archive, _ = shuffled_zip(tmp_path, grid)
    affine = np.array(grid.affine)
    affine[0, 3] += 2.0

    with pytest.raises(GridMismatch):
        find_source(archive, drawn(Geometry(shape=SHAPE, affine=affine)))
    with pytest.raises(GridMismatch):
        find_source(
            archive, Mask(data=np.ones((4, 4, 4), np.uint8), geometry=Geometry.isotropic((4, 4, 4)))
        )


@pytest.mark.parametrize("missing", ["StudyInstanceUID", "SOPInstanceUID"])
def test_images_without_identity_are_refused(missing: str, tmp_path: Path) -> None:
    grid = turned(*LAYOUTS[0])
    image = head(shape=SHAPE, affine=np.array(grid.affine))
    write_dicom(tmp_path / "images", image, **{missing: ""})

    with pytest.raises(DicomHeader) as refusal:
        find_source(tmp_path / "images", drawn(grid))
    assert PATIENT not in str(refusal.value)


def test_no_dicom_and_no_lesion_are_refused(tmp_path: Path) -> None:
    grid = turned(*LAYOUTS[0])
    (tmp_path / "a.txt").write_text("not an image")
    empty = Mask(data=np.zeros(SHAPE, np.uint8), geometry=grid)

    with pytest.raises(NoDicom):
        find_source(tmp_path, drawn(grid))
    archive, _ = shuffled_zip(tmp_path, grid)
    source, on_source = find_source(archive, empty)
    with pytest.raises(NothingToExport):
        structure_set(Finding(mask=on_source, lesions=(), provenance=MADE), source)
    with pytest.raises(GridMismatch):
        Finding(mask=drawn(grid), lesions=(), provenance=MADE)


@pytest.mark.parametrize("layout", [0, 6, 12, 18, 23])
def test_a_nifti_scan_gets_images_to_refer_to(layout: int, tmp_path: Path) -> None:
    grid = turned(*LAYOUTS[layout], oblique=layout % 2 == 0).permuted(
        (2, 0, 1), (True, False, True)
    )
    shape = grid.shape
    image = Volume(data=head(shape=shape, affine=np.array(grid.affine)).data, geometry=grid)
    mask = drawn(turned(*LAYOUTS[layout], oblique=layout % 2 == 0))
    source = derived_series(grid, "ef" * 32)
    for name, content in images_of(image, source):
        (tmp_path / name).write_bytes(content)

    read = read_case(tmp_path)
    found, on_source = find_source(tmp_path, mask)
    content = segmentation(finding(on_source), found)

    assert read.geometry.same_grid(source.geometry)
    assert found.series_uid == source.series_uid
    assert np.linalg.det(found.geometry.affine[:3, :3]) > 0
    back = np.rint(grid.to_voxel(read.geometry.to_ras_mm(np.argwhere(read.images["t1c"].data > 0))))
    assert np.array_equal(
        image.data[tuple(back.astype(int).T)], read.images["t1c"].data[read.images["t1c"].data > 0]
    )
    for label, points in segment_points_lps(content).items():
        assert_same_points(points, mask, int(label.split()[1]))
    assert dciodvfy_errors(tmp_path / "image-0002.dcm") == []


def test_the_same_scan_gets_the_same_images() -> None:
    grid = Geometry.isotropic((9, 10, 11))
    image = Volume(data=np.linspace(0, 1, 990, dtype=np.float32).reshape(9, 10, 11), geometry=grid)

    one, two = (dict(images_of(image, derived_series(grid, "ab" * 32))) for _ in range(2))

    assert one == two
    assert derived_series(grid, "ab" * 32).study_uid != derived_series(grid, "cd" * 32).study_uid
    assert dcmread(BytesIO(one["image-0011.dcm"])).pixel_array.max() == 65_535


def test_a_sheared_scan_is_refused() -> None:
    affine = np.eye(4)
    affine[0, 2] = 0.1

    with pytest.raises(GantryTilt):
        derived_series(Geometry(shape=(8, 8, 8), affine=affine), "ab" * 32)


def test_every_lesion_has_a_colour_of_its_own() -> None:
    assert len({colour_of(number) for number in range(1, 301)}) == 300


@pytest.mark.parametrize("kept", [True, False])
def test_a_frame_of_reference_that_was_made_is_told(kept: bool, tmp_path: Path) -> None:
    volume = head((24, 28, 12))
    uid = {} if kept else {"FrameOfReferenceUID": None}
    write_dicom(tmp_path / "s", volume, **uid)
    mask = Mask(data=(volume.data > 100).astype(np.uint8), geometry=volume.geometry)
    source, _ = find_source(tmp_path / "s", mask)
    assert source.frame_of_reference_made is not kept
    assert source.frame_of_reference_uid
