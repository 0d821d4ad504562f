"""A NIfTI scan as DICOM images, for segmentation objects to refer to where there are no others.

The images say what they are: derived, of an unknown patient, made by brainmets. Study, series and
images get the same identifiers each time, so that objects made on different days fit together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from brainmets.domain.errors import GantryTilt
from brainmets.domain.prediction import RESEARCH_USE_ONLY
from brainmets.io.dicom_source import DicomSeriesSource, SourceSlice
from brainmets.io.dicom_stack import LPS_TO_RAS
from brainmets.io.dicom_stamp import MANUFACTURER, begun, decimals, encoded

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from brainmets.domain.geometry import Geometry
    from brainmets.domain.volume import Volume

__all__ = ["derived_series", "images_of"]

DISPLAYED = {
    0: ((1, -1), (2, -1), (0, 1)),
    1: ((0, -1), (2, -1), (1, -1)),
    2: ((0, -1), (1, -1), (2, 1)),
}
"""By the RAS axis across slices: the RAS axis and sign of columns, rows and slices.

What radiologists hang up: face or crown at the top, patient's right on the left, right-handed.
"""

RIGHT_ANGLE_WITHIN = 1e-3
"""Cosine between axes; DICOM images have rows and columns at right angles."""

HIGHEST = 65_535
WINDOW_PERCENTILES = (1.0, 99.7)


def derived_series(grid: Geometry, sha256: str) -> DicomSeriesSource:
    """Return the series that `images_of` makes of a scan on `grid` with that content.

    Raises:
        GantryTilt: the grid's axes are not at right angles.
    """
    placed = _displayed(grid)
    matrix = placed.affine[:3, :3] / np.array(placed.spacing_mm)
    lean = float(np.abs(matrix.T @ matrix - np.eye(3)).max())
    if lean > RIGHT_ANGLE_WITHIN:
        raise GantryTilt(
            f"a scan whose axes lie {np.degrees(np.arcsin(min(lean, 1.0))):.1f} degrees off right"
            " angles",
            expected="right angles, the only ones that DICOM images have",
            remedy="give the original DICOM series as the source",
        )
    positions = placed.to_ras_mm(np.arange(placed.shape[2])[:, None] * np.array([0, 0, 1]))
    return DicomSeriesSource(
        slices=tuple(
            SourceSlice(
                sop_class_uid="1.2.840.10008.5.1.4.1.1.4",  # MR Image Storage
                sop_instance_uid=_uid(sha256, f"image {k}"),
                frame=None,
                position_lps_mm=(float(x), float(y), float(z)),
            )
            for k, (x, y, z) in enumerate(positions @ LPS_TO_RAS)
        ),
        geometry=placed,
        study_uid=_uid(sha256, "study"),
        series_uid=_uid(sha256, "series"),
        frame_of_reference_uid=_uid(sha256, "frame of reference"),
        identity={
            "PatientID": f"{MANUFACTURER}-{sha256[:12]}",
            "PatientName": f"Unknown^{sha256[:12]}",
            "StudyDescription": "From a NIfTI file",
        },
    )


def images_of(volume: Volume, source: DicomSeriesSource) -> Iterator[tuple[str, bytes]]:
    """Yield file name and content of each image of a series that `derived_series` has laid out.

    Whole numbers that 16 bits hold are kept as they are, other intensities scaled to 16 bits.
    """
    axes, flips = _turn(volume.geometry)
    flipped = tuple(axis for axis, flip in enumerate(flips) if flip)
    voxels, window = _sixteen_bits(np.flip(volume.data.transpose(axes), flipped))
    for k in range(len(source.slices)):
        yield f"image-{k + 1:04d}.dcm", _image(voxels[:, :, k].T, k, source, window)


def _image(
    plane: NDArray[np.generic], k: int, source: DicomSeriesSource, window: tuple[float, float]
) -> bytes:
    one = source.slices[k]
    column_mm, row_mm, slice_mm = source.geometry.spacing_mm
    data = begun(source, one.sop_class_uid, one.sop_instance_uid)
    data.Modality, data.ImageType = "MR", ["DERIVED", "SECONDARY", "OTHER"]
    data.SeriesInstanceUID, data.SeriesNumber, data.InstanceNumber = source.series_uid, 1, k + 1
    data.SeriesDescription = "MR from NIfTI - RESEARCH USE ONLY"
    data.ManufacturerModelName = "NIfTI conversion"
    data.DerivationDescription = f"Made from a NIfTI file by {MANUFACTURER}. {RESEARCH_USE_ONLY}"
    data.ContentQualification = "RESEARCH"
    data.BodyPartExamined, data.ScanningSequence, data.SequenceVariant = "BRAIN", "RM", "NONE"
    for unknown in (
        "ScanOptions", "MRAcquisitionType", "EchoTime", "EchoTrainLength", "RepetitionTime",
        "PatientPosition",
    ):  # fmt: skip
        setattr(data, unknown, None)
    data.ImagePositionPatient = decimals(*one.position_lps_mm)
    data.ImageOrientationPatient = decimals(*source.axes_lps.ravel())
    data.PixelSpacing = decimals(row_mm, column_mm)
    data.SliceThickness = data.SpacingBetweenSlices = decimals(slice_mm)[0]
    data.Rows, data.Columns = plane.shape
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated = data.BitsStored = 16
    data.HighBit, data.PixelRepresentation = 15, int(plane.dtype.kind == "i")
    low, high = window
    data.WindowCenter, data.WindowWidth = decimals((low + high) / 2, max(high - low, 1.0))
    data.PixelData = np.ascontiguousarray(plane).astype(plane.dtype.newbyteorder("<")).tobytes()
    data["PixelData"].VR = "OW"
    return encoded(data)


def _displayed(grid: Geometry) -> Geometry:
    return grid.permuted(*_turn(grid))


def _turn(grid: Geometry) -> tuple[tuple[int, int, int], tuple[bool, bool, bool]]:
    """Axes and flips that bring a grid to (column, row, slice) as displayed, right-handed."""
    closest = grid.closest_axes
    plan = DISPLAYED[closest[grid.slice_axis][0]]
    order = [next(v for v in range(3) if closest[v][0] == ras) for ras, _ in plan]
    flips = [closest[v][1] != sign for v, (_, sign) in zip(order, plan, strict=True)]
    axes = (order[0], order[1], order[2])
    turned = grid.permuted(axes, (flips[0], flips[1], flips[2]))
    if np.linalg.det(turned.affine[:3, :3]) < 0:  # an oblique grid may end up left-handed
        flips[2] = not flips[2]
    return axes, (flips[0], flips[1], flips[2])


def _sixteen_bits(
    voxels: NDArray[np.float32],
) -> tuple[NDArray[np.generic], tuple[float, float]]:
    """Return the voxels as 16-bit integers and the window to show them with."""
    low, high = float(voxels.min()), float(voxels.max())
    whole = bool((voxels == np.rint(voxels)).all())
    if whole and low >= 0 and high <= HIGHEST:
        kept = voxels.astype(np.uint16)
    elif whole and low >= -HIGHEST // 2 and high <= HIGHEST // 2:
        kept = voxels.astype(np.int16)
    else:
        share = (voxels.astype(np.float64) - low) / ((high - low) or 1.0)
        kept = np.rint(share * HIGHEST).astype(np.uint16)
    bright = kept[kept > kept.mean()]
    dark, light = np.percentile(bright if bright.size else kept, WINDOW_PERCENTILES)
    return kept, (min(0.0, float(dark)), float(light))


def _uid(sha256: str, what: str) -> str:
    from pydicom.uid import generate_uid

    return str(generate_uid(entropy_srcs=["brainmets from NIfTI", sha256, what]))
