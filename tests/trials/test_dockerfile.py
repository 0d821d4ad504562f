"""The steps of deploy/Dockerfile in a Debian root made with mmdebstrap: no Docker is needed.

It needs root, mmdebstrap, and the package registries that pip and apt use.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.trials.service import REPOSITORY
from tests.unit.orthanc import free_port

STARTS_WITHIN_S = 600.0
MOUNTS = ("proc", "dev")
NETWORK = ("etc/resolv.conf", "etc/pip.conf", "etc/ssl/certs/ca-certificates.crt")


def instructions(text: str) -> list[tuple[str, str]]:
    """Instructions and arguments of a Dockerfile; continued lines are joined."""
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [
        (line.split(None, 1)[0], line.split(None, 1)[1].strip())
        for line in joined.splitlines()
        if line.strip()
    ]


class Root:
    """A Debian root whose commands run by chroot."""

    def __init__(self, folder: Path, suite: str) -> None:
        self.folder = folder
        self.environment = {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "HOME": "/root"}
        sources = Path("/etc/apt/sources.list.d/debian.sources")
        mirror = [str(sources)] if sources.exists() else []
        subprocess.run(
            [
                "mmdebstrap",
                "--variant=minbase",
                "--include=ca-certificates",
                suite,
                folder,
                *mirror,
            ],
            check=True,
        )
        for name in NETWORK:  # what this machine needs to reach the registries
            if (Path("/") / name).exists():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(Path("/") / name, folder / name)

    def command(self, words: list[str], user: str = "") -> list[str]:
        chosen = [f"--userspec={user}"] if user else []
        return ["chroot", *chosen, str(self.folder), *words]

    def run(self, command: str) -> None:
        environment = self.environment | {
            name: value for name, value in os.environ.items() if name.startswith(("PIP_", "UV_"))
        }
        subprocess.run(self.command(["sh", "-euc", command]), env=environment, check=True)

    def copy(self, target: str) -> None:
        listed = subprocess.run(
            ["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, check=True
        )
        for name in filter(None, listed.stdout.decode().split("\0")):
            source, place = REPOSITORY / name, self.folder / target.strip("/") / name
            if source.is_file() and not name.startswith(("tests/", "docs/")):
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, place)


def perform(root: Root, steps: list[tuple[str, str]]) -> dict[str, str]:
    """Do what the steps say; return what is said of the finished image."""
    told: dict[str, str] = {}
    for name, argument in steps:
        if name == "RUN":
            root.run(argument)
        elif name == "COPY":
            root.copy(argument.split()[-1])
        elif name == "ENV":
            for pair in shlex.split(argument):
                key, _, value = pair.partition("=")
                root.environment[key] = value.replace("$PATH", root.environment["PATH"])
        else:
            told[name] = argument
    return told


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("mmdebstrap"), reason="root, mmdebstrap")
def test_image_is_built_and_serves_with_a_read_only_root(tmp_path: Path) -> None:
    steps = instructions((REPOSITORY / "deploy" / "Dockerfile").read_text())
    (base,) = [argument for name, argument in steps if name == "FROM"]
    suite = re.fullmatch(r"debian:(\w+)-slim", base)
    assert suite is not None
    root = Root(tmp_path / "root", suite[1])
    for name in MOUNTS:
        subprocess.run(["mount", "--rbind", f"/{name}", root.folder / name], check=True)
    server: subprocess.Popen[bytes] | None = None
    try:
        told = perform(root, steps)
        begin: list[str] = json.loads(told["ENTRYPOINT"])
        serve: list[str] = json.loads(told["CMD"])
        assert (begin, serve[0]) == (["brainmets"], "serve")
        # read-only but for the state and /tmp, as compose.yml has it
        bind = ["mount", "--bind"]
        subprocess.run([*bind, root.folder, root.folder], check=True)
        for name in ("tmp", "var/lib/brainmets"):
            (tmp_path / name.replace("/", "-")).mkdir(mode=0o1777)
            (tmp_path / name.replace("/", "-")).chmod(0o1777)
            subprocess.run(
                [*bind, tmp_path / name.replace("/", "-"), root.folder / name], check=True
            )
        subprocess.run(["mount", "-o", "remount,ro,bind", root.folder], check=True)
        port = free_port()
        words = [*begin, "serve", "--port", str(port)]
        server = subprocess.Popen(root.command(words, told["USER"]), env=root.environment)
        assert health(f"http://127.0.0.1:{port}/api/healthz")["status"] == "ok"
        for command in (["brainmets", "--version"], ["brainmets", "doctor"], ["id", "--user"]):
            done = subprocess.run(
                root.command(command, told["USER"]),
                env=root.environment,
                capture_output=True,
                text=True,
                check=True,
            )
        assert done.stdout.strip() == told["USER"].partition(":")[0] != "0"
    finally:
        if server is not None:
            server.terminate()
            server.wait(timeout=60)
        subprocess.run(["umount", "--recursive", "--lazy", root.folder], check=False)
        for name in MOUNTS:
            subprocess.run(["umount", "--recursive", "--lazy", root.folder / name], check=False)


def health(address: str) -> dict[str, Any]:
    deadline = time.monotonic() + STARTS_WITHIN_S
    while time.monotonic() < deadline:
        try:
            return httpx.get(address, trust_env=False, timeout=20).raise_for_status().json()
        except httpx.HTTPError:
            time.sleep(1.0)
    raise AssertionError("the service does not answer")
