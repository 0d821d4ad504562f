"""Headers, paths and bodies that no browser sends: refused, explained, and nobody is held up."""

from __future__ import annotations

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from brainmets.api.problems import MEDIA_TYPE
from brainmets.api.supervisor import UPLOAD_LIFE_S, sweep
from tests.patience import comes_true
from tests.unit.test_api_bodies import END, Wire, part
from tests.unit.test_api_jobs import nifti, open_service, service, submit, wait

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import httpx

__all__ = ["nifti", "open_service", "service"]


ODD_HOSTS = ["[::1", "[", "]", "http://[", ":80", "[::1%25", "[zz]", "a]b[", "@"]


@pytest.mark.parametrize("header", ["Host", "Origin"])
def test_odd_hosts_and_origins_are_refused(service: httpx.Client, header: str) -> None:
    origins = [f"http://{host}" for host in ODD_HOSTS] + ["null", "http://", "//", "\xff"]
    for value in ODD_HOSTS if header == "Host" else origins:
        for path in ("/v1/jobs", "/v1/models", "/healthz", "/v1/session"):
            status = raw_status(service, path, f"{header}: {value}")
            allowed = {400, 403} | ({200} if path == "/healthz" else set())
            assert status in allowed, (header, value, path, status)


def raw_status(client: httpx.Client, path: str, *headers: str) -> int:
    """Ask with headers as they are written, `Host` among them once."""
    host = () if any(h.startswith("Host:") for h in headers) else ("Host: 127.0.0.1",)
    with Wire(str(client.base_url)) as wire:
        lines = (f"GET {path} HTTP/1.1", *host, *headers, "Connection: close", "", "")
        wire.socket.sendall("\r\n".join(lines).encode("latin-1"))
        answer = b""
        while piece := wire.socket.recv(65536):
            answer += piece
    return int(answer.split(b" ", 2)[1])


def test_odd_path_parameters_are_refused(service: httpx.Client, nifti: bytes) -> None:
    upload = service.post("/v1/uploads", files=[("files", ("a.nii", nifti))]).json()["id"]
    for index in ("9" * 300, "9" * 5000, "-1", "0", "1e3", "%00", "..%2f..", "\u0661"):
        answer = service.get(f"/v1/uploads/{upload}/thumbnails/{index}")
        assert answer.status_code in {404, 422}, (index, answer.text)
        assert answer.headers["content-type"] == MEDIA_TYPE
    for odd in ("0" * 300, "%00", "..", "\u00e9" * 90, "a" * 4000):
        for path in (f"/v1/jobs/{odd}", f"/v1/uploads/{odd}", f"/v1/followups/{odd}/scans/1/view"):
            assert service.get(path).status_code in {404, 422}, path


BAD_RANGES = ("bytes=5-2", "lines=1-2", "bytes", "bytes=999999999-", "bytes=-")


def test_a_bad_range_is_explained(service: httpx.Client, nifti: bytes) -> None:
    job = wait(service, submit(service, nifti)["id"])
    path = f"/v1/jobs/{job['id']}/files/mask.nii.gz"
    for wanted in (*BAD_RANGES, f"bytes={'9' * 5000}-"):
        answer = service.get(path, headers={"Range": wanted})
        assert answer.status_code == 416, wanted
        assert answer.headers["content-type"] == MEDIA_TYPE
        assert answer.json()["code"] == "E_REQUEST"
    assert service.get(path, headers={"Range": "bytes=0-3"}).status_code == 206


def test_an_upload_deleted_while_it_is_looked_into_is_unknown(
    open_service: Callable[..., httpx.Client], nifti: bytes
) -> None:
    client = open_service()
    for follow_up in ("get", "start"):
        upload = client.post("/v1/uploads", files=[("files", ("a.nii", nifti))]).json()["id"]
        with ThreadPoolExecutor(1) as aside:
            path = f"/v1/uploads/{upload}"
            if follow_up == "get":
                asking = aside.submit(client.get, path)
            else:
                asking = aside.submit(client.post, f"{path}/job", json={"image": 1})
            time.sleep(0.4)  # the process that looks into it takes longer to start
            assert client.delete(path).status_code == 204
            answer = asking.result()
        assert answer.status_code == 404, answer.text
        assert client.get(path).status_code == 404
        assert client.post(f"{path}/job", json={"image": 1}).status_code == 404


