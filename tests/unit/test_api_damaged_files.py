"""Result files that are deleted while they are sent, or damaged: whole, or refused with a code."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from tests.unit.test_api_jobs import nifti, open_service, service, submit, wait

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import httpx

__all__ = ["nifti", "open_service", "service"]


@pytest.mark.parametrize("name", ["mask.nii.gz", "lesions.csv", "report.json"])
def test_a_job_deleted_before_its_file_is_opened_is_unknown(
    service: httpx.Client, nifti: bytes, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    job = wait(service, submit(service, nifti)["id"])["id"]
    real = anyio.open_file

    async def open_later(path: Any, *arguments: Any, **options: Any) -> Any:
        if path.name == name:  # found, its length announced, and not yet open
            await anyio.to_thread.run_sync(lambda: service.delete(f"/v1/jobs/{job}"))
        return await real(path, *arguments, **options)

    monkeypatch.setattr(anyio, "open_file", open_later)
    answer = service.get(f"/v1/jobs/{job}/files/{name}")
    assert (answer.status_code, answer.json()["code"]) == (404, "E_JOB_UNKNOWN")


def test_a_zip_of_a_job_that_is_deleted_meanwhile_is_whole(
    service: httpx.Client, nifti: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = wait(service, submit(service, nifti)["id"])["id"]
    names = {file["name"] for file in service.get(f"/v1/jobs/{job}").json()["files"]}
    real = zipfile.ZipFile.writestr

    def delete_first(archive: zipfile.ZipFile, *arguments: Any) -> None:
        assert service.delete(f"/v1/jobs/{job}").is_success
        real(archive, *arguments)

    monkeypatch.setattr(zipfile.ZipFile, "writestr", delete_first)
    answer = service.get(f"/v1/jobs/{job}/files/all.zip")
    packed = zipfile.ZipFile(io.BytesIO(answer.content))
    assert packed.testzip() is None
    assert names <= set(packed.namelist())


DATES = ["2026-01-01", "2026-06-01"]
DAMAGE: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_bytes(b""),
    "half": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "noise": lambda path: path.write_bytes(bytes(range(1, 256)) * 40),
    "other JSON": lambda path: path.write_text("[]"),
    "gone": lambda path: path.unlink(),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
}


@pytest.mark.parametrize("damaged", ["review.json", "probability.npy", "native.json"])
def test_a_damaged_file_of_a_result_is_named(
    service: httpx.Client, nifti: bytes, tmp_path: Path, damaged: str
) -> None:
    job = wait(service, submit(service, nifti)["id"])["id"]
    other = wait(service, submit(service, nifti[:-1] + b"\1")["id"])["id"]
    first, second = (lesion["id"] for lesion in result_of(service, job)["lesions"][:2])
    for what, damage in DAMAGE.items():
        saved = service.put(f"/v1/jobs/{job}/review", json={"rejected": [first]})
        assert saved.is_success, what
        (file,) = newest(tmp_path, job, damaged)
        whole = file.read_bytes()
        damage(file)
        view = service.get(f"/v1/jobs/{job}")
        lesions = service.get(f"/v1/jobs/{job}/lesions", params={"threshold": 0.4})
        follow = service.post("/v1/followups", json={"jobs": [job, other], "dates": DATES})
        answers = (view, lesions, follow)
        codes = [answer.json()["code"] for answer in answers if answer.is_error]
        assert view.is_success, what
        assert not set(codes) & {"E_INTERNAL"}, (what, codes)
        if damaged == "review.json":
            assert any("review" in text for text in view.json()["result"]["warnings"]), what
            assert "E_RECORD" in codes, "a follow-up needs the review"
            again = service.put(f"/v1/jobs/{job}/review", json={"rejected": [second]})
            assert again.json()["review"]["rejected"] == [second], what
            assert result_of(service, job)["warnings"] == ["a stand-in"], what
            continue
        assert lesions.json()["code"] in {"E_RECORD", "E_STORAGE"}, what
        if file.is_dir():
            file.rmdir()
        file.write_bytes(whole)


def result_of(service: httpx.Client, job: str) -> dict[str, Any]:
    return service.get(f"/v1/jobs/{job}").json()["result"]


def newest(state: Path, job: str, name: str) -> list[Path]:
    """Return the file of the newest review, or of the result."""
    return sorted((state / "jobs" / job).glob(f"attempt-*/**/{name}"))[-1:]
