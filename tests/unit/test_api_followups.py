"""Follow-ups over HTTP: one's own finished jobs in, how every lesion changed out."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import zipfile
from typing import TYPE_CHECKING

import numpy as np
import pytest

from brainmets.api.app import create_app
from brainmets.api.client import Client
from brainmets.api.settings import Settings
from brainmets.domain import RigidMotion
from brainmets.domain.errors import JobNotFinished
from tests.followed_heads import Ball, brighter, moved
from tests.unit.api_server import serving
from tests.unit.test_workflow_track import textured

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import httpx

PATIENCE_S = 240.0
KEYS = {"one": "key-one", "two": "key-two"}
FIRST = (Ball((-30.0, 20.0, 20.0), 14.0), Ball((30.0, 20.0, 20.0), 20.0))
LATER = (Ball((-30.0, 20.0, 20.0), 24.0), Ball((0.0, -40.0, 20.0), 10.0))


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Iterator[httpx.Client]:
    digests = ",".join(
        f"{name}:{hashlib.sha256(key.encode()).hexdigest()}" for name, key in KEYS.items()
    )
    settings = Settings(
        state_dir=tmp_path_factory.mktemp("state"),
        runner="tests.unit.followup_stand_in:segment",
        min_free_bytes=0,
        api_keys_sha256=digests,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(repository))
        with serving(create_app(settings)) as client:
            yield client


def named(who: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {KEYS[who]}"}


def client_of(service: httpx.Client, who: str = "one") -> Client:
    return Client(str(service.base_url), api_key=KEYS[who])


@pytest.fixture(scope="module")
def jobs(service: httpx.Client, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Two finished jobs of one patient."""
    from brainmets.io import write_volume

    folder = tmp_path_factory.mktemp("scans")
    head = textured(3.0)
    motion = RigidMotion.of(rotation_deg=(2.0, -3.0, 5.0), shift_mm=(4.0, -3.0, 2.0))
    ids: list[str] = []
    with client_of(service) as client:
        for name, image in (
            ("a", brighter(head, FIRST)[0]),
            ("b", brighter(moved(head, motion, head.geometry), LATER, motion)[0]),
        ):
            path = write_volume(image, folder / f"{name}.nii.gz")
            job = client.submit([(path.name, path.read_bytes())])
            done = client.wait(job.id, timeout_s=PATIENCE_S)
            assert done.state == "done", done.problem
            ids.append(job.id)
    return ids[0], ids[1]


@pytest.fixture(scope="module")
def followed(service: httpx.Client, jobs: tuple[str, str]) -> str:
    with client_of(service) as client:
        job = client.follow(jobs[::-1], dates=("2024-04-01", "2024-01-31"))
        done = client.wait(job.id, timeout_s=PATIENCE_S)
        assert done.state == "done", done.problem
        return done.id


def test_every_lesion_is_followed(service: httpx.Client, followed: str) -> None:
    job = service.get(f"/v1/jobs/{followed}", headers=named("one")).json()
    found = job["result"]["followup"]

    assert found["days"] == [0, 61]
    states = {lesion["sightings"][1]["state"] for lesion in found["lesions"]}
    assert states == {"growing", "gone", "new"}
    assert [one["category"] for one in found["responses"]] == [None, "PD"]
    assert found["scans"][1]["similarity"] > 0.5
    assert found["chart"].startswith("<svg")
    assert "2024" not in json.dumps(job)


def test_the_job_is_the_caller_s_scans_in_the_order_of_their_dates(
    service: httpx.Client, jobs: tuple[str, str], followed: str
) -> None:
    job = service.get(f"/v1/jobs/{followed}", headers=named("one")).json()
    assert job["options"]["followup"]["jobs"] == list(jobs)
    assert [scan["job"] for scan in job["result"]["followup"]["scans"]] == list(jobs)
    assert job["label"] == "Follow-up of 2 scans: a.nii.gz"


def test_files_can_be_taken_away(service: httpx.Client, followed: str) -> None:
    answer = service.get(f"/v1/jobs/{followed}/files/all.zip", headers=named("one"))
    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    assert {
        "tracked.csv",
        "tracked.json",
        "response.csv",
        "chart.svg",
        "report.pdf",
        "scan-1-lesions.nii.gz",
        "scan-2-lesions.nii.gz",
        "scan-2.nii.gz",
        "READ-ME.txt",
    } == set(archive.namelist())
    rows = list(csv.DictReader(archive.read("tracked.csv").decode().splitlines()))
    assert len(rows) == 3 * 2


def test_scans_are_shown_on_the_first_ones_grid(service: httpx.Client, followed: str) -> None:
    job = service.get(f"/v1/jobs/{followed}", headers=named("one")).json()
    meta = job["result"]["view"]
    found = job["result"]["followup"]
    at = f"/v1/followups/{followed}/scans"
    for number in (1, 2):
        path = f"{at}/{number}/view/labels.u8"
        labels = np.frombuffer(service.get(path, headers=named("one")).content, np.uint8)
        drawn = set(np.unique(labels.reshape(meta["shape"], order="F"))) - {0}
        seen = {
            lesion["id"]
            for lesion in found["lesions"]
            if lesion["sightings"][number - 1]["diameter_mm"]
        }
        assert drawn == seen
    pixels = service.get(f"{at}/2/view/image.u16", headers=named("one")).content
    assert len(pixels) == 2 * np.prod(meta["shape"])
    for wrong in (f"{at}/3/view/labels.u8", f"{at}/2/view/secret"):
        assert service.get(wrong, headers=named("one")).status_code in {404, 422}


