"""Typst templates to PDF."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from brainmets.domain.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["typeset"]


def typeset(template: str, data: Mapping[str, object], folder: Path) -> bytes:
    """Return the PDF of a typst template that reads `data.json`; its pictures are in `folder`.

    All text goes through JSON, so no name can break the page. Fonts are typst's own: the same
    input gives the same pages everywhere.

    Raises:
        OptionError: typst is not installed.
    """
    try:
        import typst
    except ImportError as fault:
        raise OptionError(
            "no typst, which typesets the PDF",
            expected="the extra `pdf`",
            remedy="pip install 'brainmets[pdf]'",
        ) from fault
    (folder / "data.json").write_text(json.dumps(data), encoding="utf-8")
    (folder / "report.typ").write_text(template, encoding="utf-8")
    return typst.compile(str(folder / "report.typ"), root=str(folder), ignore_system_fonts=True)
