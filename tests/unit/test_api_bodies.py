"""Bodies that are too large, too slow, cut short or odd, and a service that stops meanwhile."""

from __future__ import annotations

import contextlib
import json
import select
import shutil
import socket
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

import pytest

from brainmets.api import bodies
from brainmets.api.staging import Incoming
from tests.patience import comes_true, files_below
from tests.trials.service import Service, head
from tests.unit.test_api_jobs import nifti, open_service, wait

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx

__all__ = ["nifti", "open_service"]

BOUNDARY = "b0undary"
TYPE = f"multipart/form-data; boundary={BOUNDARY}"


def part(name: str, content: bytes, filename: str | None = None) -> bytes:
    named = "" if filename is None else f'; filename="{filename}"'
    start = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{named}\r\n\r\n'
    return start.encode() + content + b"\r\n"


END = f"--{BOUNDARY}--\r\n".encode()


class Wire:
    """A connection that sends what no client library would."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.socket = socket.create_connection((parts.hostname, parts.port), timeout=60)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def begin(self, path: str, *headers: str) -> None:
        lines = (f"POST {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Type: {TYPE}", *headers)
        self.socket.sendall("\r\n".join((*lines, "", "")).encode())

    def chunk(self, data: bytes) -> None:
        self.socket.sendall(b"%x\r\n%s\r\n" % (len(data), data))

    def answered(self, within_s: float = 0.0) -> bool:
        return bool(select.select([self.socket], [], [], within_s)[0])

    def answer(self) -> tuple[int, dict[str, str], dict]:
        received = b""
        while b"\r\n\r\n" not in received:
            received += self._more()
        top, _, body = received.partition(b"\r\n\r\n")
        first, *rest = top.decode().split("\r\n")
        headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in rest)}
        while len(body) < int(headers["content-length"]):
            body += self._more()
        return int(first.split()[1]), headers, json.loads(body)

    def _more(self) -> bytes:
        data = self.socket.recv(65536)
        assert data, "the connection closed without an answer"
        return data


def staged(state: Path) -> list[Path]:
    return files_below(state / "staging")


def emptied(state: Path) -> bool:
    return comes_true(lambda: not staged(state))


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/uploads"])
def test_a_chunked_body_is_refused_at_the_limit_not_at_its_end(
    open_service: Callable[..., httpx.Client], tmp_path: Path, path: str
) -> None:
    limit = 500_000
    client = open_service(max_upload_bytes=limit, workers=0)
    with Wire(str(client.base_url)) as wire:
        wire.begin(path, "Transfer-Encoding: chunked")
        wire.chunk(part("files", b"", "endless.nii")[:-2])
        sent = 0
        while not wire.answered(0.02 if sent < limit else 60) and sent < 50 * limit:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                wire.chunk(bytes(20_000))  # as slowly as a real line; beyond the limit, no more
            sent += 20_000
        status, headers, problem = wire.answer()
        assert (status, problem["code"]) == (413, "E_UPLOAD_TOO_LARGE")
        assert headers["content-type"] == "application/problem+json"
        assert headers["connection"] == "close"
        assert limit <= sent < limit + 20_000
        assert emptied(tmp_path)


def test_a_declared_size_is_refused_before_the_first_byte(
    open_service: Callable[..., httpx.Client],
) -> None:
    client = open_service(max_upload_bytes=1000, workers=0)
    with Wire(str(client.base_url)) as wire:
        wire.begin("/v1/jobs", "Content-Length: 1001")
        assert wire.answered(60)
        assert wire.answer()[0] == 413


def test_the_refusal_of_a_large_body_reaches_its_sender(
    open_service: Callable[..., httpx.Client],
) -> None:
    client = open_service(max_upload_bytes=1000, workers=0)
    for _ in range(3):  # a reset connection would lose the answer now and then
        answer = client.post("/v1/jobs", files=[("files", ("a.nii", bytes(8_000_000)))])
        assert answer.status_code == 413


def test_a_body_that_stops_coming_is_given_up(
    open_service: Callable[..., httpx.Client], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "SILENCE_S", 0.4)
    client = open_service(workers=0)
    with Wire(str(client.base_url)) as wire:
        wire.begin("/v1/jobs", "Content-Length: 9000000")
        wire.socket.sendall(part("files", bytes(2_000_000), "a.nii"))
        status, _, problem = wire.answer()
        assert (status, problem["code"]) == (408, "E_STALLED")
        assert emptied(tmp_path)


def test_an_upload_whose_sender_goes_away_leaves_nothing(
    open_service: Callable[..., httpx.Client], tmp_path: Path
) -> None:
    client = open_service(workers=0)
    with Wire(str(client.base_url)) as wire:
        wire.begin("/v1/jobs", "Content-Length: 9000000")
        wire.socket.sendall(part("files", bytes(3_000_000), "a.nii"))
        assert comes_true(lambda: staged(tmp_path)), "the file is written as it comes"
        wire.socket.close()
        assert emptied(tmp_path)
        assert client.get("/v1/jobs").json()["jobs"] == []


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (part("files", b"abc", "a.nii"), TYPE),  # its end is missing
        (part("files", b"abc") + END, TYPE),  # no file
        (part("other", b"abc", "a.nii") + END, TYPE),  # a file in another field
        (part("model", bytes(20_000)) + END, TYPE),  # a field beyond reason
        (part("model", b"\xff\xfe") + END, TYPE),  # no text
        (b"".join(part("model", b"x") for _ in range(40)) + END, TYPE),
        (b"".join(part("files", b"x", f"{n}.nii") for n in range(12)) + END, TYPE),
        (END, TYPE),
        (b"", TYPE),
        (b"{}", "application/json"),
        (b"x", "multipart/form-data"),
        (b"x", f"multipart/form-data; boundary={'b' * 300}"),
        (b"no boundary anywhere", TYPE),
        (b"--" + BOUNDARY.encode() + b"\r\n\r\nabc\r\n" + END, TYPE),  # a part without a name
    ],
)
def test_a_body_that_is_no_form_is_refused(
    open_service: Callable[..., httpx.Client], tmp_path: Path, body: bytes, kind: str
) -> None:
    client = open_service(workers=0, max_files=10)
    for path in ("/v1/jobs", "/v1/uploads"):
        answer = client.post(path, content=body, headers={"Content-Type": kind})
        assert answer.status_code == 422, answer.text
        assert answer.json()["code"] in {"E_REQUEST", "E_FILE_MISSING"}
    assert emptied(tmp_path)


def test_an_empty_field_of_a_browsers_form_is_no_file(
    open_service: Callable[..., httpx.Client], nifti: bytes
) -> None:
    client = open_service(workers=0)
    body = part("files", b"", "") + part("files", nifti, "a.nii") + END
    answer = client.post("/v1/jobs", content=body, headers={"Content-Type": TYPE})
    assert answer.status_code == 202, answer.text
    assert answer.json()["label"] == "a.nii"


def test_sequences_are_those_of_the_files_in_their_order(
    open_service: Callable[..., httpx.Client], nifti: bytes
) -> None:
    client = open_service(workers=0)
    files = [("files", (name, nifti)) for name in ("z.nii", "b.nii")]
    answer = client.post("/v1/jobs", files=files, data={"sequences": ["t1c", "t2w"]})
    assert answer.status_code == 202, answer.text
    assert answer.json()["options"]["sequences"] == ["t2w", "t1c"]  # of b.nii, z.nii
    for wrong in (["t1c"], ["t1c", "t1c"]):
        refused = client.post("/v1/jobs", files=files, data={"sequences": wrong})
        assert (refused.status_code, refused.json()["code"]) == (422, "E_REQUEST")


def test_a_stop_ends_open_streams_and_uploads_within_seconds(tmp_path: Path) -> None:
    with Service(tmp_path / "state", workers=1) as service:
        import httpx

        with httpx.Client(base_url=service.url, timeout=60) as client:
            files = [("files", ("slow-head.nii", head()))]
            job = client.post("/v1/jobs", files=files).json()
            wait(client, job["id"], "running")
            begun, ended = threading.Event(), threading.Event()

            def follow() -> None:
                with client.stream("GET", f"/v1/jobs/{job['id']}/events") as stream:
                    begun.set()
                    list(stream.iter_lines())
                ended.set()

            follower = threading.Thread(target=follow)
            follower.start()
            assert begun.wait(60)
            with Wire(service.url) as wire:
                wire.begin("/v1/jobs", "Transfer-Encoding: chunked")
                wire.chunk(part("files", bytes(3_000_000), "late.nii"))
                assert comes_true(lambda: staged(tmp_path / "state"))
                took_s = service.stop()
                status, headers, problem = wire.answer()
                follower.join(timeout=60)
        assert ended.is_set(), "the stream ended, it was not cut"
        assert (status, problem["code"]) == (503, "E_STOPPING")
        assert int(headers["retry-after"]) > 0
        assert took_s < 10
        assert list((tmp_path / "state" / "staging").iterdir()) == []


def test_a_disk_that_fills_up_on_the_way_is_507_and_leaves_nothing(
    open_service: Callable[..., httpx.Client],
    nifti: bytes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = open_service(workers=0)
    opened = Incoming._opened

    def on_a_full_disk(incoming: Incoming) -> object:
        if incoming._file is None:
            opened(incoming).close()
            incoming._file = Path("/dev/full").open("wb", buffering=0)  # noqa: SIM115 - kept
        return incoming._file

    with monkeypatch.context() as full:
        full.setattr(Incoming, "_opened", on_a_full_disk)
        for path in ("/v1/jobs", "/v1/uploads"):
            answer = client.post(path, files=[("files", ("a.nii", nifti))])
            assert (answer.status_code, answer.json()["code"]) == (507, "E_DISK")
        assert emptied(tmp_path)
    assert client.post("/v1/jobs", files=[("files", ("a.nii", nifti))]).status_code == 202


def test_an_upload_that_would_leave_too_little_room_is_refused_before_it_is_read(
    open_service: Callable[..., httpx.Client], tmp_path: Path
) -> None:
    room = shutil.disk_usage(tmp_path).free
    client = open_service(workers=0, max_upload_bytes=2 * room, min_free_bytes=0)
    with Wire(str(client.base_url)) as wire:
        wire.begin("/v1/jobs", f"Content-Length: {int(1.9 * room)}")
        status, _, problem = wire.answer()
    assert (status, problem["code"]) == (507, "E_DISK")
