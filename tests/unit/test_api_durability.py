"""Jobs outlive the processes that take them in and compute them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx
import nibabel
import numpy as np
import pytest

from brainmets.api.client import Client
from brainmets.domain import Geometry, HeadPhantom
from brainmets.domain.errors import ServiceUnreachable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

JOBS = 6
PATIENCE_S = 120.0


@pytest.fixture(scope="module")
def nifti() -> bytes:
    image, _ = HeadPhantom().render(Geometry.isotropic((40, 48, 44), spacing_mm=4.0))
    return nibabel.Nifti1Image(image.data.astype(np.int16), image.geometry.affine).to_bytes()


@contextmanager
def server(state: Path, repository: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "uvicorn",
            "app.main:app",
            "--port",
            str(port),
            "--log-level",
            "error",
        ],
        cwd=repository,
        env=os.environ
        | {
            "BRAINMETS_STATE_DIR": str(state),
            "BRAINMETS_RUNNER": "tests.unit.api_stand_in:segment",
            "BRAINMETS_MIN_FREE_BYTES": "0",
            "PYTHONPATH": str(repository),
        },
    )
    try:
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            try:
                httpx.get(f"http://127.0.0.1:{port}/healthz")
                break
            except httpx.HTTPError:
                assert process.poll() is None, "the server stopped"
                time.sleep(0.05)
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(timeout=40)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def test_no_job_is_lost_or_doubled_when_the_server_is_killed(
    tmp_path: Path, repository: Path, nifti: bytes
) -> None:
    port = free_port()
    ids: list[str] = []
    with (
        server(tmp_path, repository, port) as process,
        Client(f"http://127.0.0.1:{port}") as client,
    ):
        ids += [client.submit([(f"head-{n}.nii", nifti)]).id for n in range(JOBS)]
        time.sleep(0.7)  # some are done, one is running
        process.send_signal(signal.SIGKILL)
        process.wait()
    with (
        server(tmp_path, repository, port) as process,
        Client(f"http://127.0.0.1:{port}") as client,
    ):
        again = [client.submit([(f"head-{n}.nii", nifti)]).id for n in range(JOBS)]
        assert again == ids
        for job_id in ids:
            job = client.wait(job_id, timeout_s=PATIENCE_S)
            assert job.state == "done"
            assert job.result is not None
            assert job.attempts == 1
        assert len(client.jobs()) == JOBS
        started = time.monotonic()
        process.terminate()
        process.wait(timeout=40)
        assert time.monotonic() - started < 30
    left = sorted(path.name for path in tmp_path.rglob("*") if "draft" in path.name)
    assert left == []


def test_the_client_says_when_nobody_answers() -> None:
    with Client(f"http://127.0.0.1:{free_port()}") as client:
        with pytest.raises(ServiceUnreachable, match="E_SERVICE"):
            client.health()
        with pytest.raises(ServiceUnreachable):
            client.jobs()
