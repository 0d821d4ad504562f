"""What a model was measured on and what it found there, as its own files say."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from brainmets.inference import Bundle

__all__ = ["Found", "found_in", "quality", "tested_on"]

KINDS = {
    "brain metastasis": r"brain metastas",
    "glioma": r"glioma",
    "meningioma": r"meningioma",
    "pituitary tumour": r"pituitary",
    "synthetic metastasis": r"synthetic|synthesi|made scans",
}
"""Kinds of tumour, and how recipes and cards write them."""

FROM_MM = 5.0
"""Smaller lesions are counted in the card only: most readers ask for what is treated."""

ROW = re.compile(
    r"^\|\s*(?P<size>(?:<|≥|>=)?\s*[\d.]+(?:\s*[-–]\s*[\d.]+)?) ?mm[^|]*\|"
    r"\s*(?P<lesions>\d+)\s*\|\s*\**(?P<found>[01]\.\d+)"
)
"""A row of a table of lesions by size: how many there are, and the share that was found."""

SLICES = re.compile(r"(?P<found>\d+) of the (?P<lesions>\d+) are found")
COHORT = re.compile(r"(?P<scans>\d+) (?P<what>exams|scans|slices)\b[^.;]*? of (?P<patients>\d+)")
FALSE = re.compile(r"([\d.]+)(?: \[[^\]]*\])?\**(?: \[[^\]]*\]\**)? false positives a scan")
DICE = re.compile(
    r"^Mean Dice[^*\n]*\*\*([\d.]+)[^*\n]*\*\*[^\n]*?"
    r" (?:over|on) (\d+) ([\w\- ]*?)(?=[,;.(]|$| with)",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """How many lesions of one test a model found.

    Attributes:
        real: Metastases of patients; else synthetic ones.
        share: Of the lesions, from 0 to 1.
        lesions: How many there are.
        what: Sizes or kind of the lesions, in words.
        cohort: Scans and patients, in words; empty where the card does not say.
        false_positives: In a scan; None where the card does not say.
    """

    real: bool
    share: float
    lesions: int
    what: str
    cohort: str
    false_positives: float | None

    def __str__(self) -> str:
        """Say it in a line."""
        kind = "metastases" if self.real else "synthetic metastases"
        said = f"Found {self.share:.2f} of {self.lesions} {kind} {self.what}".rstrip()
        if self.cohort:
            said += f" on {self.cohort}"
        if self.false_positives is not None:
            said += f", with {self.false_positives:.2f} false positives a scan"
        return said


def quality(bundle: Bundle) -> str:
    """Return what a model was measured on and what it found there; empty where nothing is said.

    Metastases of patients come first. Without them the sentence says that there were none.
    """
    found = found_in(bundle.card)
    real = next((one for one in found if one.real), None)
    if real is not None:
        return f"{real}."
    said = [f"{one}." for one in found[:1]]
    if dice := DICE.search(_measured(bundle.card)):
        tumours = [kind for kind in tested_on(bundle) if "metastasis" not in kind]
        about = f" with {', '.join(tumours)}" if tumours else ""
        said.append(f"Dice {dice[1]} on {dice[2]} {dice[3].strip() or 'cases'}{about}.")
    return " ".join(["Not measured on metastases of patients.", *said]) if said else ""


def found_in(card: str) -> tuple[Found, ...]:
    """Return what a card's chapter of measurements says of lesions that were found."""
    found: list[Found] = []
    for text, table in _tables(_measured(card)):
        real = re.search(r"brain metastas", text, re.IGNORECASE) is not None
        if not real and not re.search(r"synthetic benchmark", text, re.IGNORECASE):
            continue
        rows = [row for line in table if (row := ROW.match(line)) and _lower(row) >= FROM_MM]
        if rows:
            found.append(_by_size(rows, text, real=real))
        elif real and (few := SLICES.search(text)):
            found.append(_on_slices(few, text))
    return tuple(found)


def tested_on(bundle: Bundle) -> tuple[str, ...]:
    """Return the kinds of tumour of the cases that were held out for the test."""
    recipe = cast("Mapping[str, object]", bundle.extra.get("recipe") or {})
    sources = cast("Sequence[Mapping[str, object]]", recipe.get("sources") or ())
    parts = cast("Sequence[Mapping[str, object]]", bundle.extra.get("split") or ())
    text = " ".join(
        str(source.get("about") or source.get("root", ""))
        for source, part in zip(sources, parts, strict=False)
        if part.get("test")
    )
    return tuple(kind for kind, words in KINDS.items() if re.search(words, text, re.IGNORECASE))


def _measured(card: str) -> str:
    return card.partition("\n## Measured")[2].partition("\n## ")[0]


def _tables(text: str) -> list[tuple[str, list[str]]]:
    """Each table with what is written since the one before."""
    found: list[tuple[str, list[str]]] = []
    words: list[str] = []
    table: list[str] = []
    for line in (*text.splitlines(), "end"):
        if line.startswith("|"):
            table.append(line)
            continue
        if table:
            found.append((" ".join(words), table))
            words, table = [], []
        words.append(line.strip())
    return found


def _lower(row: re.Match[str]) -> float:
    size = row["size"].strip()
    return 0.0 if size.startswith("<") else float(re.findall(r"[\d.]+", size)[0])


def _by_size(rows: list[re.Match[str]], text: str, *, real: bool) -> Found:
    lesions = sum(int(row["lesions"]) for row in rows)
    share = sum(int(row["lesions"]) * float(row["found"]) for row in rows) / max(lesions, 1)
    least = min(_lower(row) for row in rows)
    false = FALSE.search(text)
    return Found(
        real=real,
        share=share,
        lesions=lesions,
        what=f"from {least:g} mm",
        cohort=_cohort(text) if real else "",
        false_positives=float(false[1]) if false else None,
    )


def _on_slices(few: re.Match[str], text: str) -> Found:
    lesions = int(few["lesions"])
    bright = "visibly bright" in text
    return Found(
        real=True,
        share=int(few["found"]) / max(lesions, 1),
        lesions=lesions,
        what="that are visibly bright" if bright else "",
        cohort=_cohort(text),
        false_positives=None,
    )


def _cohort(text: str) -> str:
    """Scans and patients of the first test in the text, if it counts both."""
    found = COHORT.search(text.replace("*", ""))
    return f"{found['scans']} {found['what']} of {found['patients']} patients" if found else ""
