"""What this process may use of the machine: processors and memory, containers' limits included."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

__all__ = [
    "MEMORY_VARIABLE",
    "THREADS_VARIABLE",
    "count_processors",
    "forget_peak_memory",
    "free_memory",
    "peak_memory",
    "used_memory",
]

THREADS_VARIABLE = "BRAINMETS_THREADS"
"""Environment variable: most processors to use; a server's workers divide the machine by it."""

MEMORY_VARIABLE = "BRAINMETS_MEMORY_BYTES"
"""Environment variable: most bytes this process may hold; workers divide a machine by it."""

CGROUP = Path("/sys/fs/cgroup")
KIBI = 1024


def count_processors() -> int:
    """Return how many processors this process may keep busy, at least 1."""
    affinity = getattr(os, "sched_getaffinity", None)
    count = len(affinity(0)) if affinity else os.cpu_count() or 1
    quota = _words(CGROUP / "cpu.max")
    if len(quota) == 2 and quota[0].isdigit():
        count = min(count, max(1, round(int(quota[0]) / int(quota[1]))))
    told = os.environ.get(THREADS_VARIABLE, "")
    return min(count, max(1, int(told))) if told.isdigit() else count


def free_memory() -> int | None:
    """Return the bytes this process can still take without swapping; None where unknown."""
    free = [_status_bytes(Path("/proc/meminfo"), "MemAvailable")]
    limit, used = _words(CGROUP / "memory.max"), _words(CGROUP / "memory.current")
    if limit and used and limit[0].isdigit():
        free.append(max(int(limit[0]) - int(used[0]), 0))
    told = os.environ.get(MEMORY_VARIABLE, "")
    if told.isdigit():
        free.append(max(int(told) - used_memory(), 0))
    known = [f for f in free if f is not None]
    return min(known) if known else None


def used_memory() -> int:
    """Return the bytes of memory this process holds now; 0 where unknown."""
    return _status_bytes(Path("/proc/self/status"), "VmRSS") or 0


def peak_memory() -> int:
    """Return the most bytes of memory this process has held; 0 where unknown."""
    # getrusage would count what the parent held when it started this process
    here = _status_bytes(Path("/proc/self/status"), "VmHWM")
    if here is not None:
        return here
    try:
        import resource
    except ImportError:  # Windows
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * KIBI


def forget_peak_memory() -> None:
    """Begin to count `peak_memory` again, where the system can; a worker serves many jobs."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # man 5 proc


def _words(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii").split()
    except OSError:
        return []


def _status_bytes(path: Path, field: str) -> int | None:
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    for line in lines:
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0]) * KIBI
    return None
