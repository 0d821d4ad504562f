"""Upload, look, confirm, start; and signing in from a browser."""

from __future__ import annotations

import hashlib
import io
import json
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import nibabel
import numpy as np
import pytest
from PIL import Image

from brainmets.api.app import create_app
from brainmets.api.sessions import COOKIE, LIFETIME_S, Sessions
from brainmets.api.settings import Settings
from brainmets.api.speed import Speed
from brainmets.domain import Geometry, HeadPhantom
from tests.e2e.conftest import write_bright_finder
from tests.e2e.dicom import dicom_zip
from tests.unit.api_server import serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import httpx

GEOMETRY = Geometry.isotropic((40, 48, 44), spacing_mm=4.0)
PATIENCE_S = 120.0


@pytest.fixture(scope="module")
def head() -> np.ndarray:
    image, _ = HeadPhantom().render(GEOMETRY)
    return np.rint(image.data).astype(np.int16)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_bright_finder(folder / "attention-unet-3d", 3)
    write_bright_finder(folder / "attention-unet-2d", 2)
    return folder


@pytest.fixture
def open_service(
    tmp_path: Path, repository: Path, models: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., httpx.Client]]:
    monkeypatch.setenv("PYTHONPATH", str(repository))
    monkeypatch.setenv("BRAINMETS_MODELS", str(models))
    with ExitStack() as stack:

        def start(**settings: object) -> httpx.Client:
            merged = {"state_dir": tmp_path, "min_free_bytes": 0} | settings
            return stack.enter_context(serving(create_app(Settings.model_validate(merged))))

        yield start


def nifti(head: np.ndarray) -> bytes:
    image = nibabel.Nifti1Image(head, GEOMETRY.affine)
    image.header.set_xyzt_units("mm")
    return image.to_bytes()


def upload(client: httpx.Client, *files: tuple[str, bytes]) -> dict:
    response = client.post("/v1/uploads", files=[("files", file) for file in files])
    assert response.status_code == 201, response.text
    view = client.get(response.headers["location"])
    assert view.status_code == 200, view.text
    return view.json()


def finished(client: httpx.Client, job_id: str) -> dict:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        job = client.get(f"/v1/jobs/{job_id}").json()
        if job["state"] in {"done", "failed"}:
            return job
        time.sleep(0.1)
    pytest.fail("the job never ended")


def test_an_upload_is_looked_into_before_anything_is_computed(
    open_service: Callable[..., httpx.Client], head: np.ndarray, tmp_path: Path
) -> None:
    service = open_service()
    view = upload(service, ("pat_t2.nii", nifti(head[::-1])), ("pat_t1c.nii", nifti(head)))
    assert service.get("/v1/jobs").json()["jobs"] == []
    images = view["inspection"]["images"]
    assert [(one["name"], one["guess"], one["likely"]) for one in images] == [
        ("pat_t1c.nii", "t1c", True),
        ("pat_t2.nii", "t2w", False),
    ]
    assert view["inspection"]["default_model"] == "attention-unet-3d"
    for image in images:
        by_model = {one["model"]: one for one in image["estimates"]}
        assert set(by_model) >= {"attention-unet-3d", "attention-unet-2d"}
        assert all(one["seconds"] > 0 and one["bytes"] > 2**20 for one in by_model.values())
        picture = service.get(f"/v1/uploads/{view['id']}/thumbnails/{image['index']}")
        shown = np.asarray(Image.open(io.BytesIO(picture.content)))
        assert shown.ndim == 2
        assert shown.std() > 10

    started = service.post(f"/v1/uploads/{view['id']}/job", json={"image": images[0]["index"]})
    assert started.status_code == 202, started.text
    again = service.post(f"/v1/uploads/{view['id']}/job", json={"image": images[0]["index"]})
    assert again.json()["id"] == started.json()["id"]  # a double click starts one job
    job = finished(service, started.json()["id"])
    assert job["state"] == "done", job["problem"]
    cost = job["result"]["cost"]
    assert cost["expected_s"] == pytest.approx(
        next(e["seconds"] for e in images[0]["estimates"] if e["model"] == "attention-unet-3d")
    )
    assert cost["peak_bytes"] > 2**20
    ((model, ratio),) = Speed.of(tmp_path).ratios
    assert model == "attention-unet-3d"
    assert 0 < ratio <= 20
    later = service.get(f"/v1/uploads/{view['id']}").json()["inspection"]["images"][0]
    assert {one["jobs"] for one in later["estimates"]} == {1}

    assert service.delete(f"/v1/uploads/{view['id']}").status_code == 204
    assert service.get(f"/v1/uploads/{view['id']}").status_code == 404
    assert finished(service, job["id"])["state"] == "done"


def test_the_thumbnail_shows_the_patients_right_on_the_left_front_up(
    open_service: Callable[..., httpx.Client],
) -> None:
    marked = np.full(GEOMETRY.shape, 10, np.int16)
    marked[5:35, 5:43, 5:39] = 100
    marked[30:35, 36:43, :] = 1000  # RAS: right, front
    turned = nibabel.Nifti1Image(
        marked[::-1, :, ::-1], GEOMETRY.permuted((0, 1, 2), (True, False, True)).affine
    )
    turned.header.set_xyzt_units("mm")
    service = open_service(workers=0)
    view = upload(service, ("head.nii", turned.to_bytes()))
    picture = service.get(f"/v1/uploads/{view['id']}/thumbnails/1").content
    shown = np.asarray(Image.open(io.BytesIO(picture)))
    row, column = (np.argwhere(shown > 200).mean(axis=0) / shown.shape).tolist()
    assert row < 0.4
    assert column < 0.4


