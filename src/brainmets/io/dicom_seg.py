"""Lesions as a DICOM Segmentation object: a binary segment for each (PS3.3 A.51).

One segment a lesion, so that each has its own name, colour and volume in a viewer and can be
followed by itself; who wants them as one selects them all. BINARY, which every viewer reads:
LABELMAP is new and validators refuse it. Frames are in order of segment, then of position along
the slice normal, each referring to the image it was drawn on. A scan without lesions gets one
segment named so, empty on every image: an object has at least one segment and one frame.
"""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np

from brainmets.domain.prediction import RESEARCH_USE_ONLY
from brainmets.io.dicom_stack import LPS_TO_RAS
from brainmets.io.dicom_stamp import (
    MANUFACTURER,
    coded,
    colour_of,
    dataset,
    decimals,
    differs,
    encoded,
    new_object,
    numbered,
    reference,
    tracking_of,
)
from brainmets.io.guard import guarded

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pydicom import Dataset

    from brainmets.domain.geometry import Geometry
    from brainmets.io.dicom_source import DicomSeriesSource
    from brainmets.io.dicom_stamp import Finding

__all__ = ["WITHIN_MM", "read_segments", "segmentation"]

WITHIN_MM = 0.01
"""How far a pixel of the object may lie from the mask's voxel."""

SERIES_NUMBER = 9_101
SEGMENT_NUMBER, IMAGE_POSITION = 0x0062000B, 0x00200032
SEGMENT_IDENTIFICATION, PLANE_POSITION = 0x0062000A, 0x00209113

D65_TO_D50 = (
    (0.4360747, 0.3850649, 0.1430804),
    (0.2225045, 0.7168786, 0.0606169),
    (0.0139322, 0.0971045, 0.7141733),
)
"""Linear sRGB to CIE XYZ of illuminant D50 (Bradford), as PS3.3 C.10.7.1.1 wants CIELab."""

D50_WHITE = (0.96422, 1.0, 0.82521)


def segmentation(finding: Finding, source: DicomSeriesSource) -> bytes:
    """Return a Segmentation object of the lesions, referring to the images of `source`.

    Raises:
        OutputDiffers: read back with pydicom alone, it is not the mask.
    """
    content = encoded(_object(finding, source))
    fault = differs("DICOM segmentation")
    with guarded(fault):
        found = read_segments(content, source.geometry, within_mm=WITHIN_MM + _jitter_mm(source))
    if not np.array_equal(found, _by_number(finding)):
        raise fault
    return content


