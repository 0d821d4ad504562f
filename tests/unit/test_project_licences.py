"""Every package that an install brings has a licence on this list: nothing under the GPL."""

from __future__ import annotations

import re
import tomllib
from email.message import Message
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REPOSITORY = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]

PERMISSIVE = {
    "0BSD", "Apache", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "BSD", "BSD-2-Clause",
    "BSD-3-Clause", "BSL-1.0", "CC0-1.0", "CNRI-Python", "HPND", "ISC", "MIT", "MIT-CMU", "PSF",
    "PSF-2.0", "Unlicense", "Zlib",
}  # fmt: skip
"""To be used, changed and handed on in a product under Apache-2.0."""

BY_FILE = {"MPL-2.0"}
"""Copyleft of single files: changed files of the package stay open; we change none."""

OF_FONTS = {"OFL-1.1"}
"""SIL Open Font License: fonts stay under it; documents and programs that use them do not."""

LIBRARIES = {
    "connected-components-3d": "LGPL-3.0",
    "psycopg": "LGPL-3.0",
    "psycopg-binary": "LGPL-3.0",
    "psycopg-pool": "LGPL-3.0",
}
"""Copyleft of the library alone: imported unchanged, and the user can replace it."""

IN_FILES_ALONE = {"axe-playwright-python": {"MIT", "MPL-2.0"}}
"""Read by us where the metadata says nothing: its licence file, and the head of its axe.min.js."""

SPELLED = (
    (r"apache (software )?license.*2|apache[- ]2(\.0)?|apache software license", "Apache-2.0"),
    (r"3-clause bsd|bsd[- ]3-clause|new bsd", "BSD-3-Clause"),
    (r"bsd[- ]2-clause", "BSD-2-Clause"),
    (r"\bbsd\b", "BSD"),
    (r"\blgpl|lesser general public", "LGPL-3.0"),
    (r"\bgpl|general public", "GPL"),
    (r"mozilla public license 2|mpl-?2", "MPL-2.0"),
    (r"python software foundation", "PSF"),
    (r"\bisc\b", "ISC"),
    (r"unlicense", "Unlicense"),
    (r"historical permission notice", "HPND"),
    (r"\bmit\b", "MIT"),
)
"""How authors write a licence where their package has no SPDX expression."""


def _closure(lines: list[str]) -> set[str]:
    """The names of everything that `pip install` brings for these requirements, here."""
    seen: set[tuple[str, str]] = set()
    todo = [
        (Requirement(line), extra) for line in lines for extra in ("", *Requirement(line).extras)
    ]
    names: set[str] = set()
    while todo:
        requirement, extra = todo.pop()
        name = canonicalize_name(requirement.name)
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        names.add(name)
        for line in metadata.distribution(name).requires or []:
            wanted = Requirement(line)
            if wanted.marker is None or wanted.marker.evaluate({"extra": extra}):
                todo += [(wanted, each) for each in ("", *wanted.extras)]
    return names


def _licences(about: Message) -> set[str]:
    """Every licence that applies; one of those to choose from is enough."""
    if expression := about.get("License-Expression"):
        parts = [part.strip(" ()") for part in re.split(r"\bAND\b", expression)]
        choices = [[one.strip(" ()") for one in part.split(" OR ")] for part in parts]
        return {next((one for one in some if _listed(one)), some[0]) for some in choices}
    told = [
        line.rpartition("::")[2].strip()
        for line in about.get_all("Classifier") or []
        if line.startswith("License ::") and not line.endswith("OSI Approved")
    ]
    texts = told or [next(iter((about.get("License") or "").strip().splitlines()), "nothing")]
    return {
        next((name for pattern, name in SPELLED if re.search(pattern, text.casefold())), text)
        for text in texts
    }


def _listed(licence: str) -> bool:
    return licence in PERMISSIVE | BY_FILE | OF_FONTS


def _refused(names: set[str]) -> dict[str, set[str]]:
    found = {name: _licences(metadata.metadata(name)) for name in names}
    for name in [name for name, licences in found.items() if licences == {"nothing"}]:
        found[name] = IN_FILES_ALONE.get(name, {"nothing"})
    return {
        name: licences
        for name, licences in found.items()
        if not all(_listed(one) for one in licences)
        and not all(one.startswith(LIBRARIES.get(name, "no library")) for one in licences)
    }


def test_the_base_install_has_no_gpl() -> None:
    names = _closure(PROJECT["dependencies"])
    assert len(names) > 15
    assert {"numpy", "pydicom", "openvino", "imagecodecs"} <= names
    assert _refused(names) == {}


@pytest.mark.parametrize("extra", EXTRAS)
def test_an_extra_has_no_gpl(extra: str) -> None:
    assert _refused(_closure(EXTRAS[extra])) == {}


def test_what_developers_install_has_no_gpl() -> None:
    lines = (REPOSITORY / "requirements-dev.txt").read_text(encoding="utf-8").splitlines()
    assert _refused(_closure([line for line in lines if line[:1].isalpha()])) == {}


@pytest.mark.parametrize(
    ("field", "text", "found"),
    [
        ("License-Expression", "GPL-3.0-only", {"GPL-3.0-only"}),
        ("License-Expression", "MIT OR GPL-3.0-only", {"MIT"}),
        ("License-Expression", "(MIT AND AGPL-3.0-only)", {"MIT", "AGPL-3.0-only"}),
        ("License", "GPL V3.0", {"GPL"}),
        ("License", "", {"nothing"}),
        ("Classifier", "License :: OSI Approved :: GNU General Public License v3 (GPLv3)", {"GPL"}),
        ("Classifier", "License :: Other/Proprietary License", {"Other/Proprietary License"}),
        ("Classifier", "License :: OSI Approved :: MIT License", {"MIT"}),
    ],
)
def test_a_licence_is_read_from_where_the_package_states_it(
    field: str, text: str, found: set[str]
) -> None:
    about = Message()
    about[field] = text
    assert _licences(about) == found


def test_a_library_exception_is_for_that_package_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    about = Message()
    about["License"] = "LGPL-3.0-or-later"
    monkeypatch.setattr(metadata, "metadata", lambda _: about)
    assert set(_refused({"psycopg", "another"})) == {"another"}
