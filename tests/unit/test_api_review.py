"""A reader's labels: what stays in the corrected mask, what the table says."""

from __future__ import annotations

import csv
import gzip
import io
from typing import TYPE_CHECKING

import nibabel
import numpy as np
import pytest

from brainmets.api.app import create_app
from brainmets.api.settings import Settings
from brainmets.domain import Geometry
from tests.unit.api_server import serving
from tests.unit.test_api_jobs import STAND_IN, submit, wait

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import httpx


@pytest.fixture
def service(
    tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[httpx.Client]:
    monkeypatch.setenv("PYTHONPATH", str(repository))
    settings = Settings(state_dir=tmp_path, runner=STAND_IN, min_free_bytes=0)
    with serving(create_app(settings)) as client:
        yield client


def five_blocks() -> bytes:
    head = np.full((40, 48, 44), 100, np.int16)
    for number in range(5):
        head[4 + 7 * number : 8 + 7 * number, 20:23, 20:23] = 1200 + number
    return nibabel.Nifti1Image(
        head, Geometry.isotropic(head.shape, spacing_mm=4.0).affine
    ).to_bytes()


def test_labels_decide_what_the_corrected_mask_holds(service: httpx.Client) -> None:
    job = wait(service, submit(service, five_blocks())["id"])
    ids = [lesion["id"] for lesion in job["result"]["lesions"]]
    assert len(ids) == 5
    labels = ["metastasis", "uncertain", "other", "not_a_lesion"]
    readings = {str(n): {"label": label} for n, label in zip(ids, labels, strict=False)}
    readings[str(ids[2])]["comment"] = "=meningioma,\n convexity"
    path = f"/v1/jobs/{job['id']}"
    saved = service.put(f"{path}/review", json={"readings": readings})
    assert saved.status_code == 200, saved.text
    assert saved.json()["review"]["rejected"] == sorted([ids[2], ids[3]])
    assert saved.json()["review"]["readings"][str(ids[1])]["label"] == "uncertain"
    mask = service.get(f"{path}/files/mask-reviewed.nii.gz").content
    data = np.asanyarray(nibabel.Nifti1Image.from_bytes(gzip.decompress(mask)).dataobj)
    assert set(np.unique(data)) == {0, ids[0], ids[1], ids[4]}
    rows = list(csv.DictReader(io.StringIO(service.get(f"{path}/files/lesions-reviewed.csv").text)))
    by_id = {int(row["id"]): row for row in rows}
    assert [by_id[n]["label"] for n in ids] == [*labels, ""]
    assert [by_id[n]["verdict"] for n in ids] == ["kept", "kept", "rejected", "rejected", "kept"]
    assert by_id[ids[2]]["comment"] == "'=meningioma, convexity"  # no formula, one line

    for bad in ({"99": {"label": "uncertain"}}, {str(ids[0]): {"label": "artefact"}}):
        refused = service.put(f"{path}/review", json={"readings": bad})
        assert refused.status_code == 422
        assert refused.json()["code"] in {"E_OPTION", "E_REQUEST"}
