"""A service in processes of its own, to be killed, flooded and measured."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self

import httpx
import nibabel
import numpy as np

from brainmets.domain import Geometry, HeadPhantom

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["REPOSITORY", "STAND_IN", "WORKER", "Service", "head", "vary"]

REPOSITORY = Path(__file__).resolve().parents[2]
SERVER = ("-m", "uvicorn", "app.main:app")
WORKER = ("-c", "from brainmets.cli import main; main()", "worker")
"""The command `brainmets worker`."""

STAND_IN = "tests.unit.api_stand_in:segment"
STARTS_WITHIN_S = 600.0
STOPS_WITHIN_S = 30.0


class Service:
    """One server process with its workers; `settings` become `BRAINMETS_…` variables."""

    def __init__(self, state: Path, *, command: tuple[str, ...] = (), **settings: object) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.state = state
        self.log = state.parent / f"server-{self.port}.log"
        values = {"state_dir": state, "runner": STAND_IN, "min_free_bytes": 0} | settings
        paths = (os.environ.get("BRAINMETS_TRIAL_PATH"), str(REPOSITORY / "src"), str(REPOSITORY))
        self._environment = (
            {k: v for k, v in os.environ.items() if not k.startswith("BRAINMETS_") or "TRIAL" in k}
            | {f"BRAINMETS_{name.upper()}": str(value) for name, value in values.items()}
            | {"PYTHONPATH": ":".join(filter(None, paths)), "OMP_NUM_THREADS": "1"}
        )
        self._answers = "uvicorn" in (command or SERVER)
        self._command = command or SERVER
        if self._answers:
            self._command += ("--port", str(self.port))
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        if self._process is not None and self._process.poll() is None:
            self.stop()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it and wait until it answers; one without a port, until it has its workers."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, *self._command],
                cwd=REPOSITORY,
                env=self._environment,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + STARTS_WITHIN_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise RuntimeError(f"it stopped:\n{self.log.read_text()[-2000:]}")
            if self._is_up():
                return
            time.sleep(0.05)
        raise RuntimeError("it does not answer, or has no workers")

    def _is_up(self) -> bool:
        if not self._answers:
            return bool(self.workers())
        with suppress(httpx.HTTPError):
            return httpx.get(f"{self.url}/healthz", timeout=5, trust_env=False).is_success
        return False

    def stop(self) -> float:
        """End it by SIGTERM; return how many seconds that took."""
        assert self._process is not None
        started = time.monotonic()
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(timeout=STOPS_WITHIN_S)
        finally:
            if self._process.poll() is None:
                self.kill()
        return time.monotonic() - started

    def kill(self) -> None:
        """End it by SIGKILL."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def signal_all(self, number: signal.Signals, pids: list[int]) -> None:
        """Send a signal to several of its processes."""
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def workers(self) -> list[int]:
        """Return the process ids of its workers."""
        found: list[int] = []
        for task in Path(f"/proc/{self.pid}/task").glob("*/children"):
            with suppress(OSError):
                found += [int(word) for word in task.read_text().split()]
        return [pid for pid in found if _is_worker(pid)]

    def memory_mb(self, *, peak: bool = False) -> float:
        """Return the server's resident memory now, or at most since `forget_peak`."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        field = "VmHWM" if peak else "VmRSS"
        match = re.search(rf"{field}:\s+(\d+) kB", status)
        assert match is not None
        return int(match[1]) / 1024

    def written_bytes(self) -> int:
        """Return how many bytes the server has written, to files and to sockets."""
        counts = Path(f"/proc/{self.pid}/io").read_text()
        match = re.search(r"wchar: (\d+)", counts)
        assert match is not None
        return int(match[1])

    def forget_peak(self) -> None:
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")


def _is_worker(pid: int) -> bool:
    with suppress(OSError):
        return b"brainmets.api.child" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


def head(*, spacing_mm: float = 4.0) -> bytes:
    """A phantom head as an uncompressed NIfTI file."""
    grid = [round(160 / spacing_mm), round(192 / spacing_mm), round(176 / spacing_mm)]
    geometry = Geometry.isotropic((grid[0], grid[1], grid[2]), spacing_mm=spacing_mm)
    image, _ = HeadPhantom().render(geometry)
    return nibabel.Nifti1Image(image.data.astype(np.int16), image.geometry.affine).to_bytes()


def vary(nifti: bytes, number: int) -> bytes:
    """Another image of the same content for the stand-in: one background voxel differs."""
    return nifti[:-2] + int(number % 200).to_bytes(2, "little")
