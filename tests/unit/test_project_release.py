"""A release can be built: version, changelog, citation, classifiers and texts agree."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import brainmets

if TYPE_CHECKING:
    from types import ModuleType

REPOSITORY = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def build() -> ModuleType:
    spec = importlib.util.spec_from_file_location("build", REPOSITORY / "release" / "build.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_version_is_the_same_everywhere(build: ModuleType) -> None:
    assert build.release_version() == brainmets.__version__
    assert f"version: {brainmets.__version__}\n" in (REPOSITORY / "CITATION.cff").read_text()
    build.check_texts(brainmets.__version__)


def test_a_version_without_a_changelog_section_is_refused(build: ModuleType) -> None:
    with pytest.raises(SystemExit, match="CHANGELOG"):
        build.check_texts("9.9.9")


@pytest.mark.parametrize(
    ("name", "needed"),
    [
        ("SECURITY.md", "Never send a patient's image"),
        ("CODE_OF_CONDUCT.md", "privately"),
        ("AGENTS.md", "make check"),
        (".github/ISSUE_TEMPLATE/bug.yml", "brainmets info"),
        (".github/ISSUE_TEMPLATE/accuracy.yml", "sha256"),
        (".github/ISSUE_TEMPLATE/feature.yml", "goal"),
    ],
)
def test_the_project_s_texts_are_there(name: str, needed: str) -> None:
    assert needed in (REPOSITORY / name).read_text(encoding="utf-8")


def test_the_release_runs_the_commands_of_the_readme(build: ModuleType) -> None:
    (shell, segment), (language, call), (_, evaluate) = build.readme_blocks()
    assert (shell, language) == ("bash", "python")
    assert "brainmets segment" in segment
    assert "brainmets.segment(" in call
    assert "brainmets evaluate" in evaluate


def test_make_targets_named_for_agents_exist() -> None:
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    named = re.findall(r"^make (\S+)", (REPOSITORY / "AGENTS.md").read_text(), re.MULTILINE)
    assert len(named) >= 4
    assert all(re.search(rf"^{one}:", makefile, re.MULTILINE) for one in named)


def test_the_wheel_takes_the_recipes() -> None:
    wheel = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["force-include"] == {"recipes": "brainmets/recipes"}
    assert (REPOSITORY / "recipes" / "first-training.toml").is_file()
