"""Write the reference pages on errors and on inputs: `python -m tests.unit.io_reference`.

Both follow from the code; `test_io_reference.py` holds the written pages to what this makes.
"""

from __future__ import annotations

from pathlib import Path

from brainmets.domain.errors import BrainmetsError
from brainmets.io import limits_table

__all__ = ["PAGES", "write"]

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "reference"
MADE = "<!-- Made by `python -m tests.unit.io_reference` from the code: change it there. -->\n"

ERRORS_INTRODUCTION = """\
Every refusal is one line, `E_CODE: what was found; expected …; what to do`, on the command line
(exit code 2) and in the service's answers. A code never changes its meaning. No message holds
patient data: file base names at most, no header field. `E_INTERNAL` (exit code 1) is a bug:
please report it. `E_BRAINMETS`, the code of the common ancestor `BrainmetsError`, is
never raised.
"""

LIMITS_HEADING = "## Limits\n"


def errors_page() -> str:
    """The page on every code, in the order of the exception tree."""
    parts = ["# Error codes\n", MADE, ERRORS_INTRODUCTION]
    for branch in _below(BrainmetsError):
        parts.append(f"## {branch.__name__}\n\n{_first_line(branch)}\n")
        rows = [
            f"| `{kind.code}` | `{kind.__name__}` | {_first_line(kind)} |" for kind in _all(branch)
        ]
        parts.append("| Code | Class | Meaning |\n|---|---|---|\n" + "\n".join(rows) + "\n")
    return "\n".join(parts)


def inputs_page() -> str:
    """The page on inputs: its prose unchanged, its limits as set in the code."""
    prose, _, limits = (FOLDER / "inputs.md").read_text(encoding="utf-8").partition(LIMITS_HEADING)
    introduction = limits.partition("| Limit")[0]
    return f"{prose}{LIMITS_HEADING}{introduction}{limits_table()}\n"


def conformance() -> str:
    """The page on every feature, by reading an input of each."""
    from tests.unit.io_features import conformance_page

    return conformance_page(MADE)


PAGES = {"errors.md": errors_page, "inputs.md": inputs_page, "conformance.md": conformance}


def write() -> None:
    """Write the pages into docs/reference."""
    FOLDER.mkdir(exist_ok=True)
    for name, make in PAGES.items():
        (FOLDER / name).write_text(make(), encoding="utf-8")


def _all(branch: type[BrainmetsError]) -> list[type[BrainmetsError]]:
    return [branch, *(kind for child in _below(branch) for kind in _all(child))]


def _below(kind: type[BrainmetsError]) -> list[type[BrainmetsError]]:
    """The classes drawn below this one: those of the one tree, whatever else is imported."""
    return [child for child in kind.__subclasses__() if child.__module__ == kind.__module__]


def _first_line(kind: type[BrainmetsError]) -> str:
    return (kind.__doc__ or "").strip().splitlines()[0]


if __name__ == "__main__":
    write()
