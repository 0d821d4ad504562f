"""Lesions as a DICOM RT Structure Set: one region a lesion, outlined along voxel borders.

An outline along borders holds exactly the mask's area in each slice, a single voxel included, and
any rasteriser that asks at pixel centres gets the mask back. Contours are in the planes of the
images, whichever way these run (PS3.3 A.19, C.8.8.5 and C.8.8.6).
"""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np

from brainmets.domain.errors import NothingToExport
from brainmets.domain.prediction import RESEARCH_USE_ONLY
from brainmets.io.contours import filled, outlines
from brainmets.io.dicom_stack import LPS_TO_RAS
from brainmets.io.dicom_stamp import (
    colour_of,
    dataset,
    differs,
    encoded,
    new_object,
    numbered,
    reference,
)
from brainmets.io.guard import guarded

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pydicom import Dataset

    from brainmets.domain.geometry import Geometry
    from brainmets.domain.lesion import Lesion
    from brainmets.io.dicom_source import DicomSeriesSource
    from brainmets.io.dicom_stamp import Finding

__all__ = ["no_region", "read_regions", "structure_set"]

SERIES = 1
"""Counted from the segmentation's series number."""

STUDY_MANAGEMENT = "1.2.840.10008.3.1.2.3.1"
"""Detached Study Management, retired, yet what PS3.3 C.8.8.5 asks a study to be named as."""

IN_PLANE_WITHIN = 0.12
"""Of a slice's thickness: how far a contour may lie from its slice's even place, as images may."""


def structure_set(finding: Finding, source: DicomSeriesSource) -> bytes:
    """Return a structure set of the lesions, referring to the images of `source`.

    Raises:
        NothingToExport: there is no lesion.
        OutputDiffers: read back and filled by scikit-image, it is not the mask.
    """
    if not finding.lesions:
        raise no_region()
    data = _object(finding, source)
    # Implicit types: an explicit DS element ends at 65 534 bytes, a long contour does not.
    from pydicom.uid import ImplicitVRLittleEndian

    data.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    content = encoded(data)
    fault = differs("DICOM structure set")
    with guarded(fault):
        found = read_regions(content, source.geometry)
        meant = {number: finding.mask.data == v.id for number, v in numbered(finding)}
        same = found.keys() == meant.keys() and all(
            np.array_equal(found[number], inside) for number, inside in meant.items()
        )
    if not same:
        raise fault
    return content


def no_region() -> NothingToExport:
    """Say that a structure set has at least one region (PS3.3 C.8.8.5)."""
    return NothingToExport(
        "no lesion in the result",
        expected="at least one for an RT Structure Set, which has no valid form without regions",
        remedy="take the DICOM Segmentation, which can say that there is none, or another format",
    )


def read_regions(content: bytes, grid: Geometry) -> dict[int, NDArray[np.bool_]]:
    """Read a structure set and fill its contours at the voxel centres of `grid`, by number.

    Contours of one region in one slice are combined by exclusive or, as holes demand.

    Raises:
        ValueError: a contour is not in a slice of the grid.
    """
    from pydicom import dcmread

    data = dcmread(BytesIO(content))
    found: dict[int, NDArray[np.bool_]] = {}
    for region in data.ROIContourSequence:
        inside = np.zeros(grid.shape, dtype=np.bool_)
        for contour in region.ContourSequence:
            points = np.array(contour.ContourData, dtype=np.float64).reshape(-1, 3)
            ijk = grid.to_voxel(points @ LPS_TO_RAS)
            k = int(np.rint(ijk[0, 2]))
            if np.abs(ijk[:, 2] - k).max() > IN_PLANE_WITHIN:
                raise ValueError("a contour between slices")
            inside[:, :, k] ^= filled(ijk[:, :2], grid.shape[:2])
        found[int(region.ReferencedROINumber)] = inside
    return found


