"""Build the documentation site: `python docs/build_site.py [--out site]`.

Zensical and MkDocs read one folder, while the documentation links to files all over the repository.
So the pages are first copied to `.cache/site/docs`, the top-level pages among them, and links to
files that are no pages become plain paths. `mkdocs.yml` holds the navigation.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

__all__ = ["build", "copy_pages", "relink"]

REPOSITORY = Path(__file__).resolve().parents[1]
STAGE = REPOSITORY / ".cache" / "site"
TOP_PAGES = ("CHANGELOG.md", "CONTRIBUTING.md", "EXPERIMENTS.md")
LINK = re.compile(r"(?<!!)\[(?P<text>[^\]]*)\]\((?P<target>(?!https?:|mailto:|#)[^)\s]+)\)")
SHIM = re.compile(r'<script src="https://unpkg.com/iframe-worker/shim"[^>]*></script>')
"""The one script that the theme loads from another host, for search in pages opened as files."""
FENCE = re.compile(r"(^ *```.*?^ *```$)", re.MULTILINE | re.DOTALL)


def copy_pages(stage: Path = STAGE) -> Path:
    """Copy every page and picture into `stage/docs`; return that folder."""
    target = stage / "docs"
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(
        REPOSITORY / "docs", target, ignore=shutil.ignore_patterns("*.py", "__pycache__", "*.csv")
    )
    (target / "adr" / "template.md").unlink()
    for name in TOP_PAGES:
        shutil.copy(REPOSITORY / name, target / name)
    for page in target.rglob("*.md"):
        parts = FENCE.split(page.read_text(encoding="utf-8"))
        within = page.relative_to(target)
        original = REPOSITORY if str(within) in TOP_PAGES else REPOSITORY / "docs"
        parts[::2] = [relink(part, original / within, page, target) for part in parts[::2]]
        page.write_text("".join(parts), encoding="utf-8")
    return target


def relink(text: str, original: Path, page: Path, target: Path) -> str:
    """Let links lead to the copies; a link to a file that is no page becomes its path."""

    def replaced(link: re.Match[str]) -> str:
        path, mark, anchor = link["target"].partition("#")
        within = (original.parent / path).resolve().relative_to(REPOSITORY)
        if str(within) in TOP_PAGES:
            copy = target / within
        elif within.parts[0] == "docs":
            copy = target / within.relative_to("docs")
        else:
            copy = None
        if (copy is None or not copy.exists()) and (REPOSITORY / within).exists():
            plain = link["text"].strip("`").rstrip("/") in str(within)
            return f"`{within}`" if plain else f"{link['text']} (`{within}`)"
        if copy is None:
            return link[0]  # leads nowhere: the strict build reports it
        return f"[{link['text']}]({os.path.relpath(copy, page.parent)}{mark}{anchor})"

    return LINK.sub(replaced, text)


def build(out: Path, *, stage: Path = STAGE) -> None:
    """Build the site into `out`; a warning, such as a broken link, is an error.

    Raises:
        subprocess.CalledProcessError: the build has a warning or an error.
    """
    copy_pages(stage)
    config = (REPOSITORY / "mkdocs.yml").read_text(encoding="utf-8")
    (stage / "mkdocs.yml").write_text(config, encoding="utf-8")
    program = Path(sys.executable).parent / "zensical"
    environment = dict(os.environ, PYTHONPATH=str(REPOSITORY / "src"))
    command = [program, "build", "--clean", "--strict"]
    subprocess.run(command, cwd=stage, check=True, env=environment)
    for page in (stage / "site").rglob("*.html"):
        root = "../" * (len(page.relative_to(stage / "site").parts) - 1)
        text = SHIM.sub(f'<script src="{root}search_worker.js"></script>', page.read_text("utf-8"))
        page.write_text(text, encoding="utf-8")
    shutil.rmtree(out, ignore_errors=True)
    shutil.move(stage / "site", out)


def main() -> None:
    """Build the site from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=REPOSITORY / "site")
    build(parser.parse_args().out)


if __name__ == "__main__":
    main()
