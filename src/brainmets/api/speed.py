"""How fast this machine is, as its finished jobs tell."""

from __future__ import annotations

import json
import secrets
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Expected", "Speed", "expect", "expected", "record"]

FILE = "speed.json"
EXPECTED = "expected.json"
KEPT = 40
"""Latest jobs remembered: enough for a median, few enough to follow a change of machine."""

LEAST, MOST = 0.1, 20.0
"""Bounds of the correction: beyond them something else happened than computing."""


class Expected(TypedDict, total=False):
    """What the owner of a job was told."""

    expected_s: float
    expected_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """Ratios of seconds taken to seconds first guessed, with the model of each, oldest first."""

    ratios: tuple[tuple[str, float], ...] = ()

    @classmethod
    def of(cls, state_dir: Path) -> Speed:
        """Return what is known under a state folder; nothing where nothing is."""
        try:
            rows = json.loads((state_dir / FILE).read_text(encoding="utf-8"))
            return cls(ratios=tuple((str(model), float(ratio)) for model, ratio in rows))
        except (OSError, ValueError, TypeError):
            return cls()

    def jobs(self, model: str) -> int:
        """How many earlier jobs a time for this model rests on."""
        return len(self._known(model))

    def expected_s(self, model: str, guess_s: float) -> float:
        """Correct a first guess by the median of earlier jobs with this model, or with any."""
        known = self._known(model)
        return guess_s * statistics.median(known) if known else guess_s

    def _known(self, model: str) -> list[float]:
        own = [ratio for name, ratio in self.ratios if name == model]
        return own or [ratio for _, ratio in self.ratios]


def expect(job_dir: Path, *, model: str, guess_s: float, expected_s: float, bytes_: int) -> None:
    """Note next to a job what it was expected to take."""
    note = {"model": model, "guess_s": guess_s, "expected_s": expected_s, "bytes": bytes_}
    (job_dir / EXPECTED).write_text(json.dumps(note), encoding="utf-8")


def expected(job_dir: Path) -> Expected:
    """Return `expected_s` and `expected_bytes` of a job, or nothing where none was noted."""
    try:
        note = json.loads((job_dir / EXPECTED).read_text(encoding="utf-8"))
        return {"expected_s": float(note["expected_s"]), "expected_bytes": int(note["bytes"])}
    except (OSError, ValueError, TypeError, KeyError):
        return {}


def record(job_dir: Path, state_dir: Path, seconds: float) -> None:
    """Remember how a finished job's time compares with its first guess, if one was noted."""
    try:
        note = json.loads((job_dir / EXPECTED).read_text(encoding="utf-8"))
        ratio = min(max(seconds / float(note["guess_s"]), LEAST), MOST)
        model = str(note["model"])
    except (OSError, ValueError, TypeError, KeyError, ZeroDivisionError):
        return
    ratios = (*Speed.of(state_dir).ratios, (model, round(ratio, 4)))
    draft = state_dir / f".{FILE}-{secrets.token_hex(4)}"
    draft.write_text(json.dumps(ratios[-KEPT:]), encoding="utf-8")
    draft.replace(state_dir / FILE)