def test_dicom_series_are_offered_with_size_and_spacing(
    open_service: Callable[..., httpx.Client], head: np.ndarray
) -> None:
    service = open_service()
    files = [
        ("first.dcm.zip", dicom_zip(head, GEOMETRY)),
    ]
    view = upload(service, *files)
    (image,) = view["inspection"]["images"]
    assert image["slices"] == 44
    assert image["spacing_mm"] == [4.0, 4.0, 4.0]
    assert image["thumbnail"]
    job = service.post(f"/v1/uploads/{view['id']}/job", json={"image": 1}).json()
    assert finished(service, job["id"])["state"] == "done"
    refused = service.post(f"/v1/uploads/{view['id']}/job", json={"image": 7})
    assert (refused.status_code, refused.json()["code"]) == (422, "E_REQUEST")


def test_what_is_wrong_is_said_before_the_start(
    open_service: Callable[..., httpx.Client],
) -> None:
    service = open_service(workers=0)
    view = upload(service, ("notes.nii", b"not an image"))
    assert view["inspection"]["problem"]["code"] == "E_NOT_NIFTI"
    assert service.post("/v1/uploads").status_code == 422
    broken = bytearray(nifti(np.zeros(GEOMETRY.shape, np.int16)))
    view = upload(service, ("flat.nii", bytes(broken)))
    assert view["inspection"]["images"][0]["problem"]["code"] == "E_CONSTANT"


def test_a_slice_has_estimates_of_2d_models_only(
    open_service: Callable[..., httpx.Client], head: np.ndarray
) -> None:
    picture = io.BytesIO()
    Image.fromarray(np.clip(head[:, :, 22] / 4, 0, 255).astype(np.uint8)).save(picture, "png")
    view = upload(open_service(workers=0), ("slice.png", picture.getvalue()))
    (image,) = view["inspection"]["images"]
    codes = {one["model"]: (one["problem"] or {}).get("code") for one in image["estimates"]}
    assert codes["attention-unet-2d"] is None
    assert codes["attention-unet-3d"] == "E_MODEL_KIND"
    assert view["inspection"]["default_model"] == "attention-unet-2d"


def keys_of(*names: str) -> str:
    return ",".join(
        f"{name}:{hashlib.sha256(f'key-{name}'.encode()).hexdigest()}" for name in names
    )


def test_a_browser_signs_in_once_and_sees_its_own(
    open_service: Callable[..., httpx.Client],
) -> None:
    service = open_service(api_keys_sha256=keys_of("a", "b"), workers=0)
    assert service.post("/v1/session", headers={"Authorization": "Bearer no"}).status_code == 401
    answer = service.post("/v1/session", headers={"Authorization": "Bearer key-a"})
    assert answer.json()["owner"] == "a"
    cookie = answer.headers["set-cookie"]
    assert all(word in cookie for word in (COOKIE, "HttpOnly", "SameSite=strict", "Path=/"))
    assert "key-a" not in cookie
    origin = {"Origin": f"http://127.0.0.1:{service.base_url.port}"}
    files = [("files", ("note.nii", b"small"))]  # read whole, whatever the answer
    assert service.post("/v1/uploads", files=files).status_code == 401  # no origin: not a page
    foreign = service.post("/v1/uploads", files=files, headers={"Origin": "http://evil.example"})
    assert foreign.status_code == 401
    mine = service.post("/v1/uploads", files=files, headers=origin)
    assert mine.status_code == 201
    place = mine.headers["location"]
    assert service.get(place).status_code == 200
    other = service.get(place, headers={"Authorization": "Bearer key-b"})
    assert (other.status_code, other.json()["code"]) == (404, "E_JOB_UNKNOWN")
    token = answer.json()["token"]
    renewed = service.post("/v1/session", headers={"Authorization": f"Bearer {token}"})
    assert renewed.json()["token"] == ""  # only the key itself makes tokens
    assert service.delete("/v1/session", headers=origin).status_code == 204
    assert service.get("/v1/jobs").status_code == 401


def test_tokens_end_by_themselves_and_with_their_key(tmp_path: Path) -> None:
    digest = "d" * 64
    sessions = Sessions.of(tmp_path, {digest: "a"})
    token = sessions.issue(digest, now=1000.0)
    assert sessions.owner(token, now=1000.0 + LIFETIME_S - 1) == "a"
    assert sessions.owner(token, now=1001.0 + LIFETIME_S) is None
    assert Sessions.of(tmp_path, {"e" * 64: "b"}).owner(token, now=1000.0) is None
    expiry, _, rest = token.partition(".")
    assert sessions.owner(f"{int(expiry) + 9}.{rest}", now=1000.0) is None
    assert Sessions.of(tmp_path / "other", {digest: "a"}).owner(token, now=1000.0) is None
    assert (tmp_path / "session.secret").stat().st_mode & 0o077 == 0


def test_times_follow_what_earlier_jobs_took() -> None:
    speed = Speed(ratios=(("slow", 3.0), ("quick", 0.5), ("quick", 0.7), ("quick", 9.0)))
    assert speed.expected_s("quick", 10) == pytest.approx(7.0)
    assert speed.jobs("quick") == 3
    assert speed.expected_s("new", 10) == pytest.approx(18.5)  # all of them, without its own
    assert Speed().expected_s("quick", 10) == 10
    assert json.loads(json.dumps(speed.ratios))
