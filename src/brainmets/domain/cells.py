"""Text in cells of tables that spreadsheets open."""

from __future__ import annotations

import unicodedata

__all__ = ["plain_cell"]

_FORMULA = frozenset("=+-@")
_UNSEEN = frozenset({"Cc", "Cf", "Co", "Cn", "Zs", "Zl", "Zp"})
"""Unicode's categories of what a spreadsheet may skip before it looks for a formula."""


def plain_cell(text: str) -> str:
    """Return one line of text that no spreadsheet takes for a formula.

    An apostrophe goes before it where its first visible character would begin one, full-width
    forms included. Control characters are left out.
    """
    line = " ".join(text.split())
    line = "".join(letter for letter in line if unicodedata.category(letter) != "Cc").strip()
    seen = next((one for one in line if unicodedata.category(one) not in _UNSEEN), "")
    begins = unicodedata.normalize("NFKC", seen)[:1] in _FORMULA
    return f"'{line}" if begins else line
