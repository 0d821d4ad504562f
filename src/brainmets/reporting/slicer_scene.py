"""A result as a scene of 3D Slicer: the scan, and its lesions with names and colours.

An `.mrb` file is a zip of one folder with a scene in MRML and its data,
https://slicer.readthedocs.io/en/latest/developer_guide/mrml_overview.html.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING
from xml.sax.saxutils import quoteattr

import numpy as np

from brainmets.io import write_volume
from brainmets.io.seg_nrrd import Segment, seg_nrrd

if TYPE_CHECKING:
    from brainmets.domain import Volume
    from brainmets.reporting.stored import StoredResult

__all__ = ["lesion_colour", "write_scene"]

ROOT = "brainmets"
SCAN, LESIONS = "Data/scan.nii.gz", "Data/lesions.seg.nrrd"
WINDOW_PERCENTILES = (1.0, 99.6)
GOLDEN_TURN = 0.618033988749895
"""Of the colour circle from one lesion to the next: neighbours in number differ in colour."""


def write_scene(result: StoredResult, image: Volume, path: Path) -> Path:
    """Write the scan and its lesions as an `.mrb` file.

    Args:
        result: lesions as they stand, with a reader's labels.
        image: the scan that was segmented, on the mask's grid.
        path: where to; an existing file is replaced.

    Returns:
        `path`.
    """
    segments = [
        Segment(label=one.id, name=_name(result, one.id, one.where), colour=lesion_colour(one.id))
        for one in result.lesions
    ]
    with TemporaryDirectory() as folder, zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        scan = write_volume(image, Path(folder) / "scan.nii.gz")
        archive.writestr(f"{ROOT}/{ROOT}.mrml", _scene(result, image))
        archive.write(scan, f"{ROOT}/{SCAN}")
        archive.writestr(f"{ROOT}/{LESIONS}", seg_nrrd(result.mask, segments))
        archive.writestr(f"{ROOT}/READ-ME.txt", f"{result.notice}\n")
    return path


def lesion_colour(number: int) -> tuple[float, float, float]:
    """Return red, green, blue from 0 to 1, strong and unlike those of the numbers before."""
    from colorsys import hsv_to_rgb

    return hsv_to_rgb((0.1 + number * GOLDEN_TURN) % 1.0, 0.75, 1.0)


def _name(result: StoredResult, number: int, where: str) -> str:
    label = result.readings.get(number, ("", ""))[0].replace("_", " ")
    return ", ".join(filter(None, (f"Lesion {number}", where, label)))


def _scene(result: StoredResult, image: Volume) -> str:
    inside = image.data[image.data > image.data.min()]
    low, high = np.percentile(inside if inside.size else image.data, WINDOW_PERCENTILES)
    shown = {"window": f"{max(float(high - low), 1e-6):.6g}", "level": f"{(low + high) / 2:.6g}"}
    volume, display, storage = (
        f"vtkMRML{kind}Node1"
        for kind in ("ScalarVolume", "ScalarVolumeDisplay", "VolumeArchetypeStorage")
    )
    lesions, coloured, stored = (
        f"vtkMRML{kind}Node1"
        for kind in ("Segmentation", "SegmentationDisplay", "SegmentationStorage")
    )
    nodes = [
        _node("VolumeArchetypeStorage", id=storage, name="scan", fileName=SCAN, useCompression="1"),
        _node(
            "ScalarVolumeDisplay",
            id=display,
            name="scan",
            colorNodeID="vtkMRMLColorTableNodeGrey",
            interpolate="1",
            autoWindowLevel="0",
            **shown,
        ),
        _node(
            "Volume",
            id=volume,
            name="scan",
            references=f"display:{display};storage:{storage};",
        ),
        _node("SegmentationStorage", id=stored, name="lesions", fileName=LESIONS),
        _node(
            "SegmentationDisplay",
            id=coloured,
            name="lesions",
            visibility="true",
            opacity2DFill="0.3",
            opacity2DOutline="1",
        ),
        _node(
            "Segmentation",
            id=lesions,
            name="lesions",
            description=result.notice,
            references=f"display:{coloured};storage:{stored};referenceImageGeometryRef:{volume};",
        ),
        _node(
            "Selection",
            id="vtkMRMLSelectionNodeSingleton",
            name="Selection",
            singletonTag="Singleton",
            references=f"ActiveVolume:{volume};",
        ),
    ]
    body = "\n".join(f" {node}" for node in nodes)
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<MRML version="Slicer4.4.0" userTags="">
{body}
</MRML>
"""


def _node(tag: str, **attributes: str) -> str:
    written = " ".join(f"{name}={quoteattr(value)}" for name, value in attributes.items())
    return f"<{tag} {written}></{tag}>"
