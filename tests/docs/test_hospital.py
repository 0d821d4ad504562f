"""The files that the page for hospitals writes are such that their programs would take them."""

from __future__ import annotations

import configparser
import os
import re
import shlex
import shutil
import subprocess
import sys
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from brainmets.api.app import create_app
from brainmets.api.client import Client
from brainmets.api.settings import Settings
from tests.docs.blocks import read_blocks
from tests.docs.test_pages import PAGES, REPOSITORY
from tests.trials.service import STAND_IN, head, vary
from tests.unit.api_server import serving

if TYPE_CHECKING:
    from collections.abc import Callable

PAGE = REPOSITORY / "docs" / "how-to" / "hospital.md"
NAME = re.compile(r"\bBRAINMETS_[A-Z0-9_]+\b")


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str], str]:
    """Run the block that writes a file, and no other."""

    def write(name: str) -> str:
        (block,) = [b for b in read_blocks(PAGE) if f"cat > {name} <<" in b.text]
        subprocess.run(["bash", "-euc", block.text], cwd=tmp_path, check=True, capture_output=True)
        return (tmp_path / name).read_text()

    return write


def test_the_unit_starts_what_there_is_with_settings_that_there_are(
    written: Callable[[str], str],
) -> None:
    unit = configparser.ConfigParser(interpolation=None, delimiters=("=",), strict=True)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(written("brainmets.service"))
    assert {"Unit", "Service", "Install"} == set(unit.sections())
    program, command, *options = shlex.split(unit["Service"]["ExecStart"])
    assert Path(program).name == "brainmets"
    told = subprocess.run(
        [Path(sys.executable).parent / "brainmets", command, "--help"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert all(option in told for option in options if option.startswith("--"))
    assert int(unit["Service"]["TimeoutStopSec"]) >= 30


def test_the_environment_is_one_that_the_service_reads(
    written: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for line in written("brainmets.env").splitlines():
        name, _, value = line.partition("=")
        monkeypatch.setenv(name, value)
    settings = Settings()
    assert set(settings.keys.values()) == {"radiology", "research", "monitoring"}
    assert all(re.fullmatch(r"[0-9a-f]{64}", digest) for digest in settings.keys)
    assert settings.retention_hours == 720


def test_the_proxy_passes_on_what_the_service_looks_at(written: Callable[[str], str]) -> None:
    text = written("brainmets.nginx")
    assert text.count("{") == text.count("}")
    statements = [s.strip() for s in re.split(r"[;{}]", text) if s.strip()]
    for needed in (
        "proxy_set_header Host $host",
        "proxy_set_header X-Forwarded-For $remote_addr",
        "proxy_buffering off",
        "proxy_request_buffering off",
    ):
        assert needed in statements
    assert "$request_uri" not in text
    assert "$args" not in text


def test_backup_of_a_running_queue_is_restored(
    written: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", f"{REPOSITORY / 'src'}:{REPOSITORY}")
    state, backup = tmp_path / "state", tmp_path / "backup"
    monkeypatch.setenv("BRAINMETS_STATE_DIR", str(state))
    scan = head(spacing_mm=8.0)
    common: dict[str, Any] = {"runner": STAND_IN, "min_free_bytes": 0}
    settings = Settings(state_dir=state, **common)
    with serving(create_app(settings)) as http, Client(str(http.base_url)) as client:
        done = client.wait(client.submit([("a.nii", scan)]).id, timeout_s=120).id
        mask = client.file(done, "mask.nii.gz")
    with (
        serving(create_app(Settings(state_dir=state, workers=0, **common))) as http,
        Client(str(http.base_url)) as client,
    ):
        queued = client.submit([("b.nii", vary(scan, 1))]).id
        written("back-up")  # which runs it
        client.submit([("c.nii", vary(scan, 2))])
    shutil.rmtree(state)
    state.mkdir()
    for name in ("jobs.sqlite", "jobs"):
        shutil.move(backup / name, state / name)
    with serving(create_app(settings)) as http, Client(str(http.base_url)) as client:
        assert client.file(done, "mask.nii.gz") == mask
        assert client.wait(queued, timeout_s=120).state == "done"
        assert {job.id for job in client.jobs()} == {done, queued}


def test_every_variable_that_a_page_names_is_read() -> None:
    known = {f"BRAINMETS_{name.upper()}" for name in Settings.model_fields}
    folders = (REPOSITORY / folder for folder in ("src", "tests", "benchmarks"))
    for source in (*REPOSITORY.glob("*.py"), *chain(*(one.rglob("*.py") for one in folders))):
        known |= set(NAME.findall(source.read_text()))
    for page in PAGES:
        named = set(NAME.findall((REPOSITORY / page).read_text()))
        assert named <= known, (page, named - known)
