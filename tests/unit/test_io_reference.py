"""The reference pages on errors and inputs say what the code does."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields

import pytest

from brainmets import io
from brainmets.domain.errors import all_errors
from brainmets.io import Limits, limits_table
from tests.unit.io_reference import FOLDER, PAGES

HEAVY = ("nibabel", "pydicom", "PIL", "scipy", "skimage", "tifffile", "torch")


@pytest.mark.parametrize("name", PAGES)
def test_pages_are_up_to_date(name: str) -> None:
    assert (FOLDER / name).read_text(encoding="utf-8") == PAGES[name](), (
        "run python -m tests.unit.io_reference"
    )


def test_every_code_and_every_limit_is_on_a_page() -> None:
    page = PAGES["errors.md"]()
    ours = {code for code, kind in all_errors().items() if kind.__module__.startswith("brainmets")}
    assert {code for code in ours if f"| `{code}` |" in page} == ours - {"E_BRAINMETS"}
    assert all(f"`{one.name}`" in limits_table() for one in fields(Limits))


def test_importing_the_readers_imports_no_heavy_library() -> None:
    program = f"import sys, brainmets.io; print([m for m in {HEAVY} if m in sys.modules])"
    answer = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "[]"


def test_every_exported_name_exists_and_is_described() -> None:
    for name in io.__all__:
        assert getattr(io, name) is not None
    assert sorted(io.__all__) == sorted(set(io.__all__))
