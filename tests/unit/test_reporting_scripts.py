"""No script is printed as boxes: it has a font, or its characters are spelt and a note says why."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from brainmets.reporting import typeset as typesetting
from brainmets.reporting.lettering import spelt

if TYPE_CHECKING:
    from pathlib import Path

TEMPLATE = """#let data = json("data.json")
#set text(9pt, font: "Libertinus Serif")
#for one in data.texts [#par(one)]
"""
SCRIPTS = {
    "Chinese": "左额叶转移",
    "traditional Chinese": "左額葉轉移",
    "Japanese": "左前頭葉のメタ",
    "Korean": "왼쪽 전두엽",
    "Thai": "สมองซ้าย",
    "emoji": "🧠",
    "Hebrew": "מוח",
    "Arabic": "دماغ",
    "Hindi": "दिमाग",
    "Cyrillic": "лобная доля",
    "Greek": "εγκέφαλος",
    "Polish": "płat czołowy",
    "symbols": "≥ 5 mm × 3 · – …",
}
IN_TYPSTS_OWN = ("Hebrew", "Arabic", "Hindi", "Cyrillic", "Greek", "Polish", "symbols")


def text_of(folder: Path, *texts: str) -> str:
    """What a PDF of the texts says when it is copied."""
    if not shutil.which("pdftotext"):
        pytest.skip("no pdftotext: apt install poppler-utils")
    notes: list[str] = []
    content = typesetting.typeset(TEMPLATE, {"texts": texts}, folder, notify=notes.append)
    (folder / "a.pdf").write_bytes(content)
    told = subprocess.run(
        ["pdftotext", folder / "a.pdf", "-"], capture_output=True, text=True, check=True
    )
    assert ("U+" in told.stdout) == any("have no font" in note for note in notes)
    return told.stdout


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_is_written_with_its_font(name: str, tmp_path: Path) -> None:
    assert typesetting._font_folders(), "the extra `fonts` is not installed"
    told = text_of(tmp_path, SCRIPTS[name])
    assert "U+" not in told


@pytest.mark.parametrize("name", SCRIPTS)
def test_without_a_font_characters_are_spelt(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import typst

    fonts = typst.Fonts(include_system_fonts=False)
    monkeypatch.setattr(typst, "Fonts", lambda **_: fonts)
    told = text_of(tmp_path, SCRIPTS[name], "plain").replace("\n", "")
    lacking = [one for one in SCRIPTS[name] if f"[U+{ord(one):04X}]" in told]
    assert bool(lacking) == (name not in IN_TYPSTS_OWN)
    assert ("stands for a character" in told) == bool(lacking)
    assert "plain" in told


def test_the_picture_spells_what_its_font_lacks() -> None:
    assert spelt("slice 3.png") == "slice 3.png"
    assert spelt("Schädel é.png") == "Schadel e.png"
    assert spelt("脑.png") == "[U+8111].png"