def _object(finding: Finding, source: DicomSeriesSource) -> Dataset:
    from pydicom.uid import RTStructureSetStorage

    data = new_object(finding, source, RTStructureSetStorage, modality="RTSTRUCT", series=SERIES)
    data.OperatorsName = ""
    data.StructureSetLabel = "brainmets"
    data.StructureSetName = data.SeriesDescription
    data.StructureSetDescription = finding.account()
    data.StructureSetDate, data.StructureSetTime = data.ContentDate, data.ContentTime
    del data.ContentDate, data.ContentTime  # of images, not of structure sets
    data.ApprovalStatus = "UNAPPROVED"
    data.ReferencedFrameOfReferenceSequence = [_frame_of_reference(source)]
    lesions = numbered(finding)
    data.StructureSetROISequence = [_region(n, v, finding, source) for n, v in lesions]
    data.ROIContourSequence = [_contours(n, v, finding, source) for n, v in lesions]
    data.RTROIObservationsSequence = [
        dataset(
            ObservationNumber=number,
            ReferencedROINumber=number,
            ROIObservationLabel=f"Lesion {lesion.id}",
            ROIObservationDescription=RESEARCH_USE_ONLY,
            RTROIInterpretedType="",  # a target or not: that is not for a program to say
            ROIInterpreter="",
        )
        for number, lesion in lesions
    ]
    return data


def _frame_of_reference(source: DicomSeriesSource) -> Dataset:
    whole = {one.sop_instance_uid: one.sop_class_uid for one in source.slices}
    series = dataset(
        SeriesInstanceUID=source.series_uid,
        ContourImageSequence=[
            dataset(ReferencedSOPClassUID=kind, ReferencedSOPInstanceUID=uid)
            for uid, kind in whole.items()
        ],
    )
    study = dataset(
        ReferencedSOPClassUID=STUDY_MANAGEMENT,
        ReferencedSOPInstanceUID=source.study_uid,
        RTReferencedSeriesSequence=[series],
    )
    return dataset(
        FrameOfReferenceUID=source.frame_of_reference_uid, RTReferencedStudySequence=[study]
    )


def _region(number: int, lesion: Lesion, finding: Finding, source: DicomSeriesSource) -> Dataset:
    voxels = int(np.count_nonzero(finding.mask.data == lesion.id))
    return dataset(
        ROINumber=number,
        ReferencedFrameOfReferenceUID=source.frame_of_reference_uid,
        ROIName=f"Lesion {lesion.id}",
        ROIDescription=(
            f"{lesion.where or 'place unknown'}, longest diameter"
            f" {lesion.diameter_in_plane_mm:.1f} mm, peak"
            f" probability {lesion.peak_text}. {finding.said(lesion)}{RESEARCH_USE_ONLY}"
        ),
        ROIVolume=f"{voxels * source.geometry.voxel_volume_mm3 / 1000:.6g}",
        ROIGenerationAlgorithm="SEMIAUTOMATIC" if finding.reviewed else "AUTOMATIC",
        ROIGenerationDescription=f"brainmets {finding.provenance.model}"[:64],
    )


def _contours(number: int, lesion: Lesion, finding: Finding, source: DicomSeriesSource) -> Dataset:
    inside = finding.mask.data == lesion.id
    contours: list[Dataset] = []
    steps_lps = (LPS_TO_RAS @ source.geometry.affine[:3, :2]).T
    for k in np.flatnonzero(inside.any(axis=(0, 1))).tolist():
        for outline in outlines(inside[:, :, k]):
            # The first point again at the end: plastimatch 1.9.4 loses pixels next to a closing
            # edge that it has to add itself, whole lesions of one voxel among them.
            closed = np.concatenate([outline, outline[:1]])
            lps_mm = source.slices[k].position_lps_mm + closed @ steps_lps
            contours.append(
                dataset(
                    ContourNumber=len(contours) + 1,
                    ContourImageSequence=[dataset(**reference(source.slices[k]))],
                    ContourGeometricType="CLOSED_PLANAR",
                    NumberOfContourPoints=len(lps_mm),
                    ContourData=[f"{mm:.4f}" for mm in lps_mm.ravel().tolist()],
                )
            )
    return dataset(
        ROIDisplayColor=list(colour_of(lesion.id)),
        ContourSequence=contours,
        ReferencedROINumber=number,
    )
