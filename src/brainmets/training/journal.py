"""What a run writes down while it goes: curves as CSV, and a line now and then."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from brainmets.training.checkpoint import History

__all__ = ["format_duration", "progress_line", "write_curves"]


def write_curves(out: Path, history: History) -> None:
    """Write `loss.csv`, a row a step, and `validation.csv`, a row a look."""
    with (out / "loss.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["step", "loss"])
        writer.writerows((step, f"{loss:.5f}") for step, loss in enumerate(history.losses, 1))
    if history.validations:
        columns = dict.fromkeys(name for row in history.validations for name in row)
        with (out / "validation.csv").open("w", newline="", encoding="utf-8") as file:
            rows = csv.DictWriter(file, list(columns))
            rows.writeheader()
            rows.writerows(history.validations)


def progress_line(history: History, steps: int, *, since_step: int, since_s: float) -> str:
    """Return one line: step, loss, validation Dice, time so far and time left.

    Args:
        history: so far.
        steps: of the whole run.
        since_step: the step at which this process began, from which the pace is measured.
        since_s: `history.seconds` at that step.
    """
    recent = history.losses[-50:]
    words = f"step {history.step} of {steps}: loss {np.mean(recent):.3f}"
    if history.validations and history.best > 0:
        latest = history.validations[-1]["dice"]
        words += f", validation Dice {latest:.3f}, best {history.best:.3f} at {history.best_step}"
    words += f"; {format_duration(history.seconds)} so far"
    done = history.step - since_step
    if done and history.step < steps:
        pace = (history.seconds - since_s) / done
        words += f", about {format_duration(pace * (steps - history.step))} left"
    waited = history.waited_s / history.seconds if history.seconds else 0.0
    return f"{words}; {100 * waited:.0f} % of it waiting for data"


def format_duration(seconds: float) -> str:
    """Return such as `40 s`, `12 min` or `3 h 05 min`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02d} min"
