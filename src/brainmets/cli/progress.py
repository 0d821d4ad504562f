"""Progress on standard error: a bar in a terminal, a line a minute of lasting work elsewhere."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from brainmets.domain import STAGES, silent

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from brainmets.domain import Progress

__all__ = ["shown"]

SHARES = {"read": 0.08, "prepare": 0.20, "segment": 0.62, "measure": 0.05, "write": 0.05}
"""How much of the time each stage usually takes."""


@contextmanager
def shown(
    title: str, *, hidden: bool = False, lasting: bool = False
) -> Generator[Progress, None, None]:
    """Give a progress callback that draws a bar in a terminal.

    The bar of `lasting` work starts again with each stage and shows the time left; without a
    terminal such work writes a line a minute, and other work nothing.
    """
    if hidden or not sys.stderr.isatty():
        yield _lines(title) if lasting and not hidden else silent
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = [TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()]
    if lasting:
        columns += [TextColumn("left"), TimeRemainingColumn(elapsed_when_finished=True)]
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task(title, total=1.0)
        present = ""

        def update(stage: str, done: float, /) -> None:
            nonlocal present
            if lasting and stage != present:
                bars.reset(task)
                present = stage
            bars.update(task, description=f"{title}  {stage}", completed=_overall(stage, done))

        yield update


LINE_EVERY_S = 60.0
"""Seconds between two lines in a log."""


def _lines(title: str, clock: Callable[[], float] = time.monotonic) -> Progress:
    """Return a callback that writes a line a minute: stage, share done, time so far and left."""
    present, started, written, at_start = "", 0.0, clock(), 0.0

    def update(stage: str, done: float, /) -> None:
        nonlocal present, started, written, at_start
        now = clock()
        if stage != present:
            present, started, at_start = stage, now, done
        if now - written < LINE_EVERY_S:
            return
        written = now
        spent, gained = now - started, done - at_start
        left = f", about {_minutes(spent / gained * (1 - done))} left" if gained > 0 else ""
        sys.stderr.write(f"{title}  {stage} {100 * done:.0f} %, {_minutes(spent)} so far{left}\n")
        sys.stderr.flush()

    return update


def _minutes(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02d} min"


def _overall(stage: str, done: float) -> float:
    """Share of the whole case that is done; other work than a case counts by itself."""
    if stage not in SHARES:
        return done
    before = sum(SHARES[s] for s in STAGES[: STAGES.index(stage)])
    return before + SHARES[stage] * done
