"""A wall around parsers and decoders that hostile bytes can make raise anything at all."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

from brainmets.domain.errors import BrainmetsError, OutOfMemory

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["guarded"]


@contextmanager
def guarded(fault: BrainmetsError) -> Generator[None, None, None]:
    """Turn whatever the block raises into `fault`, and keep its warnings quiet.

    Decoders written in Rust can raise a BaseException (pyo3's PanicException) on mutated input,
    so `Exception` alone is not enough. Interrupts and our own errors pass.

    Raises:
        OutOfMemory: the memory ran out.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (KeyboardInterrupt, SystemExit, GeneratorExit, BrainmetsError):
        raise
    except MemoryError:
        raise OutOfMemory(
            fault.found, expected="an image that fits in memory", remedy=fault.remedy
        ) from None
    except BaseException:  # noqa: BLE001  see above: PanicException
        raise fault from None