def test_notes_of_an_upload_that_a_power_cut_has_cut_are_made_again_or_unknown(
    service: httpx.Client, tmp_path: Path, nifti: bytes
) -> None:
    upload = service.post("/v1/uploads", files=[("files", ("a.nii", nifti))]).json()["id"]
    folder = tmp_path / "staging" / upload
    (folder / "inspection.json").write_bytes(b'{"images": [{')
    assert service.get(f"/v1/uploads/{upload}").json()["inspection"]["images"]
    (folder / "upload.json").write_bytes(b"\0" * 100)
    assert service.get(f"/v1/uploads/{upload}").status_code == 404
    assert service.post(f"/v1/uploads/{upload}/job", json={"image": 1}).status_code == 404
    assert service.delete(f"/v1/uploads/{upload}").status_code == 404


def test_a_slow_upload_is_not_swept_however_old(
    service: httpx.Client, tmp_path: Path, nifti: bytes
) -> None:
    from brainmets.api.settings import Settings
    from brainmets.api.store import open_store

    settings = Settings(state_dir=tmp_path)
    store = open_store(settings.job_list)
    whole = part("files", nifti, "slow.nii") + END
    with Wire(str(service.base_url)) as wire:
        wire.begin("/v1/uploads", f"Content-Length: {len(whole)}", "Connection: close")
        wire.socket.sendall(whole[:200_000])
        assert comes_true(lambda: list(settings.staging_dir.glob("*/input/*")))
        long_ago = time.time() - 2 * UPLOAD_LIFE_S
        for path in settings.staging_dir.rglob("*"):
            os.utime(path, (long_ago, long_ago))
        sweep(settings, store)
        wire.socket.sendall(whole[200_000:])
        answer = wire.socket.recv(65536)
    store.close()
    assert answer.startswith(b"HTTP/1.1 201"), answer[:300]


def big_bodies() -> Iterator[tuple[str, str, bytes]]:
    lists = b"[" + b"[]," * 16_000_000 + b"[]]"
    for method, path in (
        ("POST", "/v1/followups"),
        ("POST", "/v1/uploads/0123456789abcdef/job"),
        ("PUT", "/v1/jobs/0123456789abcdef/review"),
        ("POST", "/v1/jobs/0123456789abcdef/again"),
    ):
        yield method, path, lists
        yield method, path, b'{"jobs":[' + b"0," * 400_000 + b"0]}"
        yield method, path, b"[" * 400_000
        yield method, path, json.dumps({"rejected": ["x"] * 60_000}).encode()


def test_large_json_is_refused_before_it_is_parsed(service: httpx.Client) -> None:
    for method, path, body in big_bodies():
        for sent in (body, iter([body[:500_000], body[500_000:]])):  # declared, and chunked
            headers = {"content-type": "application/json"}
            answer = service.request(method, path, content=sent, headers=headers)
            assert answer.status_code in {404, 413, 422}, (path, answer.text[:200])
            assert len(body) < 2**19 or answer.status_code == 413, path
    for kind in ("multipart/form-data; boundary=x", "text/plain"):
        refused = service.post(
            "/v1/followups", content=bytes(2 * 2**20), headers={"content-type": kind}
        )
        assert refused.status_code == 413


def test_a_review_of_ten_thousand_lesions_fits(service: httpx.Client, nifti: bytes) -> None:
    job = wait(service, submit(service, nifti)["id"])
    readings = {n: {"label": "other", "comment": "x" * 140} for n in range(1, 10_001)}
    answer = service.put(f"/v1/jobs/{job['id']}/review", json={"readings": readings})
    assert answer.status_code in {200, 422}, answer.text[:200]  # of lesions that are not there
    too_many = service.put(f"/v1/jobs/{job['id']}/review", json={"rejected": ["x"] * 10_001})
    assert too_many.status_code == 422
