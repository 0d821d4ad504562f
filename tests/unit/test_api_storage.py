"""A data folder or job list that goes away is named, and the service goes on when it is back."""

from __future__ import annotations

import shutil
import sqlite3
from typing import TYPE_CHECKING

import pytest

from brainmets.api.settings import Settings
from brainmets.api.storage import Storage
from brainmets.domain.errors import StorageUnavailable
from tests.patience import comes_true
from tests.unit.test_api_jobs import PATIENCE_S, nifti, open_service, submit, wait

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import httpx

__all__ = ["nifti", "open_service"]


def ready(client: httpx.Client) -> bool:
    return client.get("/readyz").status_code == 200


def refused(response: httpx.Response) -> str:
    assert response.status_code == 503, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert int(response.headers["retry-after"]) > 0
    return response.json()["code"]


def everything_is_refused(client: httpx.Client, content: bytes, job: str) -> set[str]:
    """Ask for all that needs the data folder; return the codes of the refusals."""
    files = [("files", ("other.nii", content))]
    readiness = client.get("/readyz")
    assert readiness.status_code == 503
    assert readiness.json()["status"] == "not ready"
    return {
        refused(client.post("/v1/jobs", files=files)),
        refused(client.post("/v1/uploads", files=files)),
        refused(client.put(f"/v1/jobs/{job}/review", json={"rejected": [1]})),
        refused(client.get(f"/v1/jobs/{job}/exports/lesions.csv")),
    }


def test_a_folder_that_is_moved_away_is_named_until_it_is_back(
    open_service: Callable[..., httpx.Client], nifti: bytes, tmp_path: Path
) -> None:
    state, away = tmp_path / "state", tmp_path / "away"
    client = open_service(state_dir=state)
    done = wait(client, submit(client, nifti)["id"])["id"]
    running = submit(client, nifti, "slow.nii")["id"]
    assert wait(client, running, "running")
    state.rename(away)
    codes = everything_is_refused(client, nifti, done)
    assert codes <= {"E_STORE", "E_STORAGE"}
    assert not state.exists(), "nothing is made where the folder was"
    away.rename(state)
    assert comes_true(lambda: ready(client), within_s=PATIENCE_S)
    job = wait(client, running)
    assert (job["state"], job["problem"]) == ("done", None)
    assert wait(client, submit(client, nifti, "next.nii")["id"])["state"] == "done"


def test_an_emptied_folder_is_begun_anew(
    open_service: Callable[..., httpx.Client], nifti: bytes, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    client = open_service(state_dir=state)
    assert wait(client, submit(client, nifti)["id"])["state"] == "done"
    shutil.rmtree(state)
    assert refused(client.get("/v1/jobs")) == "E_STORE"
    state.mkdir()
    assert comes_true(lambda: ready(client), within_s=PATIENCE_S)
    assert client.get("/v1/jobs").json()["jobs"] == []
    assert wait(client, submit(client, nifti)["id"])["state"] == "done"


def test_a_folder_that_cannot_be_written_fails_no_job(
    open_service: Callable[..., httpx.Client],
    nifti: bytes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = open_service()
    done = wait(client, submit(client, nifti)["id"])["id"]
    with monkeypatch.context() as patch:

        def read_only(self: object) -> None:
            raise StorageUnavailable("read-only", expected="writable", remedy="wait")

        patch.setattr("brainmets.api.storage.Storage.check", read_only)
        patch.setattr("brainmets.api.attempts.begin_attempt", _read_only)
        assert not ready(client)
        waiting = submit(client, nifti, "waits.nii")["id"]
        assert comes_true(lambda: client.get(f"/v1/jobs/{waiting}").json()["state"] == "queued")
    job = wait(client, waiting)
    assert (job["state"], job["attempts"]) == ("done", 1)
    assert client.get(f"/v1/jobs/{done}").json()["state"] == "done"


def _read_only(_folder: Path) -> Path:
    raise OSError(30, "Read-only file system")


@pytest.mark.parametrize("what", ["all", "result"])
def test_a_job_whose_files_are_gone_is_computed_anew(
    open_service: Callable[..., httpx.Client], nifti: bytes, tmp_path: Path, what: str
) -> None:
    client = open_service()
    job = wait(client, submit(client, nifti)["id"])["id"]
    folder = tmp_path / "jobs" / job
    (attempt,) = folder.glob("attempt-*")
    shutil.rmtree(folder if what == "all" else attempt)
    assert client.get(f"/v1/jobs/{job}").json()["files"] == []
    again = wait(client, submit(client, nifti)["id"])
    assert again["state"] == "done"
    assert {file["name"] for file in again["files"]} == {"mask.nii.gz", "report.json"}
    assert client.get(f"/v1/jobs/{again['id']}/files/mask.nii.gz").status_code == 200


def test_a_queued_job_whose_images_are_gone_says_so(
    open_service: Callable[..., httpx.Client], nifti: bytes, tmp_path: Path
) -> None:
    client = open_service(workers=0)
    job = submit(client, nifti)["id"]
    shutil.rmtree(tmp_path / "jobs" / job)
    client = open_service()
    failed = wait(client, job)
    assert (failed["state"], failed["problem"]["code"]) == ("failed", "E_STORAGE")


def test_a_damaged_list_is_named_until_its_backup_is_there(
    open_service: Callable[..., httpx.Client], nifti: bytes, tmp_path: Path
) -> None:
    first = open_service()
    job = wait(first, submit(first, nifti)["id"])["id"]
    path, backup = tmp_path / "jobs.sqlite", tmp_path / "backup"
    with sqlite3.connect(path) as source, sqlite3.connect(backup) as target:
        source.backup(target)
    source.close()
    target.close()
    for name in ("jobs.sqlite-wal", "jobs.sqlite-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    path.unlink()
    path.write_bytes(b"this is no database " * 1000)
    second = open_service()  # it starts, and says what is wrong
    for client in (first, second):
        readiness = client.get("/readyz")
        assert (readiness.status_code, "damaged" in readiness.json()["detail"]) == (503, True)
        assert refused(client.get("/v1/jobs")) == "E_STORE"
        assert refused(client.post("/v1/jobs", files=[("files", ("b.nii", nifti))])) == "E_STORE"
    backup.rename(path)
    for client in (first, second):
        assert comes_true(lambda client=client: ready(client), within_s=PATIENCE_S)
        assert client.get(f"/v1/jobs/{job}").json()["state"] == "done"
    assert wait(second, submit(second, nifti, "next.nii")["id"])["state"] == "done"


def test_readiness_seldom_writes_and_always_sees_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = Storage(Settings(state_dir=tmp_path / "state", min_free_bytes=0))
    written: list[str] = []
    monkeypatch.setattr(type(tmp_path), "touch", lambda path, **_: written.append(path.name))
    for _ in range(50):
        storage.check()
    assert written == []  # the start has written one, less than PROBE_EVERY_S ago
    (tmp_path / "state").rename(tmp_path / "away")
    with pytest.raises(StorageUnavailable):
        storage.check()
    (tmp_path / "away").rename(tmp_path / "state")
    storage.check()
    assert len(written) == 1  # after a fault it is tried at once
