"""Guessing which MR sequence an image is, from words and scan parameters; the user confirms."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from unicodedata import combining, normalize

if TYPE_CHECKING:
    from brainmets.domain.case import Sequence
    from brainmets.io.dicom_scan import Hints

__all__ = ["guess_from_hints", "guess_from_name"]

START, END = r"(?:^|[^a-z0-9])", r"(?:$|[^a-z0-9])"

NAMES: tuple[tuple[Sequence, str], ...] = (
    ("t2f", r"t2f|t2[ _]?flair|flair|dark[-_ ]?fluid"),
    ("t1c", r"t1[ _]?(?:c|ce|gd|gado?|post|\+c|km|mpr_?gd|contrast)|ct1|c\+|gado?|post_?gad"),
    ("t2w", r"t2w?|t2[ _]?(?:tse|fse|weighted)"),
    ("t1n", r"t1[nw]?|t1[ _]?(?:pre|mpr|mprage|native|weighted)|mprage|bravo|spgr"),
)  # fmt: skip
"""By the words people name files and protocols with; the first that fits wins."""

BIDS = r"^(?P<entities>sub-[a-z0-9]+(?:_[a-z0-9]+-[a-z0-9+]+)*)_(?P<suffix>[a-z0-9]+)(?:\.|$)"
"""Entities and suffix of a name after the Brain Imaging Data Structure 1.10."""

BIDS_SUFFIXES: dict[str, Sequence] = {
    "t1w": "t1n", "mprage": "t1n", "unit1": "t1n", "t1c": "t1c", "t1ce": "t1c", "t1wce": "t1c",
    "t1gd": "t1c", "t1n": "t1n", "t2w": "t2w", "flair": "t2f", "t2f": "t2f",
}  # fmt: skip
"""What a suffix means without contrast agent; the entities `ce`, `acq`, `rec`, `desc` add it."""

NO_AGENT = frozenset({"none", "no", "non", "0", "pre", "without", "nativ", "native", "false"})
"""Values of the entity `ce` of a scan without contrast agent."""

AGENTS = (
    r"gd|gad[a-z]*|km|dotarem|clariscan|prohance|magnevist|multihance|omniscan|elucirem|civ|mdc"
)
CONTRAST = rf"contrast[a-z]*|kontrast[a-z]*|injection|injecte[a-z]*|ce|{AGENTS}"
AFTER = r"post(?:[ _-]?(?:contrast|gad?|gd|km|c))?"
CONTRAST_WORDS = rf"{CONTRAST}|{AFTER}|enhanced|\+ ?c|\+gd|c\+"
BEFORE = r"pre|no|non|ohne|vor|without|before|sans|avant|sin|antes(?: de)?|senza|prima"
WITHOUT_AGENT = rf"(?:{BEFORE})[ _-]*(?:{CONTRAST})|c-|unenhanced"
WITHOUT_CONTRAST = rf"{WITHOUT_AGENT}|pre|nativ[ea]?|plain"
"""English, German, French, Spanish and Italian; Chinese and Japanese are put into English."""

TREATMENT = (
    r"(?:pre|post|after|before|nach|vor|apres|avant)[ _-]*"
    r"(?:op(?:erativ[a-z]*)?|surg[a-z]*|treat[a-z]*|therap[a-z]*|rt|srs|radi[a-z]*|chemo[a-z]*"
    r"|bestrahlung|resektion|resection|process[a-z]*)"
)
"""What was done to the patient or the image says nothing of a contrast agent."""

IN_ENGLISH = (
    (r"增强|造影|조영", " contrast "),
    (r"平扫|単純|单纯", " plain "),
    (r"w/o", " without "),
    (r"\+(?= ?(?:c|gd|gad|km)(?![a-z]))", " +"),
    (rf"{START}(?:{TREATMENT}){END}", " "),
    (r"(?<![a-z0-9])(ce|gd|km|post|pre|s)(?=t[12](?![0-9]))", r"\1 "),  # cet1, st1w
    (r"(?<![a-z0-9])(t[12])(?:wi?)?(?=[a-z]{2})", r"\1 "),  # t1postgd, t1wce
    (r"(mprage|mpr|bravo|spgr|vibe|space|tfe|ffe|tse|fs|with)(?=(?:ce|gd|gad|post|km)(?![a-z]))",
     r"\1 "),
)  # fmt: skip
"""Rewritten before words are looked for, in this order."""

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
        agent = entities.get("ce", "none") not in NO_AGENT
        return "t1c" if named == "t1n" and (agent or _says_contrast(_plain(told))) else named
    words = _plain(words)
    found: Sequence | None = next((one for one, pattern in NAMES if _has(pattern, words)), None)
    if found == "t1c" and _has(WITHOUT_AGENT, words):
        return "t1n"
    if found == "t1n" or (found is None and _has(rf"{AGENTS}|{AFTER}", words)):
        return "t1c" if _says_contrast(words) else found
    return found


def _plain(words: str) -> str:
    """Take accents off and put words apart that are written as one."""
    words = "".join(one for one in normalize("NFKD", words) if not combining(one))
    words = normalize("NFC", words)
    for pattern, plain in IN_ENGLISH:
        words = re.sub(pattern, plain, words)
    return words


def _has(pattern: str, words: str) -> bool:
    return re.search(f"{START}(?:{pattern}){END}", words) is not None


def _says_contrast(words: str) -> bool:
    return _has(CONTRAST_WORDS, words) and not _has(WITHOUT_CONTRAST, words)


def guess_from_hints(hints: Hints) -> Sequence | None:
    """Return the sequence a DICOM header speaks of: its words, contrast agent, TR, TE and TI."""
    named = guess_from_name(hints.description)
    words = _plain(hints.description.casefold())
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
