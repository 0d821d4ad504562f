"""The fenced blocks of a Markdown page, and how each language is run.

- `python` blocks of a page share one namespace, in order, in a folder of their own.
- `bash` blocks run as they stand, each in a new shell with `set -euo pipefail`.
- `console` blocks hold `$ command` lines; what follows a command is what it prints, `…` standing
  for any text.
- `toml` and `json` blocks must parse.

A block that starts a server, installs something or trains for hours runs with stand-ins for those
programs (see stand_ins.py); nothing is skipped.
"""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

__all__ = ["LANGUAGES", "Block", "console_steps", "read_blocks", "run_block"]

LANGUAGES = ("python", "bash", "console", "toml", "json", "text", "mermaid")
"""What a fence may say; text and mermaid are pictures made of letters."""

TIMEOUT_S = 240

FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>[\w-]*)[^\n]*\n(?P<text>.*?)^ *```$", re.MULTILINE | re.DOTALL
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A fenced block: `line` is where its text begins."""

    page: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        """`page:line`, as editors jump to it."""
        return f"{self.page}:{self.line}"


def read_blocks(page: Path) -> Iterator[Block]:
    """Yield the page's blocks from top to bottom."""
    content = page.read_text(encoding="utf-8")
    for fence in FENCE.finditer(content):
        indent = len(fence["indent"])
        yield Block(
            page=page,
            line=content.count("\n", 0, fence.start("text")) + 1,
            language=fence["language"],
            text="".join(line[indent:] for line in fence["text"].splitlines(keepends=True)),
        )


def console_steps(text: str) -> Iterator[tuple[str, str]]:
    """Yield each command with the output that the block shows below it."""
    command, shown = "", ""
    for line in text.splitlines():
        if line.startswith("$ "):
            if command:
                yield command, shown
            command, shown = line[2:], ""
        elif command.endswith("\\"):
            command += "\n" + line
        else:
            shown += line + "\n"
    if command:
        yield command, shown


def run_block(
    block: Block, *, folder: Path, environment: Mapping[str, str], namespace: dict[str, Any]
) -> None:
    """Run one block in `folder`; raise AssertionError where it does not do what the page says."""
    match block.language:
        case "python":
            # Padded with empty lines, so that a traceback names the page's own line.
            source = "\n" * (block.line - 1) + block.text
            exec(compile(source, str(block.page), "exec"), namespace)  # noqa: S102 - docs of this project
        case "bash":
            _shell(block, block.text, folder, environment)
        case "console":
            for command, shown in console_steps(block.text):
                _compare(block, shown, _shell(block, command, folder, environment))
        case "toml":
            tomllib.loads(block.text)
        case "json":
            json.loads(block.text)
        case _:
            assert block.language in LANGUAGES, f"{block}: a fence says one of {LANGUAGES}"


def _shell(block: Block, script: str, folder: Path, environment: Mapping[str, str]) -> str:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, f"{block}: exit code {done.returncode}\n{done.stdout[-3000:]}"
    return done.stdout


def _compare(block: Block, shown: str, printed: str) -> None:
    pattern = r"\s+".join(
        ".*?".join(re.escape(part) for part in word.split("…")) for word in shown.split()
    )
    flat = " ".join(printed.split())
    assert re.fullmatch(pattern, flat, re.DOTALL), (
        f"{block}: the page shows\n{shown}\nbut it prints\n{printed}"
    )
