"""Freed blocks stay with the process or leave it, where the C library has a setting for it."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys

import pytest

from brainmets.inference import allocation

MEASURE = """
import sys, resource, numpy as np
from brainmets.inference.allocation import keep_freed_memory
print(keep_freed_memory() if sys.argv[1] == "kept" else False)
def touch():
    np.ones(64 * 2**20, np.uint8)
touch()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    touch()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def measured(program: str, how: str) -> tuple[bool, int]:
    """Whether the C library took the setting, and the figure that the program printed."""
    # Dask leaves MALLOC_TRIM_THRESHOLD_ in the environment of a process that started workers
    unset = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    command = [sys.executable, "-c", program, how]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=unset)
    told, figure = done.stdout.split()
    return told == "True", int(figure)


def test_a_block_used_again_costs_no_page_faults() -> None:
    kept, count = measured(MEASURE, "kept")
    if not kept:
        pytest.skip("the C library is not glibc")
    assert count < 100
    assert measured(MEASURE, "given back")[1] > 10 * max(count, 10)


HELD = """
import sys, numpy as np
from pathlib import Path
from brainmets.inference.allocation import return_freed_memory
told = return_freed_memory() if sys.argv[1] == "returned" else False
np.ones(24 * 2**20, np.uint8)  # by default, blocks up to this size are kept from now on
def resident():
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])
before = resident()
pins = []
for _ in range(4):
    block = np.ones(16 * 2**20, np.uint8)
    pins.append(np.ones(2**17, np.uint8))  # lies behind it
    del block
print(told, resident() - before)
"""


def test_a_large_request_leaves_no_memory_behind() -> None:
    told, kb = measured(HELD, "returned")
    if not told:
        pytest.skip("the C library is not glibc")
    assert kb < 4_000
    assert measured(HELD, "kept")[1] > 12_000


def test_elsewhere_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    def without(_: object) -> object:
        return object()

    monkeypatch.setattr(ctypes, "CDLL", without)
    assert not allocation.keep_freed_memory()
    assert not allocation.return_freed_memory()
