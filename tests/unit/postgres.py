"""A PostgreSQL server of one's own, for as long as a test needs it."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["PostgresServer", "postgres_binaries", "postgres_server"]

NOBODY_ELSE = "postgres"
"""The account that a root user must lend: PostgreSQL does not run as root."""


class PostgresServer:
    """A cluster in a folder that can be stopped and started."""

    def __init__(self, folder: Path, binaries: Path) -> None:
        self._data = folder / "data"
        self._bin = binaries
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self._as("initdb", "--auth=trust", "--username=tester", "--no-sync")
        self.start()

    def _as(self, program: str, *words: str) -> None:
        account = pwd.getpwnam(NOBODY_ELSE) if os.geteuid() == 0 else None
        subprocess.run(
            [str(self._bin / program), "-D", str(self._data), *words],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd="/",
            user=account.pw_uid if account else None,
            group=account.pw_gid if account else None,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
        )

    def start(self) -> None:
        words = ("listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off")
        options = " ".join((f"-p {self._port}", *(f"-c {word}" for word in words)))
        log = str(self._data.parent / "log")
        self._as("pg_ctl", "-w", "-l", log, "-o", options, "start")

    def stop(self) -> None:
        self._as("pg_ctl", "-w", "-m", "fast", "stop")

    def kill(self) -> None:
        """End it with all its processes by SIGKILL, and wait until they are gone."""
        leader = int((self._data / "postmaster.pid").read_text().split()[0])
        family = [leader]
        for task in Path(f"/proc/{leader}/task").glob("*/children"):
            family += map(int, task.read_text().split())
        for pid in family:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + 30
        while any(map(_lives, family)) and time.monotonic() < deadline:
            time.sleep(0.05)

    def database(self, name: str) -> str:
        """Create an empty database; return its URL."""
        import psycopg

        address = f"postgresql://tester@127.0.0.1:{self._port}"
        with psycopg.connect(f"{address}/postgres", autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"'.encode())
        return f"{address}/{name}"


def _lives(pid: int) -> bool:
    """Whether the process is there, and not as a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def postgres_binaries() -> Path | None:
    """Return where initdb and pg_ctl lie; Debian keeps them off the PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=str)
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).parent if on_path else None


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    binaries = postgres_binaries()
    assert binaries is not None
    with tempfile.TemporaryDirectory(prefix="brainmets-pg-") as name:
        if os.geteuid() == 0:
            shutil.chown(name, NOBODY_ELSE, NOBODY_ELSE)
        server = PostgresServer(Path(name), binaries)
        try:
            yield server
        finally:
            server.stop()
