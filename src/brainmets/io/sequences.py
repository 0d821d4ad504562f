"""Guessing which MR sequence an image is, from words and scan parameters; the user confirms."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from brainmets.domain.case import Sequence
    from brainmets.io.dicom_scan import Hints

__all__ = ["guess_from_hints", "guess_from_name"]

START, END = r"(?:^|[^a-z0-9])", r"(?:$|[^a-z0-9])"

NAMES: tuple[tuple[Sequence, str], ...] = (
    ("t2f", r"t2f|t2_?flair|flair|dark_?fluid"),
    ("t1c", r"t1_?(?:c|ce|gd|post|\+c|km|mpr_?gd|contrast)|ct1|c\+|gado?|post_?gad|bravo_?post"),
    ("t2w", r"t2w?|t2_?(?:tse|fse|weighted)"),
    ("t1n", r"t1n?|t1w|t1_?(?:pre|mpr|mprage|native|weighted)|mprage|bravo|spgr"),
)  # fmt: skip
"""By the words people name files and protocols with; the first that fits wins."""

CONTRAST_WORDS = r"\+ ?c|post|gd|gad[a-z]*|km|contrast|ce|\+gd|c\+"

T1_REPETITION_MS = 1_200.0
LONG_ECHO_MS = 60.0
FLAIR_INVERSION_MS = 1_500.0
"""Spin-echo T1 repeats within about a second; FLAIR nulls fluid at 1.5 to 2.8 s."""


def guess_from_name(name: str) -> Sequence | None:
    """Return the sequence a file name speaks of, or None."""
    words = name.casefold()
    for sequence, pattern in NAMES:
        if re.search(f"{START}(?:{pattern}){END}", words):
            return sequence
    return None


def guess_from_hints(hints: Hints) -> Sequence | None:
    """Return the sequence a DICOM header speaks of: its words, contrast agent, TR, TE and TI."""
    named = guess_from_name(hints.description)
    words = hints.description.casefold()
    contrast = hints.contrast or bool(re.search(f"{START}(?:{CONTRAST_WORDS}){END}", words))
    weighting = named or _weighting(hints)
    if weighting in {"t1n", "t1c"}:
        return "t1c" if contrast or weighting == "t1c" else "t1n"
    return weighting


def _weighting(hints: Hints) -> Sequence | None:
    if hints.echo_ms > LONG_ECHO_MS:
        return "t2f" if hints.inversion_ms > FLAIR_INVERSION_MS else "t2w"
    if hints.repetition_ms < T1_REPETITION_MS or hints.inversion_recovery:
        return "t1n"
    return None
