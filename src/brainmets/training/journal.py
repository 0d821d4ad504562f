"""What a run writes down while it goes: curves as CSV and for TensorBoard, and a line now and then.

Event files follow TensorFlow's `event.proto` in TFRecord framing, scalars alone: they are few
bytes, and writing them ourselves spares every user a large dependency.
"""

from __future__ import annotations

import csv
import struct
import time
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from brainmets.training.checkpoint import History

__all__ = ["EventFile", "crc32c", "spoken", "tell", "write_curves"]


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


def tell(history: History, steps: int, *, since_step: int, since_s: float) -> str:
    """Say in a line where a run stands, how good it is, and how long it will still take.

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
    words += f"; {spoken(history.seconds)} so far"
    done = history.step - since_step
    if done and history.step < steps:
        pace = (history.seconds - since_s) / done
        words += f", about {spoken(pace * (steps - history.step))} left"
    waited = history.waited_s / history.seconds if history.seconds else 0.0
    return f"{words}; {100 * waited:.0f} % of it waiting for data"


def spoken(seconds: float) -> str:
    """Return such as `40 s`, `12 min` or `3 h 05 min`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02d} min"


class EventFile:
    """A file of scalars that TensorBoard draws: `tensorboard --logdir` and the run's folder."""

    def __init__(self, folder: Path, step: int) -> None:
        """Begin a file at `step`; what earlier files say beyond it no longer counts."""
        self._path = folder / f"events.out.tfevents.{time.time_ns() // 10**6}.brainmets"
        self._waiting = [
            _record(_event(0, _text(3, "brain.Event:2"))),
            _record(_event(step, _nested(7, _number(1, 1)))),  # SessionLog START
        ]

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Note scalars of a step; `flush` writes them."""
        summary = b"".join(
            _nested(1, _text(1, name) + struct.pack("<Bf", 0x15, value))
            for name, value in values.items()
        )
        self._waiting.append(_record(_event(step, _nested(5, summary))))

    def flush(self) -> None:
        """Append what was noted."""
        with self._path.open("ab") as file:
            file.write(b"".join(self._waiting))
        self._waiting.clear()


def _event(step: int, content: bytes) -> bytes:
    return struct.pack("<Bd", 0x09, time.time()) + _number(2, step) + content


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _text(field: int, value: str) -> bytes:
    return _nested(field, value.encode())


def _nested(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _record(data: bytes) -> bytes:
    length = struct.pack("<Q", len(data))
    return length + _masked(length) + data + _masked(data)


def _masked(data: bytes) -> bytes:
    crc = crc32c(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def crc32c(data: bytes) -> int:
    """Return the CRC-32C (Castagnoli) of a few bytes."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF
