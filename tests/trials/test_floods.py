"""More than the service takes: bursts, long runs, large uploads; it answers and stays small."""

from __future__ import annotations

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.trials.service import Service, head, vary

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

QUEUE = 10
BURST = 10 * QUEUE
FLAT_MB = 50.0
LARGE_MB = 300
PATIENCE_S = 1200.0


def test_ten_times_the_queue_at_once_is_202_or_429(tmp_path: Path) -> None:
    content = head()
    with (
        Service(tmp_path / "state", max_waiting=QUEUE, workers=0) as service,
        httpx.Client(base_url=service.url, timeout=300) as client,
    ):

        def send(number: int) -> httpx.Response:
            name = f"burst-{number}.nii"
            return client.post("/v1/jobs", files=[("files", (name, vary(content, number)))])

        with ThreadPoolExecutor(BURST) as senders:
            answers = list(senders.map(send, range(BURST)))
        counts = Counter(answer.status_code for answer in answers)
        listed = client.get("/v1/jobs").json()["jobs"]
        folders = list((tmp_path / "state" / "jobs").iterdir())
        staged = list((tmp_path / "state" / "staging").iterdir())
    print(f"\n{BURST} at once on a queue of {QUEUE}: {dict(counts)}")
    assert counts == {202: QUEUE, 429: BURST - QUEUE}
    refused = [answer for answer in answers if answer.status_code == 429]
    assert all(int(answer.headers["retry-after"]) > 0 for answer in refused)
    assert all(answer.json()["code"] == "E_QUEUE_FULL" for answer in refused)
    assert len(listed) == len(folders) == QUEUE
    assert staged == []


class Endless(httpx.SyncByteStream):
    """A form with one file of so many megabytes, made as it is sent."""

    def __init__(self, megabytes: int, name: str) -> None:
        self.megabytes = megabytes
        disposition = f'form-data; name="files"; filename="{name}"'
        self.top = f"--b\r\nContent-Disposition: {disposition}\r\n\r\n".encode()

    def __iter__(self) -> Iterator[bytes]:
        yield self.top
        for number in range(self.megabytes):
            yield bytes([number % 256]) * 2**20
        yield b"\r\n--b--\r\n"


@pytest.mark.parametrize("megabytes", [40, pytest.param(LARGE_MB, marks=pytest.mark.slow)])
def test_a_large_upload_goes_to_the_disk_once_and_not_through_memory(
    tmp_path: Path, megabytes: int
) -> None:
    with (
        Service(tmp_path / "state", workers=0) as service,
        httpx.Client(base_url=service.url, timeout=300) as client,
    ):
        client.post("/v1/uploads", content=Endless(1, "warm.nii"), headers=FORM)
        service.forget_peak()
        before = service.memory_mb()
        written = service.written_bytes()
        started = time.monotonic()
        answer = client.post("/v1/uploads", content=Endless(megabytes, "large.nii"), headers=FORM)
        seconds = time.monotonic() - started
        grown = service.memory_mb(peak=True) - before
        written = service.written_bytes() - written
    print(f"\n{megabytes} MB in {seconds:.1f} s: +{grown:.1f} MB, {written / 2**20:.0f} written")
    assert answer.status_code == 201, answer.text
    assert answer.json()["size"] == megabytes * 2**20
    assert grown < 20
    assert written < 1.05 * (megabytes + 1) * 2**20


FORM = {"Content-Type": "multipart/form-data; boundary=b"}


@pytest.mark.parametrize("jobs", [12, pytest.param(200, marks=pytest.mark.slow)])
def test_memory_stays_flat_however_many_jobs_pass_through(tmp_path: Path, jobs: int) -> None:
    """Each job is sent, followed, looked at as the page does, listed and half of them deleted."""
    content = head()
    curve: list[tuple[int, float]] = []
    with (
        Service(tmp_path / "state", max_waiting=64, workers=1) as service,
        httpx.Client(base_url=service.url, timeout=300) as client,
    ):
        for number in range(jobs):
            name = f"head-{number}.nii"
            sent = client.post("/v1/jobs", files=[("files", (name, vary(content, number)))])
            job = sent.json()["id"]
            with client.stream("GET", f"/v1/jobs/{job}/events") as stream:
                assert '"done"' in list(stream.iter_lines())[-2]
            for part in ("image.u16", "probability.u8", "labels.u8"):
                client.get(f"/v1/jobs/{job}/view/{part}").raise_for_status()
            lesions = client.get(f"/v1/jobs/{job}/lesions", params={"threshold": 0.4})
            lesions.raise_for_status()
            client.get(f"/v1/jobs/{job}/files/all.zip").raise_for_status()
            client.get("/v1/jobs").raise_for_status()
            client.get("/metrics").raise_for_status()
            if number % 2:
                client.delete(f"/v1/jobs/{job}").raise_for_status()
            if (number + 1) % max(1, jobs // 10) == 0:
                curve.append((number + 1, round(service.memory_mb(), 1)))
        kept = len(client.get("/v1/jobs").json()["jobs"])
    print(f"\njobs, MB: {curve}")
    assert kept == jobs - jobs // 2
    settled = curve[0][1]  # after the first tenth every module is loaded
    assert max(memory for _, memory in curve) - settled < FLAT_MB
    assert min(memory for _, memory in curve) - settled > -FLAT_MB


def test_a_full_disk_is_507_and_passes_by_itself(tmp_path: Path) -> None:
    with (
        Service(tmp_path / "state", workers=0, min_free_bytes=2**62) as service,
        httpx.Client(base_url=service.url, timeout=60) as client,
    ):
        refused = client.post("/v1/jobs", files=[("files", ("a.nii", head()))])
        kept = client.post("/v1/uploads", files=[("files", ("a.nii", head()))])
        assert client.get("/healthz").status_code == 200
    for answer in (refused, kept):
        assert (answer.status_code, answer.json()["code"]) == (507, "E_DISK")
    assert list((tmp_path / "state" / "staging").iterdir()) == []
    with (
        Service(tmp_path / "state", workers=0) as service,
        httpx.Client(base_url=service.url, timeout=60) as client,
    ):
        taken = client.post("/v1/jobs", files=[("files", ("a.nii", head()))])
        assert taken.status_code == 202


def test_many_readers_of_one_job_end_with_it(tmp_path: Path) -> None:
    with (
        Service(tmp_path / "state", workers=1) as service,
        httpx.Client(base_url=service.url, timeout=300) as client,
    ):
        sent = client.post("/v1/jobs", files=[("files", ("pause-3000.nii", head()))])
        last: list[str] = []

        def follow() -> None:
            with client.stream("GET", f"{sent.headers['location']}/events") as stream:
                last.append(list(stream.iter_lines())[-2])

        readers = [threading.Thread(target=follow) for _ in range(40)]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join(timeout=PATIENCE_S)
    assert len(last) == 40
    assert all('"done"' in line for line in last)
