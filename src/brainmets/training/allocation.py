"""How a training process holds the memory that its steps use again and again."""

from __future__ import annotations

import ctypes

__all__ = ["keep_freed_memory"]

# mallopt's parameters, from glibc's malloc.h
TRIM_THRESHOLD, MMAP_THRESHOLD, MMAP_MAX = -1, -3, -4
LARGEST_INT = 2**31 - 1


def keep_freed_memory() -> bool:
    """Have the C library keep freed blocks for the next step; return whether it can.

    By default each block of over 32 MB goes back to the system when it is freed, and the next
    step's first touch of every page of it costs a fault: a twentieth of a 3-D step. Only glibc
    knows the setting; it holds for the whole process and cannot be taken back.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):  # no glibc; on Windows there is no CDLL(None)
        return False
    done = mallopt(MMAP_MAX, 0) + mallopt(MMAP_THRESHOLD, LARGEST_INT)
    return done + mallopt(TRIM_THRESHOLD, LARGEST_INT) == 3  # each answers 1
