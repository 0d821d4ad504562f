"""Progress bars on standard error, where someone is watching."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from brainmets.domain import STAGES, silent

if TYPE_CHECKING:
    from collections.abc import Generator

    from brainmets.domain import Progress

__all__ = ["shown"]

SHARES = {"read": 0.08, "prepare": 0.20, "segment": 0.62, "measure": 0.05, "write": 0.05}
"""How much of the time each stage usually takes."""


@contextmanager
def shown(
    title: str, *, hidden: bool = False, lasting: bool = False
) -> Generator[Progress, None, None]:
    """Give a progress callback that draws a bar, or does nothing where nobody watches.

    The bar of `lasting` work starts anew with each stage and shows the time left.
    """
    if hidden or not sys.stderr.isatty():
        yield silent
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


def _overall(stage: str, done: float) -> float:
    """Share of the whole case that is done; other work than a case counts by itself."""
    if stage not in SHARES:
        return done
    before = sum(SHARES[s] for s in STAGES[: STAGES.index(stage)])
    return before + SHARES[stage] * done
