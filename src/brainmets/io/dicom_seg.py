"""Lesions as a DICOM Segmentation object (PS3.3 A.51), built by highdicom: a segment for each.

One segment a lesion, so that each has its own name, colour and volume in a viewer and can be
followed by itself; who wants them as one selects them all. BINARY, which every viewer reads:
LABELMAP is new and validators refuse it. Frames are in order of segment, then of position against
the slice normal, each referring to the image it was drawn on. A scan without lesions gets one
segment named so, empty on every image: an object has at least one segment and one frame.
"""

from __future__ import annotations

import warnings
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np

from brainmets.domain.prediction import RESEARCH_USE_ONLY
from brainmets.io.dicom_stack import LPS_TO_RAS
from brainmets.io.dicom_stamp import (
    LONG_STRING,
    MANUFACTURER,
    begun,
    colour_of,
    dataset,
    decimals,
    differs,
    encoded,
    numbered,
    reference,
    stamp,
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

MR_IMAGE = "1.2.840.10008.5.1.4.1.1.4"
STAND_IN = "2.25"
"""Root of the stand-ins' identifiers, which no object keeps."""


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
    from highdicom.seg import Segmentation
    from pydicom.uid import generate_uid

    made = finding.provenance
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of values that the images brought, and of empty frames
        data: Any = Segmentation(
            source_images=_stand_ins(source),
            pixel_array=np.ascontiguousarray(_by_number(finding).T),
            segmentation_type="BINARY",
            segment_descriptions=_segments(finding),
            series_instance_uid=str(generate_uid()),
            series_number=finding.series_number,
            sop_instance_uid=str(generate_uid()),
            instance_number=1,
            manufacturer=MANUFACTURER,
            manufacturer_model_name=made.model[:LONG_STRING],
            software_versions=made.code_version,
            device_serial_number=made.model_sha256[:LONG_STRING] or "unknown",
            omit_empty_frames=bool(finding.lesions),
            content_label="BRAINMETS",
            content_description=RESEARCH_USE_ONLY,
            content_creator_name=f"{MANUFACTURER}^software",
        )
    data.ContentQualification = "RESEARCH"
    stamp(data, finding, source)
    _refer(data, source)
    return data


def _stand_ins(source: DicomSeriesSource) -> list[Dataset]:
    """An image a plane, with what an object copies or reads of it; numbered, not named."""
    columns, rows, _ = source.geometry.shape
    column_mm, row_mm, slice_mm = source.geometry.spacing_mm
    images: list[Dataset] = []
    for k, plane in enumerate(source.slices, start=1):
        image = begun(source, MR_IMAGE, f"{STAND_IN}.{k}")
        image.SeriesInstanceUID, image.Modality = source.series_uid, "MR"
        image.Rows, image.Columns = rows, columns
        image.ImageOrientationPatient = decimals(*source.axes_lps.ravel())
        image.ImagePositionPatient = decimals(*plane.position_lps_mm)
        image.PixelSpacing = decimals(row_mm, column_mm)
        image.SliceThickness = image.SpacingBetweenSlices = decimals(slice_mm)[0]
        images.append(image)
    return images


def _refer(data: Dataset, source: DicomSeriesSource) -> None:
    """Name the images in place of their stand-ins, and each frame's segment with the frame.

    A multi-frame file is listed once. A lone segment is named with every frame as others are:
    viewers look for it there.
    """
    named = {f"{STAND_IN}.{k}": reference(one) for k, one in enumerate(source.slices, start=1)}
    shared = data.SharedFunctionalGroupsSequence[0]
    single = shared.pop("SegmentIdentificationSequence", None)  # a lone segment's
    for groups in data.PerFrameFunctionalGroupsSequence:
        if single is not None:
            groups.SegmentIdentificationSequence = single.value
        image = groups.DerivationImageSequence[0].SourceImageSequence[0]
        # Segments on one plane share the item: a stand-in's name is there the first time only.
        for keyword, value in named.get(image.ReferencedSOPInstanceUID, {}).items():
            setattr(image, keyword, value)
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


def _segments(finding: Finding) -> list[Any]:
    if not finding.lesions:
        return [_segment(finding, 1, "No lesion", f"No lesion was found. {RESEARCH_USE_ONLY}", 1)]
    segments: list[Any] = []
    for number, lesion in numbered(finding):
        described = (
            f"{lesion.volume_mm3 / 1000:.3f} ml, longest diameter"
            f" {lesion.diameter_in_plane_mm:.1f} mm, {lesion.where or 'place unknown'},"
            f" peak probability {lesion.peak_text}. {finding.said(lesion)}{RESEARCH_USE_ONLY}"
        )
        one = _segment(finding, number, f"Lesion {lesion.id}", described, lesion.id)
        tracked = tracking_of(finding, lesion)
        one.TrackingID, one.TrackingUID = tracked.identifier, tracked.uid
        segments.append(one)
    return segments


def _segment(finding: Finding, number: int, label: str, description: str, colour: int) -> Any:
    from highdicom import AlgorithmIdentificationSequence
    from highdicom.color import CIELabColor
    from highdicom.seg import SegmentDescription
    from pydicom.sr.codedict import codes

    made = finding.provenance
    algorithm = AlgorithmIdentificationSequence(
        name=made.model[:LONG_STRING],
        family=codes.DCM.ArtificialIntelligence,
        version=f"{made.code_version} sha256 {made.model_sha256[:16]}"[:LONG_STRING],
        source=MANUFACTURER,
    )
    algorithm[0].AlgorithmParameters = finding.account()
    one = SegmentDescription(
        segment_number=number,
        segment_label=label,
        segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
        segmented_property_type=codes.SCT.Lesion,
        algorithm_type="SEMIAUTOMATIC" if finding.reviewed else "AUTOMATIC",
        algorithm_identification=algorithm,
        anatomic_regions=[codes.SCT.Brain],
        display_color=CIELabColor.from_rgb(*colour_of(colour)),
    )
    one.SegmentDescription = description
    return one


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