def read_segments(
    content: bytes, grid: Geometry, *, within_mm: float = WITHIN_MM
) -> NDArray[np.uint16]:
    """Read an object with pydicom alone: segment numbers (column, row, slice) on `grid`.

    Raises:
        ValueError: a frame lies further than `within_mm` from the grid's slices.
    """
    from pydicom import dcmread

    data = dcmread(BytesIO(content))
    shared = data.SharedFunctionalGroupsSequence[0]
    row_mm, column_mm = (float(mm) for mm in shared.PixelMeasuresSequence[0].PixelSpacing)
    cosines = shared.PlaneOrientationSequence[0].ImageOrientationPatient
    axes = np.array(cosines, dtype=np.float64).reshape(2, 3)
    corners = np.array([(0, 0), (data.Columns - 1, 0), (0, data.Rows - 1)])
    pixels = data.pixel_array.reshape(-1, data.Rows, data.Columns)
    found = np.zeros(grid.shape, dtype=np.uint16)
    for frame, groups in zip(pixels, data.PerFrameFunctionalGroupsSequence, strict=True):
        position = groups.PlanePositionSequence[0].ImagePositionPatient
        places = np.array(position, dtype=np.float64) + corners * (column_mm, row_mm) @ axes
        k = int(np.rint(grid.to_voxel(places[0] @ LPS_TO_RAS)[2]))
        meant = grid.to_ras_mm(np.column_stack([corners, np.full(3, k)]))
        if np.linalg.norm(places @ LPS_TO_RAS - meant, axis=1).max() > within_mm:
            raise ValueError("a frame next to the grid")
        number = int(groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
        found[:, :, k][frame.T > 0] = number
    return found


def _object(finding: Finding, source: DicomSeriesSource) -> Dataset:
    from pydicom.uid import SegmentationStorage

    data = new_object(
        finding, source, SegmentationStorage, modality="SEG", series_number=SERIES_NUMBER
    )
    columns, rows, _ = source.geometry.shape
    data.ImageType = ["DERIVED", "PRIMARY"]
    data.ContentLabel, data.ContentDescription = "BRAINMETS", RESEARCH_USE_ONLY
    data.ContentCreatorName = f"{MANUFACTURER}^software"
    data.ContentQualification = "RESEARCH"
    data.SegmentationType, data.SegmentsOverlap = "BINARY", "NO"
    data.SegmentSequence = _segments(finding)
    data.LossyImageCompression = "00"
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.Rows, data.Columns = rows, columns
    data.BitsAllocated = data.BitsStored = 1
    data.HighBit = data.PixelRepresentation = 0
    _add_frames(data, finding, source)
    _add_references(data, source)
    return data


def _add_frames(data: Dataset, finding: Finding, source: DicomSeriesSource) -> None:
    from pydicom.uid import generate_uid

    organisation = generate_uid()
    pointers = ((SEGMENT_NUMBER, SEGMENT_IDENTIFICATION), (IMAGE_POSITION, PLANE_POSITION))
    data.DimensionOrganizationSequence = [dataset(DimensionOrganizationUID=organisation)]
    data.DimensionIndexSequence = [
        dataset(
            DimensionOrganizationUID=organisation,
            DimensionIndexPointer=pointer,
            FunctionalGroupPointer=group,
        )
        for pointer, group in pointers
    ]
    columns, rows, _ = source.geometry.shape
    column_mm, row_mm, slice_mm = source.geometry.spacing_mm
    data.SharedFunctionalGroupsSequence = [
        dataset(
            PlaneOrientationSequence=[
                dataset(ImageOrientationPatient=decimals(*source.axes_lps.ravel()))
            ],
            PixelMeasuresSequence=[
                dataset(
                    PixelSpacing=decimals(row_mm, column_mm),
                    SliceThickness=decimals(slice_mm)[0],
                    SpacingBetweenSlices=decimals(slice_mm)[0],
                )
            ],
        )
    ]
    planes: list[NDArray[np.bool_]] = []
    groups: list[Dataset] = []
    for number, lesion in numbered(finding):
        inside = finding.mask.data == lesion.id
        for place, k in enumerate(np.flatnonzero(inside.any(axis=(0, 1))).tolist(), start=1):
            planes.append(inside[:, :, k].T)
            groups.append(_frame(number, place, k, source))
    if not groups:
        planes = [np.zeros((rows, columns), dtype=np.bool_) for _ in source.slices]
        groups = [_frame(1, k + 1, k, source) for k in range(len(source.slices))]
    data.PerFrameFunctionalGroupsSequence = groups
    data.NumberOfFrames = len(groups)
    bits = np.packbits(np.stack(planes), axis=None, bitorder="little").tobytes()
    data.PixelData = bits + b"\0" * (len(bits) % 2)
    data["PixelData"].VR = "OB"


def _frame(number: int, place: int, k: int, source: DicomSeriesSource) -> Dataset:
    image = source.slices[k]
    derived_from = dataset(
        **reference(image),
        SpatialLocationsPreserved="YES",
        PurposeOfReferenceCodeSequence=[
            coded("121322", "DCM", "Source Image for Image Processing Operation")
        ],
    )
    return dataset(
        FrameContentSequence=[dataset(DimensionIndexValues=[number, place])],
        PlanePositionSequence=[
            dataset(ImagePositionPatient=decimals(*image.position_lps_mm)),
        ],
        DerivationImageSequence=[
            dataset(
                SourceImageSequence=[derived_from],
                DerivationCodeSequence=[coded("113076", "DCM", "Segmentation")],
            )
        ],
        SegmentIdentificationSequence=[dataset(ReferencedSegmentNumber=number)],
    )


def _add_references(data: Dataset, source: DicomSeriesSource) -> None:
    """Name every image of the series once, a multi-frame file as one."""
    whole = {one.sop_instance_uid: one.sop_class_uid for one in source.slices}
    data.ReferencedSeriesSequence = [
        dataset(
            SeriesInstanceUID=source.series_uid,
            ReferencedInstanceSequence=[
                dataset(ReferencedSOPClassUID=kind, ReferencedSOPInstanceUID=uid)
                for uid, kind in whole.items()
            ],
        )
    ]


def _segments(finding: Finding) -> list[Dataset]:
    if not finding.lesions:
        return [_no_lesion(finding)]
    segments: list[Dataset] = []
    for number, lesion in numbered(finding):
        tracked = tracking_of(finding, lesion)
        described = (
            f"{lesion.volume_mm3 / 1000:.3f} ml, longest diameter"
            f" {lesion.diameter_in_plane_mm:.1f} mm, {lesion.place or lesion.side},"
            f" peak probability {lesion.peak_text}. {RESEARCH_USE_ONLY}"
        )
        one = _segment(number, f"Lesion {lesion.id}", described, finding)
        one.TrackingID, one.TrackingUID = tracked.identifier, tracked.uid
        one.RecommendedDisplayCIELabValue = _cielab(colour_of(lesion.id))
        segments.append(one)
    return segments


def _no_lesion(finding: Finding) -> Dataset:
    described = f"No lesion was found. {RESEARCH_USE_ONLY}"
    one = _segment(1, "No lesion", described, finding)
    one.RecommendedDisplayCIELabValue = _cielab(colour_of(1))
    return one


def _segment(number: int, label: str, description: str, finding: Finding) -> Dataset:
    made = finding.provenance
    return dataset(
        SegmentNumber=number,
        SegmentLabel=label,
        SegmentDescription=description,
        SegmentAlgorithmType="SEMIAUTOMATIC" if finding.reviewed else "AUTOMATIC",
        SegmentAlgorithmName=made.model[:64],
        SegmentationAlgorithmIdentificationSequence=[
            dataset(
                AlgorithmFamilyCodeSequence=[coded("123110", "DCM", "Artificial Intelligence")],
                AlgorithmName=made.model[:64],
                AlgorithmVersion=f"{made.code_version} sha256 {made.model_sha256[:16]}"[:64],
                AlgorithmParameters=finding.account(),
                AlgorithmSource=MANUFACTURER,
            )
        ],
        SegmentedPropertyCategoryCodeSequence=[
            coded("49755003", "SCT", "Morphologically Abnormal Structure")
        ],
        SegmentedPropertyTypeCodeSequence=[coded("52988006", "SCT", "Lesion")],
        AnatomicRegionSequence=[coded("12738006", "SCT", "Brain")],
    )


def _cielab(rgb: tuple[int, int, int]) -> list[int]:
    """Encode an sRGB colour as PS3.3 C.10.7.1.1: L on 0…65535, a and b around 0x8080."""
    share = np.array(rgb) / 255
    linear = np.where(share > 0.04045, ((share + 0.055) / 1.055) ** 2.4, share / 12.92)
    ratio = np.array(D65_TO_D50) @ linear / D50_WHITE
    x, y, z = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio * (29 / 6) ** 2 / 3 + 4 / 29)
    lightness, a, b = 116 * y - 16, 500 * (x - y), 200 * (y - z)
    scaled = (lightness * 65535 / 100, (a + 128) * 257, (b + 128) * 257)
    return [int(np.clip(round(float(value)), 0, 65535)) for value in scaled]


def _by_number(finding: Finding) -> NDArray[np.uint16]:
    """The mask with segment numbers in place of lesion ids."""
    lookup = np.zeros(int(finding.mask.data.max()) + 1, dtype=np.uint16)
    for number, lesion in numbered(finding):
        lookup[lesion.id] = number
    return lookup[finding.mask.data]


def _jitter_mm(source: DicomSeriesSource) -> float:
    """How far the images themselves lie from even places: the object is on the images."""
    ks = np.arange(len(source.slices))[:, None] * np.array([0, 0, 1])
    even = source.geometry.to_ras_mm(ks)
    real = np.array([one.position_lps_mm for one in source.slices]) @ LPS_TO_RAS
    return float(np.linalg.norm(even - real, axis=1).max())
