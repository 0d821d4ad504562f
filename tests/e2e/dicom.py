"""A DICOM series of a phantom, as a scanner's export would be in a zip."""

from __future__ import annotations

import io
import random
import zipfile
from typing import TYPE_CHECKING

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

if TYPE_CHECKING:
    from brainmets.domain import Geometry

__all__ = ["dicom_zip"]


def dicom_zip(data: np.ndarray, geometry: Geometry, *, number: int = 1) -> bytes:
    """Axial slices in a shuffled order; columns to the patient's left, rows to the back."""
    study, series, frame = generate_uid(), generate_uid(), generate_uid()
    spacing = geometry.spacing_mm
    content = io.BytesIO()
    order = list(range(data.shape[2]))
    random.Random(0).shuffle(order)
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for file, k in enumerate(order):
            last = (data.shape[0] - 1, data.shape[1] - 1, k)
            corner = geometry.to_ras_mm(last)  # right front corner: LPS origin of the picture
            pixels = np.ascontiguousarray(np.flip(data[:, :, k], (0, 1)).T).astype("<u2")
            image = Dataset()
            image.file_meta = FileMetaDataset()
            image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
            image.file_meta.MediaStorageSOPClassUID = MRImageStorage
            image.SOPClassUID = MRImageStorage
            image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = generate_uid()
            image.StudyInstanceUID, image.SeriesInstanceUID = study, series
            image.FrameOfReferenceUID = frame
            image.Modality = "MR"
            image.SeriesNumber, image.InstanceNumber = number, k + 1
            image.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
            image.ImagePositionPatient = [-corner[0], -corner[1], corner[2]]
            image.PixelSpacing = [spacing[1], spacing[0]]
            image.SliceThickness = spacing[2]
            image.Rows, image.Columns = pixels.shape
            image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
            image.BitsAllocated = image.BitsStored = 16
            image.HighBit, image.PixelRepresentation = 15, 0
            image.PixelData = pixels.tobytes()
            buffer = io.BytesIO()
            image.save_as(buffer, enforce_file_format=True)
            archive.writestr(f"IM{file:04d}", buffer.getvalue())
    return content.getvalue()
