"""Every page keeps its word: its blocks run and its links lead somewhere."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from tests.docs.blocks import read_blocks, run_block
from tests.docs.samples import write_samples
from tests.docs.stand_ins import PROGRAMS

REPOSITORY = Path(__file__).resolve().parents[2]
PAGES = sorted(
    page.relative_to(REPOSITORY)
    for page in (*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").rglob("*.md"))
)
RUNNABLE = [
    page
    for page in PAGES
    if any(block.language not in ("text", "mermaid") for block in read_blocks(REPOSITORY / page))
]
BESIDE_THE_READER = (
    "app",
    "recipes",
    "benchmarks",
    "pyproject.toml",
    "constraints.txt",
    "Makefile",
    "requirements.txt",
    "requirements-train.txt",
    "requirements-dev.txt",
)
LINK = re.compile(
    r"\]\((?!https?:|mailto:)(?P<target>[^)\s]+)[^)]*\)|<img[^>]* src=\"(?P<src>[^\"]+)\""
)
HEADING = re.compile(r"^#+ +(.+)$", re.MULTILINE)


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A reader's folder: what a clone holds, their own images, and stand-ins first on PATH."""
    folder = tmp_path / "reader"
    folder.mkdir()
    for name in BESIDE_THE_READER:
        (folder / name).symlink_to(REPOSITORY / name)
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in PROGRAMS:
        script = programs / name
        stand_in = REPOSITORY / "tests" / "docs" / "stand_ins.py"
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{stand_in}" {name} "$@"\n')
        script.chmod(0o755)
    path = os.pathsep.join([str(programs), str(Path(sys.executable).parent), os.environ["PATH"]])
    monkeypatch.setenv("PATH", path)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("BRAINMETS_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize("page", RUNNABLE, ids=str)
def test_blocks_do_what_the_page_says(page: Path, workspace: Path) -> None:
    blocks = list(read_blocks(REPOSITORY / page))
    write_samples(workspace, "".join(block.text for block in blocks))
    namespace: dict[str, Any] = {"__name__": "__page__"}

    for block in blocks:
        run_block(block, folder=workspace, environment=dict(os.environ), namespace=namespace)


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(
        r"```.*?```", "", (REPOSITORY / page).read_text(encoding="utf-8"), flags=re.DOTALL
    )
    for link in LINK.finditer(text):
        path, _, anchor = unquote(link["target"] or link["src"]).partition("#")
        target = (REPOSITORY / page).parent / path if path else REPOSITORY / page
        assert target.exists(), f"{page} links to {path}, which is not there"
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target), f"{page} links to {path}#{anchor}"


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives a page's headings."""
    titles = HEADING.findall(page.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_every_page_is_reachable_from_the_index() -> None:
    seen: set[Path] = set()
    waiting = [REPOSITORY / "docs" / "index.md"]
    while waiting:
        page = waiting.pop()
        if page in seen:
            continue
        seen.add(page)
        for link in LINK.finditer(page.read_text(encoding="utf-8")):
            path = (link["target"] or link["src"]).partition("#")[0]
            target = (page.parent / path).resolve()
            if target.is_dir():
                waiting.extend(target.glob("*.md"))
            elif target.suffix == ".md" and target.exists():
                waiting.append(target)

    lost = {page for page in PAGES if page.parts[0] == "docs" and REPOSITORY / page not in seen}
    assert not lost


def test_a_block_that_breaks_its_word_is_caught(workspace: Path) -> None:
    page = workspace / "page.md"
    broken = {
        "python": "assert 1 + 1 == 3",
        "bash": "echo fine\nfalse | cat",
        "console": "$ echo one\ntwo",
        "toml": "a = ",
        "json": "{a: 1}",
        "brainfuck": "+",
    }
    for language, text in broken.items():
        page.write_text(f"# Page\n```{language}\n{text}\n```\n")
        (block,) = read_blocks(page)
        with pytest.raises((AssertionError, ValueError)):
            run_block(block, folder=workspace, environment=dict(os.environ), namespace={})


def test_stand_ins_cover_the_programs_they_name(workspace: Path) -> None:
    for name in PROGRAMS:
        assert Path(shutil.which(name) or "").parent.name == "programs"
