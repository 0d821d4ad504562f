"""Workers of one server divide the machine's processors between them."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from brainmets.api.worker import Worker
from brainmets.inference.machine import THREADS_VARIABLE, count_processors
from tests.patience import comes_true

if TYPE_CHECKING:
    import pytest


def test_the_variable_lowers_the_count_and_never_raises_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(THREADS_VARIABLE, raising=False)
    all_of_them = count_processors()
    for told, counted in (("1", 1), ("0", 1), ("100000", all_of_them), ("many", all_of_them)):
        monkeypatch.setenv(THREADS_VARIABLE, told)
        assert count_processors() == counted


def test_a_worker_is_told_its_share(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(THREADS_VARIABLE, "7")  # the server's own limit must not win
    worker = Worker(0, threads=1)
    try:
        wanted = f"{THREADS_VARIABLE}=1".encode()
        # until it runs, a child shows its parent's environment
        assert comes_true(lambda: wanted in _environments_of_children())
    finally:
        worker.close()


def _environments_of_children() -> set[bytes]:
    found: set[bytes] = set()
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and _parent(process) == os.getpid():
            with suppress(OSError):  # it has just ended
                found |= set((process / "environ").read_bytes().split(b"\0"))
    return found


def _parent(process: Path) -> int:
    try:
        return int((process / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0
