"""Words and numbers as the page shows them."""

from __future__ import annotations

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
