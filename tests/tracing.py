"""Which hosts the processes of a command try to reach, as the kernel sees it."""

from __future__ import annotations

import ipaddress
import os
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.patience import comes_true

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

__all__ = ["attempts_beyond_loopback", "fresh_environment", "tracer"]

CALLS = "connect,sendto,sendmsg,sendmmsg"
NAME_SERVER = 53
CI_VARIABLES = ("CI", "GITHUB_ACTIONS", "TF_BUILD", "JENKINS_URL", "TRAVIS", "DO_NOT_TRACK")
"""Where these are set, some libraries send nothing: a test would miss what users get."""

_ADDRESS = re.compile(
    r'htons\((?P<port>\d+)\).*?inet_(?:addr\(|pton\(AF_INET6, )"(?P<host>[0-9a-fA-F.:]+)"'
)


def tracer(log: Path) -> list[str]:
    """Return the words to put before a command, whose process stays the direct child.

    Skips the test where there is no strace.
    """
    if shutil.which("strace") is None:
        pytest.skip("no strace: apt-get install strace")
    return ["strace", "-D", "-f", "-qq", "--seccomp-bpf", "-e", f"trace={CALLS}", "-o", str(log)]


def fresh_environment(home: Path) -> dict[str, str]:
    """The environment of a new user: no settings, no consent given or refused."""
    home.mkdir(exist_ok=True)
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in CI_VARIABLES and not name.startswith(("XDG_", "STREAMLIT_", "PYTEST_"))
    }
    return kept | {"HOME": str(home)}


def attempts_beyond_loopback(log: Path) -> set[str]:
    """Return `host:port` of every attempt to reach another host or to look up a name."""
    return {
        f"{host}:{port}"
        for host, port in _addresses(log)
        if port == NAME_SERVER or not ipaddress.ip_address(host).is_loopback
    }


def _addresses(log: Path) -> Iterator[tuple[str, int]]:
    with log.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            for found in _ADDRESS.finditer(line):
                yield found["host"], int(found["port"])


def attempts_of(command: Sequence[str], folder: Path, **run: str) -> set[str]:
    """Run a command to its end as a new user; return whom its processes tried to reach."""
    log = folder / "trace.txt"
    done = subprocess.run(
        [*tracer(log), *command],
        cwd=folder,
        env=fresh_environment(folder / "home") | run,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert comes_true(log.exists)  # the tracer ends a moment later
    return attempts_beyond_loopback(log)
