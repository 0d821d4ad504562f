"""Files made to harm, sent over HTTP: each is refused by a code, and nothing lands outside."""

from __future__ import annotations

import itertools
import secrets
import tempfile
import time
from collections import Counter
from pathlib import Path

import httpx
import pytest

from brainmets.api.settings import SEGMENT
from brainmets.domain.errors import InputError, all_errors
from tests.patience import all_below
from tests.trials.hostile import hostile_files
from tests.trials.service import Service

NAMES = (
    "../../escaped.nii",
    "..\\..\\escaped.nii",
    "/etc/cron.d/escaped",
    "C:\\escaped.nii",
    "..",
    ".",
    "%2e%2e%2fescaped.nii",
    "a\x00b.nii",
    "\x1b[2J\r\nSet-Cookie: x.nii",
    "n" * 3000 + ".nii",
    "$(touch escaped).nii",
    "📁/🧠.nii",
    "-rf.nii",
    ".hidden",
)
"""What the form itself may call a file."""

REFUSALS = {code for code, kind in all_errors().items() if issubclass(kind, InputError)}
BUSY = {"queued", "running"}
PATIENCE_S = 900.0


class Trial:
    """One service that files are sent to, and what was wrong with its answers."""

    def __init__(self, client: httpx.Client) -> None:
        self.client = client
        self.jobs: dict[str, str] = {}
        self.faults: list[str] = []
        self.endings: Counter[str] = Counter()

    def submit(self, name: str, content: bytes) -> None:
        answer = self.client.post("/v1/jobs", files=[("files", (name, content))])
        if answer.status_code == 202:
            self.jobs[answer.json()["id"]] = name
        elif not 400 <= answer.status_code < 500:
            self.faults.append(f"{name!r}: {answer.status_code}")

    def inspect(self, name: str, content: bytes) -> None:
        kept = self.client.post("/v1/uploads", files=[("files", (name, content))])
        looked = self.client.get(f"/v1/uploads/{kept.json()['id']}") if kept.is_success else kept
        if looked.status_code >= 500:
            self.faults.append(f"{name!r}: inspected {looked.status_code}")
        elif looked.is_success:
            found = looked.json()["inspection"]
            for problem in (found["problem"], *(image["problem"] for image in found["images"])):
                if problem is not None and problem["code"] not in REFUSALS:
                    self.faults.append(f"{name!r}: inspected {problem['code']}")

    def wait(self) -> None:
        deadline = time.monotonic() + PATIENCE_S
        for job_id, name in self.jobs.items():
            while (job := self.client.get(f"/v1/jobs/{job_id}").json())["state"] in BUSY:
                assert time.monotonic() < deadline, f"{name!r} is still {job['state']}"
                time.sleep(0.1)
            ending = job["problem"]["code"] if job["problem"] else job["state"]
            self.endings[ending] += 1
            if job["state"] == "failed" and ending not in REFUSALS:
                self.faults.append(f"{name!r}: {ending}")


def outside(state: Path, folder: Path) -> set[Path]:
    return {path for path in all_below(folder) if state not in path.parents and path != state}


@pytest.mark.parametrize(
    "share",
    [
        pytest.param(9, id="a-few"),
        pytest.param(1, id="all", marks=pytest.mark.slow),
    ],
)
def test_hostile_files_are_refused_by_a_code_and_land_nowhere(tmp_path: Path, share: int) -> None:
    target = Path(tempfile.gettempdir()) / f"escaped-{secrets.token_hex(8)}.nii"
    files = hostile_files(str(target))
    assert len(files) >= 60
    state = tmp_path / "a" / "b" / "state"
    state.mkdir(parents=True)
    with (
        Service(state, runner=SEGMENT, max_waiting=1000) as service,
        httpx.Client(base_url=service.url, timeout=300) as client,
    ):
        before = outside(state, tmp_path)
        trial = Trial(client)
        for name, content in itertools.islice(files.items(), 0, None, share):
            trial.submit(name, content)
            trial.inspect(name, content)
        for number, name in enumerate(itertools.islice(NAMES, 0, None, share)):
            trial.submit(name, b"no image %d" % number)
        trial.wait()
        kept = [path for path in (state / "jobs").glob("*/input/*") if path.is_file()]
        new = outside(state, tmp_path) - before
        alive = client.get("/healthz").status_code
    jobs = len(trial.jobs)
    print(f"\n{jobs} jobs: {dict(trial.endings)}; {len(trial.faults)} faults, {len(new)} outside")
    assert not trial.faults
    assert not new
    assert not target.exists()
    assert alive == 200
    assert len(kept) == jobs
    assert all(path.name.isascii() and len(path.name) <= 80 for path in kept)
    log = service.log.read_text()
    assert "Traceback" not in log
    assert "escaped" not in log
