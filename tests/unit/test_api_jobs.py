"""The service from outside: what a caller sends, what comes back."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import time
import zipfile
from contextlib import ExitStack
from typing import TYPE_CHECKING

import nibabel
import numpy as np
import pytest

from brainmets.api.app import create_app
from brainmets.api.client import Client
from brainmets.api.settings import Settings
from brainmets.domain import Geometry, HeadPhantom
from tests.unit.api_server import serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import httpx

STAND_IN = "tests.unit.api_stand_in:segment"
PATIENCE_S = 240.0


@pytest.fixture(scope="session")
def nifti() -> bytes:
    image, _ = HeadPhantom().render(Geometry.isotropic((40, 48, 44), spacing_mm=4.0))
    return nibabel.Nifti1Image(image.data.astype(np.int16), image.geometry.affine).to_bytes()


@pytest.fixture
def open_service(
    tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., httpx.Client]]:
    monkeypatch.setenv("PYTHONPATH", str(repository))
    with ExitStack() as stack:

        def start(**settings: object) -> httpx.Client:
            merged = {
                "state_dir": tmp_path,
                "runner": STAND_IN,
                "min_free_bytes": 0,
                "retry_after_s": 0,
            }
            merged |= settings
            return stack.enter_context(serving(create_app(Settings.model_validate(merged))))

        yield start


@pytest.fixture
def service(open_service: Callable[..., httpx.Client]) -> httpx.Client:
    return open_service()


def submit(client: httpx.Client, content: bytes, name: str = "a.nii", **fields: str) -> dict:
    response = client.post("/v1/jobs", files=[("files", (name, content))], data=fields)
    assert response.status_code == 202, response.text
    return response.json()


def wait(client: httpx.Client, job_id: str, *states: str) -> dict:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        job = client.get(f"/v1/jobs/{job_id}").json()
        if job["state"] in (states or ("done", "failed", "cancelled", "needs_choice")):
            return job
        time.sleep(0.05)
    pytest.fail(f"the job is still {job['state']}")


def test_an_image_becomes_lesions_files_and_a_view(service: httpx.Client, nifti: bytes) -> None:
    response = service.post("/v1/jobs", files=[("files", ("head.nii", nifti))])
    assert response.headers["location"] == f"/v1/jobs/{response.json()['id']}"
    job = wait(service, response.json()["id"])
    assert job["state"] == "done", job
    assert job["label"] == "head.nii"
    lesions = job["result"]["lesions"]
    assert len(lesions) >= 2
    assert {file["name"] for file in job["files"]} == {"mask.nii.gz", "report.json"}
    archive = zipfile.ZipFile(
        io.BytesIO(service.get(f"/v1/jobs/{job['id']}/files/all.zip").content)
    )
    assert archive.testzip() is None
    assert {"mask.nii.gz", "report.json", "READ-ME.txt"} == set(archive.namelist())
    meta = job["result"]["view"]
    labels = np.frombuffer(
        service.get(f"/v1/jobs/{job['id']}/view/labels.u8").content, np.uint8
    ).reshape(meta["shape"], order="F")
    assert set(np.unique(labels)) == {0, *(lesion["id"] for lesion in lesions)}
    centre = np.argwhere(labels == lesions[0]["id"]).mean(axis=0)
    ras_mm = np.array(meta["affine"]) @ [*centre, 1]
    assert np.allclose(ras_mm[:3], lesions[0]["centroid_ras_mm"], atol=1e-3)


def test_progress_is_streamed_to_the_end(service: httpx.Client, nifti: bytes) -> None:
    job = submit(service, nifti)
    with service.stream("GET", f"/v1/jobs/{job['id']}/events") as stream:
        events = [json.loads(line[5:]) for line in stream.iter_lines() if line.startswith("data:")]
    assert events[-1]["state"] == "done"
    assert all(0 <= event["done"] <= 1 for event in events)


def test_the_same_images_are_the_same_job(service: httpx.Client, nifti: bytes) -> None:
    first = submit(service, nifti)
    assert submit(service, nifti)["id"] == first["id"]
    assert submit(service, nifti, threshold="0.4")["id"] != first["id"]
    assert len(service.get("/v1/jobs").json()["jobs"]) == 2


def test_the_list_is_narrowed_and_turned_page_by_page(
    open_service: Callable[..., httpx.Client], nifti: bytes
) -> None:
    client = open_service(workers=0)
    ids = [submit(client, nifti, f"{name}.nii")["id"] for name in ("anna", "ANNABEL", "ben")]
    client.post(f"/v1/jobs/{ids[0]}/cancel")

    def listed(**query: object) -> tuple[list[str], bool]:
        answer = client.get("/v1/jobs", params=query).json()
        return [job["id"] for job in answer["jobs"]], answer["more"]

    assert listed() == (ids[::-1], False)
    assert listed(text="anna") == ([ids[1], ids[0]], False)
    assert listed(state="cancelled") == ([ids[0]], False)
    assert listed(model="no-such") == ([], False)
    assert listed(limit=2) == ([ids[2], ids[1]], True)
    last = client.get(f"/v1/jobs/{ids[1]}").json()["created"]
    assert listed(limit=2, before=last) == ([ids[0]], False)
    assert listed(since=last) == ([ids[2], ids[1]], False)
    for wrong in ({"state": "x"}, {"limit": 0}, {"since": "NaN"}, {"text": "\0"}, {"txt": "a"}):
        assert client.get("/v1/jobs", params=wrong).status_code == 422, wrong
    with Client(str(client.base_url)) as typed:
        assert [job.id for job in typed.jobs(text="ann", state="queued")] == [ids[1]]


def test_a_refused_image_tells_its_code(service: httpx.Client, nifti: bytes) -> None:
    job = wait(service, submit(service, nifti, "broken.nii")["id"])
    assert job["state"] == "failed"
    assert job["problem"]["code"] == "E_NOT_NIFTI"
    assert "Traceback" not in json.dumps(job)
    files = service.get(f"/v1/jobs/{job['id']}/files/mask.nii.gz")
    assert files.status_code == 409
    assert files.json()["code"] == "E_JOB_NOT_FINISHED"


def test_an_unforeseen_fault_says_nothing_of_the_patient(
    service: httpx.Client, nifti: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    job = wait(service, submit(service, nifti, "secret.nii")["id"])
    assert job["problem"]["code"] == "E_INTERNAL"
    assert "PATIENT" not in json.dumps(job) + "".join(capfd.readouterr())


def test_several_series_wait_for_a_choice(service: httpx.Client, nifti: bytes) -> None:
    job = wait(service, submit(service, nifti, "series.nii")["id"])
    assert job["state"] == "needs_choice"
    assert [series["description"] for series in job["series"]] == ["T1 SE", "T2"]
    wrong = service.post(f"/v1/jobs/{job['id']}/series", json={"series": "9.9"})
    assert (wrong.status_code, wrong.json()["code"]) == (422, "E_REQUEST")
    service.post(f"/v1/jobs/{job['id']}/series", json={"series": "1.2.4"})
    job = wait(service, job["id"], "done", "failed")
    assert (job["state"], job["options"]["series"]) == ("done", "1.2.4")


def test_a_job_that_kills_its_worker_fails_and_its_neighbour_succeeds(
    service: httpx.Client, nifti: bytes
) -> None:
    poison = submit(service, nifti, "kill.nii")
    neighbour = submit(service, nifti, "fine.nii")
    assert wait(service, neighbour["id"])["state"] == "done"
    job = wait(service, poison["id"])
    assert (job["problem"]["code"], job["attempts"]) == ("E_POISON", 3)


def test_cancel_and_delete_stop_the_work(
    service: httpx.Client, nifti: bytes, tmp_path: Path
) -> None:
    job = submit(service, nifti, "slow.nii")
    wait(service, job["id"], "running")
    assert service.post(f"/v1/jobs/{job['id']}/cancel").json()["state"] == "cancelled"
    other = submit(service, nifti, "slow-too.nii")
    wait(service, other["id"], "running")
    assert service.delete(f"/v1/jobs/{other['id']}").status_code == 204
    assert service.get(f"/v1/jobs/{other['id']}").json()["code"] == "E_JOB_UNKNOWN"
    assert not (tmp_path / "jobs" / other["id"]).exists()
    assert submit(service, nifti, "slow.nii")["id"] == job["id"]  # a cancelled one starts afresh


def test_a_full_queue_answers_429(open_service: Callable[..., httpx.Client], nifti: bytes) -> None:
    service = open_service(workers=0, max_waiting=2)
    submit(service, nifti, "a.nii")
    submit(service, nifti, "b.nii")
    response = service.post("/v1/jobs", files=[("files", ("c.nii", nifti))])
    assert (response.status_code, response.json()["code"]) == (429, "E_QUEUE_FULL")
    assert int(response.headers["retry-after"]) > 0


def test_a_job_survives_a_restart(open_service: Callable[..., httpx.Client], nifti: bytes) -> None:
    job = submit(open_service(workers=0), nifti)
    assert wait(open_service(), job["id"])["state"] == "done"


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_over_the_limit_answers_413(
    open_service: Callable[..., httpx.Client], tmp_path: Path, *, chunked: bool
) -> None:
    service = open_service(max_upload_bytes=10_000)
    body = (
        b'--x\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\n' + b"0" * 20000
    )
    content = (body[n : n + 1000] for n in range(0, len(body), 1000)) if chunked else body
    response = service.post(
        "/v1/jobs", content=content, headers={"Content-Type": "multipart/form-data; boundary=x"}
    )
    assert (response.status_code, response.json()["code"]) == (413, "E_UPLOAD_TOO_LARGE")
    assert not any((tmp_path / "staging").iterdir())


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", "multipart/form-data; boundary=x"),
        (b"garbage", "multipart/form-data; boundary=x"),
        (b"garbage", "multipart/form-data"),
        (b"{}", "application/json"),
        (b"", ""),
        (
            b'--x\r\nContent-Disposition: form-data; name="files"\r\n\r\ntext\r\n--x--',
            "multipart/form-data; boundary=x",
        ),
    ],
)
def test_a_body_that_is_no_upload_is_refused(
    service: httpx.Client, content: bytes, kind: str, tmp_path: Path
) -> None:
    response = service.post("/v1/jobs", content=content, headers={"Content-Type": kind})
    assert response.status_code == 422
    assert response.json()["code"] in {"E_REQUEST", "E_FILE_MISSING"}
    assert not any((tmp_path / "staging").iterdir())


@pytest.mark.parametrize("threshold", ["nan", "2", "-1", "inf", "a lot"])
def test_an_unusable_threshold_is_refused(
    service: httpx.Client, nifti: bytes, threshold: str
) -> None:
    response = service.post(
        "/v1/jobs", files=[("files", ("a.nii", nifti))], data={"threshold": threshold}
    )
    assert (response.status_code, response.json()["code"]) == (422, "E_REQUEST")


def test_hostile_names_stay_in_the_jobs_folder(
    open_service: Callable[..., httpx.Client], nifti: bytes, tmp_path: Path
) -> None:
    service = open_service(workers=0)
    names = [
        "../../evil.nii",
        "/etc/passwd",
        "..",
        "a\\..\\b.nii",
        "\x00.nii",
        "é" * 300 + ".nii.gz",
    ]
    for name in names:
        job = submit(service, nifti, name)
        (file,) = (tmp_path / "jobs" / job["id"] / "input").iterdir()
        assert file.resolve().parent.parent.parent == (tmp_path / "jobs").resolve()
        assert len(file.name) <= 80


def test_with_keys_each_caller_sees_their_own(
    open_service: Callable[..., httpx.Client], nifti: bytes
) -> None:
    keys = ",".join(
        f"{n}:{hashlib.sha256(k.encode()).hexdigest()}" for n, k in [("a", "k1"), ("b", "k2")]
    )
    service = open_service(api_keys_sha256=keys, workers=0)
    assert service.get("/v1/jobs").status_code == 401
    assert service.get("/healthz").status_code == 200
    service.headers["Authorization"] = "Bearer k1"
    job = submit(service, nifti)
    service.headers["Authorization"] = "Bearer k2"
    assert service.get(f"/v1/jobs/{job['id']}").json()["code"] == "E_JOB_UNKNOWN"
    assert service.get("/v1/jobs").json()["jobs"] == []


@pytest.mark.parametrize(
    "headers", [{"Host": "evil.example"}, {"Origin": "https://evil.example"}, {"Origin": "null"}]
)
def test_without_keys_only_this_computer_is_served(
    service: httpx.Client, headers: dict[str, str]
) -> None:
    response = service.get("/v1/jobs", headers=headers)
    assert (response.status_code, response.json()["code"]) == (403, "E_UNAUTHORISED")


def test_a_nearly_full_disk_answers_507(
    open_service: Callable[..., httpx.Client], nifti: bytes
) -> None:
    service = open_service(min_free_bytes=10**18)
    response = service.post("/v1/jobs", files=[("files", ("a.nii", nifti))])
    assert (response.status_code, response.json()["code"]) == (507, "E_DISK")


def test_lesions_are_found_again_and_reviewed(service: httpx.Client, nifti: bytes) -> None:
    job = wait(service, submit(service, nifti)["id"])
    path = f"/v1/jobs/{job['id']}"
    few = service.get(f"{path}/lesions", params={"threshold": 0.5, "peak": 0.9}).json()
    many = service.get(f"{path}/lesions", params={"threshold": 0.4}).json()
    assert len(few["lesions"]) <= len(many["lesions"])
    labels = np.frombuffer(gzip.decompress(base64.b64decode(many["labels"])), np.uint8)
    assert labels.size == np.prod(job["result"]["view"]["shape"])
    assert set(np.unique(labels)) == {0, *(lesion["id"] for lesion in many["lesions"])}
    unclear = service.get(f"{path}/lesions", params={"threshold": 0.8, "peak": 0.2})
    assert (unclear.status_code, unclear.json()["code"]) == (422, "E_OPTION")

    verdict = {"rejected": [1], "threshold": 0.4}
    reviewed = service.put(f"{path}/review", json=verdict).json()
    assert reviewed["review"]["rejected"] == [1]
    names = {file["name"] for file in reviewed["files"]}
    assert {"mask-reviewed.nii.gz", "lesions-reviewed.csv", "review.json"} <= names
    table = service.get(f"{path}/files/lesions-reviewed.csv").text.splitlines()
    assert [line.split(",")[0] for line in table[1:3]] == ["rejected", "kept"]
    nobody = service.put(f"{path}/review", json={"rejected": [99]})
    assert (nobody.status_code, nobody.json()["code"]) == (422, "E_OPTION")


def test_the_same_images_can_be_computed_otherwise(service: httpx.Client, nifti: bytes) -> None:
    job = wait(service, submit(service, nifti, "head.nii")["id"])
    again = service.post(f"/v1/jobs/{job['id']}/again", json={"threshold": 0.3}).json()
    assert again["id"] != job["id"]
    assert wait(service, again["id"])["label"] == "head.nii"
    service.delete(f"/v1/jobs/{job['id']}")
    assert service.get(f"/v1/jobs/{again['id']}").json()["state"] == "done"
    unknown = service.post(f"/v1/jobs/{again['id']}/again", json={"model": "../../etc"})
    assert (unknown.status_code, unknown.json()["code"]) == (422, "E_MODEL_UNKNOWN")


def test_metrics_count_jobs(open_service: Callable[..., httpx.Client], nifti: bytes) -> None:
    service = open_service(workers=0)
    submit(service, nifti)
    assert 'brainmets_jobs{state="queued"} 1' in service.get("/metrics").text


def test_the_sample_is_a_head(open_service: Callable[..., httpx.Client], tmp_path: Path) -> None:
    service = open_service(workers=0)
    job = service.post("/v1/jobs/sample").json()
    assert service.post("/v1/jobs/sample").json()["id"] == job["id"]
    (file,) = (tmp_path / "jobs" / job["id"] / "input").iterdir()
    assert nibabel.Nifti1Image.from_bytes(gzip.decompress(file.read_bytes())).ndim == 3


def test_the_schema_names_every_operation_and_the_form(service: httpx.Client) -> None:
    schema = service.get("/openapi.json").json()
    operations = [op for path in schema["paths"].values() for op in path.values()]
    names = [operation["operationId"] for operation in operations]
    assert len(set(names)) == len(names) >= 12
    assert all(operation.get("description") for operation in operations)
    form = schema["paths"]["/v1/jobs"]["post"]["requestBody"]["content"]["multipart/form-data"]
    assert "files" in form["schema"]["properties"]


def test_an_unknown_path_is_a_problem_too(service: httpx.Client) -> None:
    response = service.get("/v2/nothing")
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"
