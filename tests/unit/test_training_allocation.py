"""Freed blocks stay with the process, where the C library has a setting for it."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

pytest.importorskip("torch")

from brainmets.training import allocation

MEASURE = """
import sys, resource, numpy as np
from brainmets.training.allocation import keep_freed_memory
print(keep_freed_memory() if sys.argv[1] == "kept" else False)
def touch():
    np.ones(64 * 2**20, np.uint8)
touch()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    touch()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how: str) -> tuple[bool, int]:
    command = [sys.executable, "-c", MEASURE, how]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    kept, count = done.stdout.split()
    return kept == "True", int(count)


def test_a_block_used_again_costs_no_page_faults() -> None:
    kept, count = faults("kept")
    if not kept:
        pytest.skip("the C library is not glibc")
    assert count < 100
    assert faults("given back")[1] > 10 * max(count, 10)


def test_elsewhere_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    def without(_: object) -> object:
        return object()

    monkeypatch.setattr(ctypes, "CDLL", without)
    assert not allocation.keep_freed_memory()
