"""What the C library does with freed memory: keep it for the next step, or give it back."""

from __future__ import annotations

import ctypes

__all__ = ["keep_freed_memory", "return_freed_memory"]

# mallopt's parameters, from glibc's malloc.h
TRIM_THRESHOLD, MMAP_THRESHOLD, MMAP_MAX, ARENA_MAX = -1, -3, -4, -8
LARGEST_INT = 2**31 - 1

RETURNED_BYTES = 1 << 18
"""Freed blocks of at least this size go back to the system at once."""


def keep_freed_memory() -> bool:
    """Have the C library keep freed blocks for the next step; return whether it can.

    By default each block of over 32 MB goes back to the system when it is freed, and the next
    step's first touch of every page of it costs a fault: a twentieth of a 3-D step.
    """
    return _set({MMAP_MAX: 0, MMAP_THRESHOLD: LARGEST_INT, TRIM_THRESHOLD: LARGEST_INT})


def return_freed_memory() -> bool:
    """Have the C library give large freed blocks back to the system; return whether it can.

    A service that once had a large request would otherwise hold its memory for good: by default
    the size from which blocks are given back grows with what is freed, and each thread that
    allocates at the same time as others keeps an area of its own.
    """
    return _set({MMAP_THRESHOLD: RETURNED_BYTES, TRIM_THRESHOLD: RETURNED_BYTES, ARENA_MAX: 2})


def _set(values: dict[int, int]) -> bool:
    """Only glibc knows these; they hold for the whole process and cannot be taken back."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):  # no glibc; on Windows there is no CDLL(None)
        return False
    return all(mallopt(name, value) == 1 for name, value in values.items())
