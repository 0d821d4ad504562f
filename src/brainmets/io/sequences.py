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

BIDS = r"^(?P<entities>sub-[a-z0-9]+(?:_[a-z0-9]+-[a-z0-9+]+)*)_(?P<suffix>[a-z0-9]+)(?:\.|$)"
"""Entities and suffix of a name after the Brain Imaging Data Structure 1.10."""

BIDS_SUFFIXES: dict[str, Sequence] = {
    "t1w": "t1n", "mprage": "t1n", "t1c": "t1c", "t1ce": "t1c", "t1gd": "t1c", "t1n": "t1n",
    "t2w": "t2w", "flair": "t2f", "t2f": "t2f",
}  # fmt: skip
"""What a suffix means without contrast agent; the entities `ce`, `acq`, `rec`, `desc` add it."""

AGENTS = r"gd|gad[a-z]*|km|dotarem|clariscan|prohance"
AFTER = r"post(?:_?(?:contrast|gad?|gd|km|c))?"
CONTRAST_WORDS = rf"{AGENTS}|{AFTER}|\+ ?c|contrast|kontrast|ce|\+gd|c\+"
WITHOUT = r"pre|no|non|ohne|without|sans|sin"
WITHOUT_CONTRAST = rf"(?:{WITHOUT})[ _-]?(?:contrast|kontrast|ce|{AGENTS})|pre|nativ[ea]?"

T1_REPETITION_MS = 1_200.0
LONG_ECHO_MS = 60.0
FLAIR_INVERSION_MS = 1_500.0
"""Spin-echo T1 repeats within about a second; FLAIR nulls fluid at 1.5 to 2.8 s."""


def guess_from_name(name: str) -> Sequence | None:
    """Return the sequence a file name speaks of, or None; names after BIDS are read as BIDS."""
    words = name.casefold()
    if bids := re.search(BIDS, words):
        entities = dict(part.split("-", 1) for part in bids["entities"].split("_") if "-" in part)
        named = BIDS_SUFFIXES.get(bids["suffix"])
        told = " ".join(entities.get(key, "") for key in ("acq", "rec", "desc"))
        contrast = entities.get("ce", "none") != "none" or _says_contrast(told)
        return "t1c" if named == "t1n" and contrast else named
    found: Sequence | None = next((one for one, pattern in NAMES if _has(pattern, words)), None)
    if found == "t1n" or (found is None and _has(AGENTS, words)):
        return "t1c" if _says_contrast(words) else found
    return found


def _has(pattern: str, words: str) -> bool:
    return re.search(f"{START}(?:{pattern}){END}", words) is not None


def _says_contrast(words: str) -> bool:
    return _has(CONTRAST_WORDS, words) and not _has(WITHOUT_CONTRAST, words)


def guess_from_hints(hints: Hints) -> Sequence | None:
    """Return the sequence a DICOM header speaks of: its words, contrast agent, TR, TE and TI."""
    named = guess_from_name(hints.description)
    words = hints.description.casefold()
    contrast = hints.contrast or _says_contrast(words)
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
