"""Results handed over: a scene of 3D Slicer, and one HTML file with the viewer inside."""

from __future__ import annotations

import base64
import gzip
import json
import re
import zipfile
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from brainmets.domain import Geometry, Lesion, Mask, Provenance, Volume
from brainmets.io import read_mask, read_volume
from brainmets.io.seg_nrrd import Segment, seg_nrrd
from brainmets.reporting.slicer_scene import lesion_colour, write_scene
from brainmets.reporting.stored import StoredResult
from brainmets.ui.single_file import page_of

if TYPE_CHECKING:
    from pathlib import Path

TILT = np.deg2rad(20.0)
OBLIQUE = np.array(
    [
        [-0.8 * np.cos(TILT), 0.9 * np.sin(TILT), 0.0, 40.0],
        [0.8 * np.sin(TILT), 0.9 * np.cos(TILT), 0.0, -50.0],
        [0.0, 0.0, 3.0, -20.0],
        [0.0, 0.0, 0.0, 1.0],
    ]
)


def lesion(number: int, place: str) -> Lesion:
    return Lesion(
        id=number,
        voxels=8,
        volume_mm3=17.0,
        diameter_in_plane_mm=3.0,
        perpendicular_mm=2.0,
        diameter_3d_mm=4.0,
        centroid_ras_mm=(0.0, 0.0, 0.0),
        centroid_voxel=(3.0, 3.0, 3.0),
        slice_index=3,
        side="right",
        peak_probability=float("nan"),
        mean_probability=float("nan"),
        place=place,
    )


@pytest.fixture
def result() -> StoredResult:
    labels = np.zeros((12, 14, 9), dtype=np.uint16)
    labels[2:4, 3:5, 4:6] = 1
    labels[8:10, 8:10, 2:4] = 300  # an id that a byte does not hold
    geometry = Geometry(shape=labels.shape, affine=OBLIQUE)
    return StoredResult(
        mask=Mask(data=labels, geometry=geometry),
        lesions=(lesion(1, "left frontal lobe (approximate)"), lesion(300, "")),
        provenance=Provenance(
            model="</script><b>",  # what ends a script must not end this one
            model_sha256="a" * 64,
            code_version="1",
            engine="openvino",
            input_sha256="b" * 64,
            settings={"threshold": 0.5},
        ),
        kind="volume",
        format="nifti",
        case_id="head",
        sequences=("t1c",),
        slice_names=(),
        warnings=(),
        notice="Research use only.",
        reviewed=True,
        readings={300: ("metastasis", "seen before")},
    )


def test_a_segmentation_has_names_colours_and_its_place(
    result: StoredResult, tmp_path: Path
) -> None:
    segments = [Segment(label=n, name=f"Lesion\n{n}", colour=lesion_colour(n)) for n in (1, 300)]
    path = tmp_path / "lesions.seg.nrrd"
    path.write_bytes(seg_nrrd(result.mask, segments))
    again = read_mask(path)
    assert again.geometry.same_grid(result.mask.geometry)
    assert np.array_equal(again.data, result.mask.data)
    header = path.read_bytes().partition(b"\n\n")[0].decode()
    assert "Segment0_Name:=Lesion 1\n" in header
    assert "Segment1_LabelValue:=300\n" in header
    assert "Segment1_Extent:=8 9 8 9 2 3\n" in header
    assert len({lesion_colour(n) for n in range(1, 60)}) == 59


def test_a_scene_holds_the_scan_and_named_lesions(result: StoredResult, tmp_path: Path) -> None:
    grid = result.mask.geometry
    data = np.random.default_rng(0).normal(100, 20, grid.shape).astype(np.float32)
    path = write_scene(result, Volume(data=data, geometry=grid), tmp_path / "scene.mrb")
    with zipfile.ZipFile(path) as archive:
        assert len({name.split("/")[0] for name in archive.namelist()}) == 1  # as Slicer expects
        (scene,) = (name for name in archive.namelist() if name.endswith(".mrml"))
        tree = ET.fromstring(archive.read(scene))  # noqa: S314 - our own text
        archive.extractall(tmp_path / "unpacked")
    nodes = {node.tag: node.attrib for node in tree}
    root = (tmp_path / "unpacked" / scene).parent
    scan = read_volume(root / nodes["VolumeArchetypeStorage"]["fileName"])
    lesions = read_mask(root / nodes["SegmentationStorage"]["fileName"])
    assert np.allclose(scan.data, data)
    assert scan.geometry.same_grid(lesions.geometry)
    assert np.array_equal(lesions.data, result.mask.data)
    names = (root / "Data/lesions.seg.nrrd").read_bytes()
    assert b"Segment0_Name:=Lesion 1, left frontal lobe (approximate)\n" in names
    assert b"Segment1_Name:=Lesion 300, right, metastasis\n" in names
    for node in tree:  # every reference leads to a node of the scene
        for reference in node.attrib.get("references", "").split(";"):
            wanted = reference.partition(":")[2]
            assert not wanted or wanted in {one.attrib["id"] for one in tree}


def test_the_html_file_is_whole_and_asks_nobody(result: StoredResult) -> None:
    parts = {"image.u16": gzip.compress(b"voxels"), "labels.u8": gzip.compress(b"ids")}
    page = page_of(result, {"shape": [1, 1, 1]}, parts)
    assert not re.search(r"<\w[^>]*\s(?:src|href)=|@import|https?://", page)
    assert "default-src 'none'" in page
    assert page.count("</script>") == 1
    found = re.search(r"^const PARTS = (.*);$", page, re.MULTILINE)
    assert found is not None
    assert gzip.decompress(base64.b64decode(json.loads(found[1])["image.u16"])) == b"voxels"
    data = re.search(r"^const DATA = (.*);$", page, re.MULTILINE)
    assert data is not None
    assert json.loads(data[1])["lesions"][0]["peak_probability"] is None  # NaN is no JSON
    assert "seen before" in page
