"""A service in a world that can be broken and made whole again; what its users see then."""

from __future__ import annotations

import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

import httpx
import pytest

from tests.patience import comes_true
from tests.trials.service import Service, head

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Witness", "answer_of", "mounted", "run_as_root"]

PATIENCE_S = 240.0


def answer_of(response: httpx.Response) -> str:
    """Return status and code, as the fault table names them."""
    try:
        code = response.json().get("code", "")
    except (ValueError, AttributeError):
        code = ""
    return f"{response.status_code} {code}".strip()


class Witness:
    """Asks a service as its users and its load balancer do."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.client = httpx.Client(base_url=service.url, timeout=90)
        self._image = head()
        self._number = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def submit(self, name: str = "a.nii") -> httpx.Response:
        """Send an image that was never sent before."""
        return self.client.post("/v1/jobs", files=[("files", (name, self._content()))])

    def upload(self) -> httpx.Response:
        return self.client.post("/v1/uploads", files=[("files", ("a.nii", self._content()))])

    def _content(self) -> bytes:
        self._number += 1
        return self._image[:-2] + self._number.to_bytes(2, "little")

    def done(self, name: str = "a.nii") -> str:
        """Submit an image and wait for its result."""
        sent = self.submit(name)
        assert sent.status_code == 202, sent.text
        assert self.ends(sent.json()["id"])["state"] == "done"
        return str(sent.json()["id"])

    def ends(self, job: str) -> dict[str, Any]:
        view: dict[str, Any] = {}

        def over() -> bool:
            answer = self.client.get(f"/v1/jobs/{job}")
            view.update(answer.json() if answer.is_success else {})
            return view.get("state") in {"done", "failed", "cancelled"}

        assert comes_true(over, within_s=PATIENCE_S), view
        return view

    def begins(self, job: str) -> None:
        """Wait until a worker is amid a job."""
        path = f"/v1/jobs/{job}"
        assert comes_true(lambda: self.client.get(path).json()["done"] > 0, within_s=PATIENCE_S)

    def ready(self) -> bool:
        return self.client.get("/readyz").status_code == 200

    def readiness(self) -> str:
        """Return status and codes of `/readyz`."""
        answer = self.client.get("/readyz")
        found = sorted({w.rstrip(":") for w in answer.json()["detail"].split() if w[:2] == "E_"})
        return " ".join([str(answer.status_code), *found])

    def of_everything(self, job: str) -> set[str]:
        """Return the answers to all that writes: submit, upload, review, export."""
        asked = (
            self.submit(),
            self.upload(),
            self.client.put(f"/v1/jobs/{job}/review", json={"rejected": [1]}),
            self.client.get(f"/v1/jobs/{job}/exports/lesions.csv"),
        )
        return {answer_of(answer) for answer in asked}

    def listed(self) -> set[str]:
        """Return the ids of the jobs that the list shows."""
        answer = self.client.get("/v1/jobs")
        assert answer.status_code == 200, answer.text
        return {job["id"] for job in answer.json()["jobs"]}

    def answers_meanwhile(self) -> bool:
        """Whether the server itself answers at once."""
        started = time.monotonic()
        return self.client.get("/healthz").status_code == 200 and time.monotonic() - started < 5


def run_as_root(*command: str) -> None:
    """Run a command of the system's administrator, or skip the test where one may not."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"{command[0]} is not permitted here: {done.stderr.strip()[:200]}")


@contextmanager
def mounted(at: Path, *options: str) -> Iterator[None]:
    """Mount something at a folder for as long as it is needed."""
    at.mkdir(exist_ok=True)
    run_as_root("mount", *options, str(at))
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(at)], check=True)
