"""After a saved review every export and the zip of everything hold what the review says.

Ten reviews, each in six formats and in the unpacked zip: a lesion left out, labelled away,
labelled and commented, commented with a formula and in Chinese, trimmed, added, deleted, moved
in the drawing, all left out, another threshold.
"""

from __future__ import annotations

import csv
import json
import shutil
from typing import TYPE_CHECKING, Any

import nibabel
import numpy as np
import pydicom
import pytest

from brainmets.api.exporting import export_job
from brainmets.api.reviews import latest_review
from brainmets.api.routes.results import _packed
from brainmets.api.schemas import JobOptions
from brainmets.reporting.case_pdf import text_of
from brainmets.reporting.stored import read_result
from tests.unit.test_api_drawing import sent
from tests.unit.test_api_exports import attempt_of, dicom, service, state

if TYPE_CHECKING:
    from pathlib import Path

    import httpx
    from numpy.typing import NDArray

    Drawn = NDArray[np.uint16]

__all__ = ["dicom", "service", "state"]


def reject(ids: list[int], _: Drawn) -> dict[str, Any]:
    return {"rejected": ids[:1]}


def label_away(ids: list[int], _: Drawn) -> dict[str, Any]:
    return {"readings": {str(ids[0]): {"label": "not_a_lesion", "comment": "a vessel"}}}


def label(ids: list[int], _: Drawn) -> dict[str, Any]:
    said = {"label": "uncertain", "comment": "near the vessel"}
    return {"readings": {str(ids[-1]): said, str(ids[0]): {"label": "metastasis"}}}


def comment(ids: list[int], _: Drawn) -> dict[str, Any]:
    said = {"label": "metastasis", "comment": "=1+1 größer, 转移瘤"}
    return {"readings": {str(ids[0]): said}}


def trim(ids: list[int], drawn: Drawn) -> dict[str, Any]:
    places = np.argwhere(drawn == ids[0])
    drawn[tuple(places[(len(places) + 1) // 2 :].T)] = 0
    return {"drawn": sent(drawn), "readings": {str(ids[0]): {"label": "metastasis"}}}


def add(ids: list[int], drawn: Drawn) -> dict[str, Any]:
    i, j, k = np.argwhere(drawn == 0)[0]
    drawn[i : i + 3, j : j + 3, k : k + 2] = max(ids) + 1
    return {"drawn": sent(drawn)}


def delete(ids: list[int], drawn: Drawn) -> dict[str, Any]:
    drawn[drawn == ids[0]] = 0
    return {"drawn": sent(drawn)}


def move(ids: list[int], drawn: Drawn) -> dict[str, Any]:
    drawn[drawn == ids[0]] = 0
    drawn[-4:-1, -4:-1, -4:-1] = ids[0]
    return {"drawn": sent(drawn), "rejected": ids[1:2]}


def reject_all(ids: list[int], _: Drawn) -> dict[str, Any]:
    return {"rejected": ids}


def threshold(_: list[int], __: Drawn) -> dict[str, Any]:
    return {"threshold": 0.56}


SLOW = (label_away, comment, add, delete, move, reject_all, threshold)


@pytest.mark.parametrize(
    "change", [reject, label, trim, *(pytest.param(one, marks=pytest.mark.slow) for one in SLOW)]
)
def test_every_format_holds_what_the_review_says(
    service: httpx.Client, state: Path, dicom: str, tmp_path: Path, change: Any
) -> None:
    job_dir = attempt_of(state, dicom)
    found = service.get(f"/v1/jobs/{dicom}").json()["result"]
    ids = [lesion["id"] for lesion in found["lesions"]]
    labels = nibabel.load(job_dir / "out" / "mask.nii.gz")
    drawn = nibabel.as_closest_canonical(labels)
    request = change(ids, np.asarray(drawn.dataobj).astype(np.uint16))
    saved = service.put(f"/v1/jobs/{dicom}/review", json=request)
    assert saved.status_code == 200, saved.text
    review = latest_review(job_dir)
    assert review is not None
    mask = np.asarray(nibabel.load(review / "mask-reviewed.nii.gz").dataobj)
    voxels = {int(n): int((mask == n).sum()) for n in np.unique(mask) if n}
    said = {
        int(n): (one["label"], one.get("comment", ""))
        for n, one in request.get("readings", {}).items()
        if int(n) in voxels
    }
    for name in ("mask.nii.gz", "lesions.csv", "report.json", "seg.dcm", "rtstruct.dcm"):
        if name != "rtstruct.dcm" or voxels:
            export_job(job_dir, name, JobOptions())
    made = job_dir / "exports" / review.name
    assert np.array_equal(np.asarray(nibabel.load(made / "mask.nii.gz").dataobj), mask)
    rows = {
        int(row["id"]): row
        for row in csv.DictReader((made / "lesions.csv").read_text("utf-8").splitlines())
    }
    assert {n: int(row["voxels"]) for n, row in rows.items()} == voxels
    plain = {n: (label, text.replace("=1", "'=1")) for n, (label, text) in said.items()}
    assert {n: (rows[n]["label"], rows[n]["comment"]) for n in said} == plain
    told = {one["id"]: one for one in json.loads((made / "report.json").read_text())["lesions"]}
    assert {n: one["voxels"] for n, one in told.items()} == voxels
    assert {n: (told[n]["label"], told[n]["comment"]) for n in said} == said
    seg = pydicom.dcmread(made / "seg.dcm")
    if voxels:
        described = {one.SegmentLabel: one.SegmentDescription for one in seg.SegmentSequence}
        assert set(described) == {f"Lesion {n}" for n in voxels}
        assert all(said[n][1] in described[f"Lesion {n}"] for n in said)
        regions = pydicom.dcmread(made / "rtstruct.dcm").StructureSetROISequence
        assert {one.ROIName for one in regions} == set(described)
        assert all(
            said[n][1] in one.ROIDescription
            for one in regions
            if (n := int(one.ROIName.split()[-1])) in said
        )
    assert int(seg.pixel_array.astype(bool).sum()) == sum(voxels.values())
    everything = tmp_path / "everything"
    for name, path in (_packed(job_dir) | {one.name: one for one in made.iterdir()}).items():
        (everything / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, everything / name)
    assert (everything / "as-found" / "overlay.png").is_file()
    assert not (everything / "overlay.png").exists()
    for folder, where in ((job_dir / "out", review), (everything, None)):
        result = read_result(folder, review=where)
        assert not result.edited
        assert {one.id: one.voxels for one in result.lesions} == voxels
        assert result.readings == said
        table = str(text_of(result, "")["rows"])
        assert all(text in table for _, text in said.values())


@pytest.mark.parametrize("change", [label, reject_all])
def test_the_report_of_a_review_is_typeset(
    service: httpx.Client, state: Path, dicom: str, change: Any
) -> None:
    ids = [one["id"] for one in service.get(f"/v1/jobs/{dicom}").json()["result"]["lesions"]]
    request = change(ids, np.zeros((1, 1, 1), np.uint16))
    assert service.put(f"/v1/jobs/{dicom}/review", json=request).status_code == 200
    made = export_job(attempt_of(state, dicom), "report.pdf", JobOptions())
    assert made.read_bytes().startswith(b"%PDF")
