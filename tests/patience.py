"""Looking at what another process or thread is changing, and waiting until it has."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["all_below", "comes_true", "files_below"]


def files_below(folder: Path) -> list[Path]:
    """Every file below `folder`; one deleted meanwhile has none (`rglob` raises)."""
    return [Path(at) / name for at, _, names in os.walk(folder) for name in names]


def all_below(folder: Path) -> set[Path]:
    """Every file and folder below `folder`, as patiently."""
    return {Path(at) / name for at, *both in os.walk(folder) for names in both for name in names}


def comes_true(question: Callable[[], object], *, within_s: float = 60.0) -> bool:
    """Ask until the answer is yes; a loaded machine may need long, an idle one is not kept."""
    deadline = time.monotonic() + within_s
    while not (answer := bool(question())) and time.monotonic() < deadline:
        time.sleep(0.02)
    return answer
