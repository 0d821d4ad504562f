"""A reader's labels: what stays in the corrected mask, what the table says."""

from __future__ import annotations

import csv
import gzip
import io
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import nibabel
import numpy as np
import pytest

from brainmets.api import review, reviews
from brainmets.api.app import create_app
from brainmets.api.schemas import JobResult, ReviewRequest
from brainmets.api.settings import Settings
from brainmets.domain import Geometry
from tests.unit.api_server import serving
from tests.unit.test_api_jobs import STAND_IN, submit, wait

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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


class Killed(BaseException):
    """What no code of ours catches, as a kill."""


@pytest.mark.parametrize("at", range(8))
def test_a_save_cut_short_anywhere_leaves_the_earlier_review_or_the_new_one(
    service: httpx.Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    job = wait(service, submit(service, five_blocks())["id"])
    path = f"/v1/jobs/{job['id']}"
    first, second, third = (lesion["id"] for lesion in job["result"]["lesions"][:3])
    for rejected in (first, second):
        assert service.put(f"{path}/review", json={"rejected": [rejected]}).status_code == 200
    steps = iter(range(100))

    def killed_at(step: Callable[..., object]) -> Callable[..., object]:
        def stepping(*args: object, **more: object) -> object:
            if next(steps) >= at:  # dead from then on: no clean-up runs either
                raise Killed
            return step(*args, **more)

        return stepping

    result = JobResult.model_validate(job["result"])
    with monkeypatch.context() as killer:
        for name in ("mkdir", "rename", "write_text"):
            killer.setattr(Path, name, killed_at(getattr(Path, name)))
        killer.setattr(reviews, "remove", killed_at(reviews.remove))
        killer.setattr(review, "remove", killed_at(review.remove))
        with suppress(Killed):
            (attempt,) = (tmp_path / "jobs" / job["id"]).glob("attempt-*")
            review.save_review(attempt, result, ReviewRequest(rejected=(third,)))
    stands = service.get(path).json()["review"]["rejected"]
    assert stands == [second if at <= AT_THE_RENAME else third]
    mask = service.get(f"{path}/files/mask-reviewed.nii.gz").content
    data = np.asanyarray(nibabel.Nifti1Image.from_bytes(gzip.decompress(mask)).dataobj)
    assert set(stands).isdisjoint(np.unique(data))
    again = service.put(f"{path}/review", json={"rejected": [first]})
    assert again.json()["review"]["rejected"] == [first]
    files = [file["name"] for file in again.json()["files"]]
    assert len(files) == len(set(files))


AT_THE_RENAME = 3
"""The folder is made, table and review are written, then it is renamed."""
