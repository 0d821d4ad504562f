"""Readers of DICOM objects that share no code with our writers."""

from __future__ import annotations

import shutil
import subprocess
from io import BytesIO
from typing import TYPE_CHECKING

import nibabel
import numpy as np
import pytest
from matplotlib.path import Path as Polygon
from pydicom import dcmread

if TYPE_CHECKING:
    from pathlib import Path

    from brainmets.domain import Geometry

__all__ = ["dciodvfy_errors", "plastimatch_volumes", "region_volumes_mm3", "segment_points_lps"]


def dciodvfy_errors(path: Path) -> list[str]:
    """What Debian's dicom3tools holds against a file."""
    if not shutil.which("dciodvfy"):
        pytest.skip("no dciodvfy: apt install dicom3tools")
    done = subprocess.run(["dciodvfy", path], capture_output=True, text=True, check=False)
    lines = (done.stdout + done.stderr).splitlines()
    assert lines, "dciodvfy said nothing, not even the kind of object"
    return [line for line in lines if line.startswith("Error")]


def segment_points_lps(content: bytes) -> dict[str, np.ndarray]:
    """Centres (n, 3) in LPS mm of the pixels of each segment, by its label; pydicom alone."""
    data = dcmread(BytesIO(content))
    labels = {int(s.SegmentNumber): str(s.SegmentLabel) for s in data.SegmentSequence}
    shared = data.SharedFunctionalGroupsSequence[0]
    down_mm, along_mm = shared.PixelMeasuresSequence[0].PixelSpacing
    cosines = shared.PlaneOrientationSequence[0].ImageOrientationPatient
    along, down = np.array(cosines[:3], float), np.array(cosines[3:], float)
    found: dict[str, list[np.ndarray]] = {}
    for frame, groups in enumerate(data.PerFrameFunctionalGroupsSequence):
        number = groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        corner = np.array(groups.PlanePositionSequence[0].ImagePositionPatient, float)
        rows, columns = np.nonzero(data.pixel_array[frame])
        points = corner + np.outer(columns * along_mm, along) + np.outer(rows * down_mm, down)
        found.setdefault(labels[int(number)], []).append(points)
    return {label: np.concatenate(parts) for label, parts in found.items()}


def region_volumes_mm3(content: bytes, grid: Geometry) -> dict[str, float]:
    """Volume of each region, its contours filled by matplotlib at the grid's pixel centres."""
    data = dcmread(BytesIO(content))
    names = {int(r.ROINumber): str(r.ROIName) for r in data.StructureSetROISequence}
    columns, rows = np.meshgrid(*(np.arange(n) for n in grid.shape[:2]), indexing="ij")
    centres = np.column_stack([columns.ravel(), rows.ravel()])
    volumes: dict[str, float] = {}
    for region in data.ROIContourSequence:
        voxels = 0
        for contour in region.ContourSequence:
            lps = np.array(contour.ContourData, float).reshape(-1, 3)
            ijk = grid.to_voxel(lps * (-1, -1, 1))
            voxels += int(Polygon(ijk[:, :2]).contains_points(centres).sum())
        volumes[names[int(region.ReferencedROINumber)]] = voxels * grid.voxel_volume_mm3
    return volumes


def plastimatch_volumes(structures: Path, images: Path, out: Path) -> dict[str, float]:
    """Volume of each region in mm³ as Debian's plastimatch draws it on the images' grid.

    `images` is a folder of DICOM files without folders in it: it looks no further.
    """
    if not shutil.which("plastimatch"):
        pytest.skip("no plastimatch: apt install plastimatch")
    command = ["plastimatch", "convert", "--input", structures, "--referenced-ct", images]
    command += ["--output-prefix", out, "--prefix-format", "nii.gz"]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    volumes: dict[str, float] = {}
    for path in out.glob("*.nii.gz"):
        image = nibabel.load(path)
        voxel_mm3 = abs(np.linalg.det(image.affine[:3, :3]))
        volumes[path.name.removesuffix(".nii.gz")] = (
            np.count_nonzero(np.asarray(image.dataobj)) * voxel_mm3
        )
    return volumes
