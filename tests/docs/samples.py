"""The images that pages call the reader's own, made from the analytic phantom."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

from brainmets.domain import Geometry, HeadPhantom, PhantomLesion
from tests.unit.head_cohorts import write_folders

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["write_samples"]


def write_samples(folder: Path, text: str) -> None:
    """Write those of the samples that the page's blocks name."""
    for name, write in SAMPLES.items():
        if name in text:
            write(folder / name)


def _scan(path: Path) -> None:
    image, _ = HeadPhantom().render(Geometry.isotropic((80, 98, 92), spacing_mm=2.0))
    nib.save(nib.Nifti1Image(image.data, image.geometry.affine), path)


def _later(path: Path) -> None:
    """The same head weeks later: its first lesion has grown, its second is gone."""
    first, _, *others = HeadPhantom().lesions
    grown = replace(first, radii_mm=tuple(1.4 * radius for radius in first.radii_mm))
    grid = Geometry.isotropic((84, 100, 90), spacing_mm=2.1)
    image, _ = HeadPhantom(lesions=(grown, *others)).render(grid)
    nib.save(nib.Nifti1Image(image.data, image.geometry.affine), path)


def _part(path: Path) -> None:
    """A few centimetres of a brain at 1 mm: segmented in a second."""
    lesions = (
        PhantomLesion(centre_ras_mm=(24, 10, 8), radii_mm=(7, 6, 6), core_fraction=0.5),
        PhantomLesion(centre_ras_mm=(-20, -16, -6), radii_mm=(4, 4, 4)),
    )
    image, _ = HeadPhantom(stripped=True, lesions=lesions).render(Geometry.isotropic((72, 80, 64)))
    nib.save(nib.Nifti1Image(image.data, image.geometry.affine), path)


def _slice(path: Path) -> None:
    image, _ = HeadPhantom().render(Geometry.isotropic((160, 196, 3), spacing_mm=1.0))
    grey = np.rot90(np.clip(image.data[:, :, 1] / 4, 0, 255).astype(np.uint8))
    Image.fromarray(grey).save(path)


def _dicom(path: Path) -> None:
    image, _ = HeadPhantom().render(
        Geometry(
            shape=(80, 98, 60),
            affine=np.array([[-2, 0, 0, 79], [0, -2, 0, 97], [0, 0, 3, -89], [0, 0, 0, 1]]),
        )
    )
    study, series, frame = (generate_uid() for _ in range(3))
    with zipfile.ZipFile(path, "w") as archive:
        for k in reversed(range(image.data.shape[2])):
            x, y, z = image.geometry.to_ras_mm((0, 0, k))
            file = FileDataset("", {}, file_meta=FileMetaDataset(), preamble=b"\0" * 128)
            file.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
            file.SOPClassUID = file.file_meta.MediaStorageSOPClassUID = MRImageStorage
            file.SOPInstanceUID = file.file_meta.MediaStorageSOPInstanceUID = generate_uid()
            file.StudyInstanceUID, file.SeriesInstanceUID = study, series
            file.FrameOfReferenceUID = frame
            file.Modality, file.SeriesDescription, file.InstanceNumber = "MR", "T1 post Gd", k + 1
            file.ImagePositionPatient = [-x, -y, z]
            file.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
            file.PixelSpacing, file.SliceThickness = [2, 2], 3
            file.SamplesPerPixel, file.PhotometricInterpretation = 1, "MONOCHROME2"
            file.Columns, file.Rows = image.data.shape[:2]
            file.BitsAllocated = file.BitsStored = 16
            file.HighBit, file.PixelRepresentation = 15, 0
            file.PixelData = image.data[:, :, k].T.astype("<u2").tobytes()
            content = io.BytesIO()
            file.save_as(content, enforce_file_format=True)
            archive.writestr(f"IM{k:04d}", content.getvalue())


def _masks(folder: Path, *, missed: int) -> None:
    """Four cases with one lesion more each; a prediction misses some and is a voxel off."""
    folder.mkdir()
    grid = Geometry.isotropic((80, 98, 92), spacing_mm=2.0)
    _, mask = HeadPhantom(noise=0.0).render(grid)
    for case in range(4):
        kept = (mask.data > missed * (case % 2)) & (mask.data <= case)
        labels = np.roll(kept, missed, axis=0).astype(np.uint8)
        nib.save(nib.Nifti1Image(labels, grid.affine), folder / f"case-{case}.nii.gz")


def _reference(folder: Path) -> None:
    _masks(folder, missed=0)


def _prediction(folder: Path) -> None:
    _masks(folder, missed=1)


def _scans_with_masks(folder: Path) -> None:
    write_folders(folder, patients=6)


SAMPLES = {
    "scan.nii.gz": _scan,
    "later.nii.gz": _later,
    "patient.nii.gz": _part,
    "slice.png": _slice,
    "dicom.zip": _dicom,
    "reference": _reference,
    "prediction": _prediction,
    "other-model": _reference,
    "my-scans": _scans_with_masks,
}