def test_the_same_again_is_the_same_job(
    service: httpx.Client, jobs: tuple[str, str], followed: str
) -> None:
    with client_of(service) as client:
        again = client.follow(jobs, dates=("0", "61"))
        assert again.id == followed
        other = client.follow(jobs, dates=("0", "62"))
        assert other.id != followed
        client.cancel(other.id)
        client.delete(other.id)


def test_followed_again_it_takes_up_what_a_reader_has_said_since(
    service: httpx.Client, jobs: tuple[str, str], followed: str
) -> None:
    def again(body: dict) -> httpx.Response:
        return service.post(f"/v1/jobs/{followed}/again", json=body, headers=named("one"))

    refused = again({"threshold": 0.3})
    assert (refused.status_code, refused.json()["code"]) == (422, "E_REQUEST"), refused.text
    assert again({}).json()["id"] == followed  # nothing has changed
    path = f"/v1/jobs/{jobs[1]}"
    last = service.get(path, headers=named("one")).json()["result"]["lesions"][-1]["id"]
    said = service.put(f"{path}/review", json={"rejected": [last]}, headers=named("one"))
    assert said.status_code == 200, said.text
    answer = again({})
    assert answer.status_code == 202, answer.text
    assert answer.json()["id"] != followed
    with client_of(service) as client:
        done = client.wait(answer.json()["id"], timeout_s=PATIENCE_S)
        assert done.result is not None, done.problem
        found = done.result.followup
        assert found is not None
        assert [scan.reviewed for scan in found.scans] == [False, True]
        client.delete(done.id)


def test_other_people_s_jobs_do_not_exist(
    service: httpx.Client, jobs: tuple[str, str], followed: str
) -> None:
    asked = service.post("/v1/followups", json={"jobs": list(jobs)}, headers=named("two"))
    assert (asked.status_code, asked.json()["code"]) == (404, "E_JOB_UNKNOWN")
    path = f"/v1/followups/{followed}/scans/1/view/image.u16"
    assert service.get(path, headers=named("two")).status_code == 404


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"jobs": ["a"]}, 422, "E_REQUEST"),
        ({"jobs": [0, 0]}, 422, "E_REQUEST"),  # the same job twice
        ({"jobs": [0, 1], "dates": ["2024-01-31"]}, 422, "E_OPTION"),
        ({"jobs": [0, 1], "dates": ["2024-01-31", "2024-01-31"]}, 422, "E_OPTION"),
        ({"jobs": [0, 1], "dates": ["yesterday", "today"]}, 422, "E_REQUEST"),
        ({"jobs": [0, "f" * 16]}, 404, "E_JOB_UNKNOWN"),
        ({"jobs": [0, "followed"]}, 422, "E_REQUEST"),  # a follow-up is no scan
        ({"jobs": [0, 1], "measurable_mm": 0}, 422, "E_REQUEST"),
    ],
)
def test_unusable_requests_are_explained(
    service: httpx.Client,
    jobs: tuple[str, str],
    followed: str,
    body: dict,
    status: int,
    code: str,
) -> None:
    named_jobs = [
        jobs[one] if isinstance(one, int) else one.replace("followed", followed)
        for one in body["jobs"]
    ]
    answer = service.post("/v1/followups", json=body | {"jobs": named_jobs}, headers=named("one"))
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text


def test_a_job_at_work_cannot_be_followed(service: httpx.Client, jobs: tuple[str, str]) -> None:
    with client_of(service) as client:
        broken = client.submit([("notes.nii.gz", b"no image")])
        client.wait(broken.id, timeout_s=PATIENCE_S)
        with pytest.raises(JobNotFinished, match="failed"):
            client.follow((jobs[0], broken.id))


@pytest.mark.parametrize("path", ["view/image.u16", "lesions"])
def test_what_only_a_segmented_scan_has_is_refused(
    service: httpx.Client, followed: str, path: str
) -> None:
    answer = service.get(f"/v1/jobs/{followed}/{path}", headers=named("one"))
    assert (answer.status_code, answer.json()["code"]) == (404, "E_JOB_UNKNOWN"), answer.text


def test_it_outlives_the_jobs_it_was_made_of_and_can_be_deleted(
    service: httpx.Client, jobs: tuple[str, str], followed: str
) -> None:
    with client_of(service) as client:
        for job in jobs:
            client.delete(job)
        assert b"growing" in client.file(followed, "tracked.csv")
        again = service.post(f"/v1/jobs/{followed}/again", json={}, headers=named("one"))
        assert (again.status_code, again.json()["code"]) == (404, "E_JOB_UNKNOWN")
        client.delete(followed)
    path = f"/v1/followups/{followed}/scans/1/view/image.u16"
    assert service.get(path, headers=named("one")).status_code == 404
