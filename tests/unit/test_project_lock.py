"""The locks that `make` installs from: a hash for every file, versions as in constraints.txt."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REPOSITORY = Path(__file__).resolve().parents[2]
ENTRY = re.compile(
    r"^(?P<pin>[a-z0-9][^\\\n]*?) \\\n(?P<hashes>(?:    --hash=.*\n?)+)", re.MULTILINE
)
HASH = re.compile(r"    --hash=sha256:[0-9a-f]{64}(?: \\)?")


def entries(name: str) -> dict[str, str]:
    """Each package's requirement, markers included."""
    text = (REPOSITORY / "locks" / name).read_text(encoding="utf-8")
    found: dict[str, str] = {}
    for entry in ENTRY.finditer(text):
        assert all(HASH.fullmatch(line) for line in entry["hashes"].splitlines())
        found[canonicalize_name(Requirement(entry["pin"]).name)] = entry["pin"]
    assert ENTRY.sub("", text).strip() == "", "something in the lock has no hash"
    return found


def constraints() -> dict[str, str]:
    lines = (REPOSITORY / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [Requirement(line) for line in lines if line and line[0] != "#"]
    assert all(len(pin.specifier) == 1 and str(pin.specifier).startswith("==") for pin in pins)
    assert len({canonicalize_name(pin.name) for pin in pins}) == len(pins)
    return {canonicalize_name(pin.name): str(pin.specifier) for pin in pins}


@pytest.mark.parametrize("name", ["demo.txt", "dev.txt"])
def test_locks_hold_the_versions_of_the_constraints(name: str) -> None:
    pinned = constraints()

    for package, pin in entries(name).items():
        assert str(Requirement(pin).specifier) == pinned[package], package


def test_torch_alone_is_not_locked() -> None:
    assert set(constraints()) - set(entries("dev.txt")) == {"torch"}
    assert set(entries("demo.txt")) <= set(entries("dev.txt"))
    assert {"numpy", "openvino", "streamlit", "highdicom"} <= set(entries("demo.txt"))


def test_make_installs_from_the_locks() -> None:
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")

    for name in ("demo.txt", "dev.txt"):
        assert f"$(PIP) --no-deps --require-hashes --requirement locks/{name}" in makefile
