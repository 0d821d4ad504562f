"""Words and numbers as the page shows them."""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING

import streamlit as st

if TYPE_CHECKING:
    from brainmets.api.schemas import Problem
    from brainmets.domain.errors import BrainmetsError

__all__ = [
    "STAGE_NAMES",
    "explain",
    "explain_problem",
    "plain",
    "quality",
    "when",
]

STAGE_NAMES = {
    "read": "Reading the images",
    "prepare": "Preparing: orientation, resampling, contrast",
    "segment": "Segmenting",
    "measure": "Measuring the lesions",
    "write": "Writing the results",
}

_MARKDOWN = str.maketrans({sign: f"\\{sign}" for sign in r"\`*_{}[]()#+-!$~|<>:"})


def explain(error: BrainmetsError) -> None:
    """Show an error as its code and one sentence."""
    _show(error.code, error.found, error.expected, error.remedy)


def explain_problem(problem: Problem) -> None:
    """Show a job's problem as its code and one sentence."""
    _show(problem.code, problem.found or problem.detail, problem.expected, problem.remedy)


def _show(code: str, found: str, expected: str, remedy: str) -> None:
    first = found.split(" ", 1)[0]
    starts_with_a_word = first.isalpha()  # a file's name keeps its letters
    sentence = f"{found[:1].upper() if starts_with_a_word else found[:1]}{found[1:]}."
    if expected:
        sentence += f" Expected {expected}."
    if remedy:
        sentence += f" What to do: {remedy}."
    st.error(f"**{plain(code)}**  \n{plain(sentence)}")


def plain(text: str) -> str:
    """Return text that markdown shows as it is: file names are not formatting."""
    return text.translate(_MARKDOWN)


def when(seconds: float) -> str:
    """Return a moment in this computer's own time."""
    return datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M")


def quality(card: str) -> str:
    """Return the sentence of a model card that says how good the model is, without markup.

    What `brainmets models measure` found at the default operating point goes before what training
    found at probability one half.
    """
    for heading, opening in (("\n## Measured", "Mean Dice"), ("\n## Held-out test", "")):
        _, _, after = card.partition(heading)
        lines = (line.strip() for line in after.partition("\n## ")[0].splitlines()[1:])
        for line in lines:
            if line and not line.startswith("|") and line.startswith(opening):
                said = re.sub(r"[*`_]", "", line)
                return re.split("; (?:threshold|lesion sensitivity)", said)[0].rstrip(".")
    return ""
