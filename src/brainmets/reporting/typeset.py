"""Typst templates to PDF, with fonts for every script that this machine has some for."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from brainmets.domain.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["typeset"]

OUT_OF_THE_ORDINARY = re.compile(r"[^\u0000-\u024f\u0370-\u052f\u2000-\u206f\u20a0-\u22ff]")
"""What typst's own fonts may lack: they hold Latin, Greek and Cyrillic letters."""

UNDISPLAYED = re.compile(r'the text `?"(.+?)"`? (?:could|can)')
TRIES = 64

EVERY_GLYPH = '#set text(9pt, font: "Libertinus Serif")\n#for one in json("texts.json") [#par(one)]'

NOTE = (
    "#v(4pt)\n#text(7.8pt)[[U+…] stands for a character for which this machine has no font."
    " Fonts: pip install 'brainmets\\[fonts\\]', or fonts-noto of the system.]\n"
)

MISSING = (
    "{count} characters of the report have no font on this machine and are written as [U+…];"
    " fonts: pip install 'brainmets[fonts]'."
)


def typeset(
    template: str,
    data: Mapping[str, object],
    folder: Path,
    *,
    notify: Callable[[str], None] = lambda _: None,
) -> bytes:
    """Return the PDF of a typst template that reads `data.json`; its pictures are in `folder`.

    All text goes through JSON, so no name can break the page. Fonts are typst's own: the same
    input gives the same pages everywhere. For text that these cannot write, the extra `fonts` and
    the system's fonts are taken. A character for which no font is found is written as its code
    point, and a note says so, to the reader and to `notify`.

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
    fonts = typst.Fonts(include_system_fonts=False)
    odd = sorted({text for text in _texts(data) if OUT_OF_THE_ORDINARY.search(text)})
    lacking: set[str] = set()
    if odd:
        fonts = typst.Fonts(include_system_fonts=True, font_paths=_font_folders())
        lacking = _undisplayed(odd, folder, fonts)
    if lacking:
        notify(MISSING.format(count=len(lacking)))
        data, template = _mapped(dict(data), lambda text: _spelt(text, lacking)), template + NOTE
    (folder / "data.json").write_text(json.dumps(data), encoding="utf-8")
    (folder / "report.typ").write_text(template, encoding="utf-8")
    return typst.compile(str(folder / "report.typ"), root=str(folder), font_paths=fonts)


def _font_folders() -> list[str]:
    """Return where the extra `fonts` lies, as far as it is installed: Noto fonts, OFL-1.1."""
    found: list[str | None] = []
    with suppress(ImportError):
        import manimgx_fonts

        found.append(manimgx_fonts.__file__)
    with suppress(ImportError):
        import manimgx_fonts_cjk

        found.append(manimgx_fonts_cjk.__file__)
    return [str(Path(place).parent) for place in found if place]


def _undisplayed(texts: list[str], folder: Path, fonts: Any) -> set[str]:
    """Ask typst which characters no font has: a PDF/A may not have any of them."""
    import typst

    page, lacking = folder / "texts.typ", set[str]()
    page.write_text(EVERY_GLYPH, encoding="utf-8")
    for _ in range(TRIES):
        shown = [_spelt(text, lacking) for text in texts]
        (folder / "texts.json").write_text(json.dumps(shown), encoding="utf-8")
        try:
            typst.compile(str(page), root=str(folder), font_paths=fonts, pdf_standards=["a-2b"])
        except typst.TypstError as error:
            named = UNDISPLAYED.search(str(error))
            new = set(named[1] if named else "") - lacking
            if not new:
                break
            lacking |= new
        else:
            return lacking
    return lacking | set(OUT_OF_THE_ORDINARY.findall("".join(texts)))


def _spelt(text: str, lacking: set[str]) -> str:
    """Write characters that cannot be shown as their code points."""
    return "".join(f"[U+{ord(one):04X}]" if one in lacking else one for one in text)


def _texts(data: object) -> list[str]:
    found: list[str] = []
    _mapped(data, lambda text: found.append(text) or text)
    return found


def _mapped(data: Any, change: Callable[[str], str]) -> Any:
    """Change every text in nested data."""
    if isinstance(data, str):
        return change(data)
    if isinstance(data, dict):
        return {name: _mapped(value, change) for name, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [_mapped(value, change) for value in data]
    return data
