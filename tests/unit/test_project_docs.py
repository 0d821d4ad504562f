"""Everything a user can type, set or be told is documented, and says what it is for."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from brainmets.domain import RESEARCH_USE_ONLY
from brainmets.domain.errors import all_errors
from tests.docs import reference_pages

REPOSITORY = Path(__file__).resolve().parents[2]
REFERENCE = REPOSITORY / "docs" / "reference"

SHOWN_IN = ("reporting", "cli", "ui", "api")
"""Rooms that put results before a person."""


def test_every_error_code_is_documented_and_no_other() -> None:
    text = (REFERENCE / "errors.md").read_text(encoding="utf-8")
    ours = {c for c, kind in all_errors().items() if kind.__module__.startswith("brainmets.")}

    assert set(re.findall(r"\bE_[A-Z]+(?:_[A-Z]+)*\b", text)) - {"E_CODE"} == ours


def test_every_command_and_option_explains_itself() -> None:
    seen = 0
    for name, command in reference_pages.commands():
        assert command.help, f"{name} has no help"
        for parameter in command.params:
            seen += 1
            text = getattr(parameter, "help", None)
            assert text, f"{name} {parameter.name} has no help"
    assert seen > 20


@pytest.mark.parametrize("page", reference_pages.PAGES)
def test_reference_page_is_what_the_code_says(page: str) -> None:
    written = (REFERENCE / page).read_text(encoding="utf-8")

    assert written == reference_pages.PAGES[page](), "make docs writes it again"


def test_every_recipe_field_has_a_description() -> None:
    rows = re.findall(
        r"^\| `(\w+)` \| (.*) \| .* \| (.*) \|$", reference_pages.recipe(), re.MULTILINE
    )
    # A field whose type is a section of the page is described there, and a constant says itself.
    own = [row for row in rows if "](#" not in row[1] and not re.fullmatch(r"`\w+`", row[1])]

    assert len(own) > 30
    assert not [field for field, _, description in own if not description.strip()]


@pytest.mark.parametrize("room", SHOWN_IN)
def test_results_carry_the_research_notice(room: str) -> None:
    sources = (REPOSITORY / "src" / "brainmets" / room).rglob("*.py")
    texts = [source.read_text(encoding="utf-8") for source in sources]

    assert any("RESEARCH_USE_ONLY" in text or ".notice" in text for text in texts)
    written_out = [text for text in texts for said in strings(text) if RESEARCH_USE_ONLY in said]
    assert not written_out, "use the one constant"


def strings(source: str) -> list[str]:
    """Every string of a module but its docstrings, which cannot name a constant."""
    tree = ast.parse(source)
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and id(node) not in docstrings
    ]


def test_front_pages_carry_the_research_notice() -> None:
    for page in ("README.md", "docs/index.md"):
        text = " ".join((REPOSITORY / page).read_text(encoding="utf-8").split())
        assert RESEARCH_USE_ONLY in text
