"""What scripts ask of the command line: facts as JSON, exit codes, lines in a log, completion."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from brainmets.cli import progress
from brainmets.cli import run as running
from brainmets.cli.compare import compare
from brainmets.cli.helptext import help_of
from brainmets.domain.errors import EngineMissing
from brainmets.inference import Bundle, list_bundles
from brainmets.workflows.installation import describe_installation

REPOSITORY = Path(__file__).resolve().parents[2]
SCRIPT = str(Path(sys.executable).parent / "brainmets")


@pytest.fixture(scope="module")
def told() -> dict[str, Any]:
    done = subprocess.run([SCRIPT, "info", "--json"], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def test_info_names_what_is_installed(told: dict[str, Any]) -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {one["name"]: one["sha256"] for one in told["models"]} == {
        name: Bundle.load(name).sha256 for name in list_bundles()
    }
    assert told["engines"]["openvino"]
    assert set(told["extras"]) <= set(project["optional-dependencies"])
    assert told["extras"]["train"] == {"installed": True, "missing": []}
    assert told["machine"]["processors"] >= 1
    assert "Research use only" in told["notice"]


def test_every_figure_is_in_the_model_s_card_and_says_its_tumour(told: dict[str, Any]) -> None:
    for model in told["models"]:
        card = Bundle.load(model["name"]).card.replace("**", "")
        assert model["measured"], model["name"]
        assert model["tested_on"], model["name"]
        for one in model["measured"]:
            low, high = one["interval_95"]
            assert 0 < low <= one["dice"] <= high < 1
            assert one["text"] in card
    by_name = {model["name"]: model["tested_on"] for model in told["models"]}
    assert by_name["attention-unet-3d"] == ["glioma"]


def test_info_reads_well(capsys: pytest.CaptureFixture[str]) -> None:
    from brainmets.cli.doctor import info

    info(as_json=False)
    text = capsys.readouterr().out
    assert re.search(r"model attention-unet-3d +3-D, sha256 [0-9a-f]{12}", text)
    assert re.search(r"  (Found 0\.\d\d of \d+ |Not measured on metastases of patients)", text)
    assert max(map(len, text.splitlines())) < 160


def test_a_broken_model_is_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "manifest.json").write_text("{}", encoding="utf-8")
    monkeypatch.setenv("BRAINMETS_MODELS", str(tmp_path))
    models = {one["name"]: one for one in describe_installation()["models"]}
    assert models["broken"]["error"].startswith("E_BUNDLE")


def test_exit_codes_are_documented() -> None:
    page = (REPOSITORY / "docs" / "reference" / "exit-codes.md").read_text(encoding="utf-8")
    codes = {int(code) for code in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)}
    constants = {v for name, v in vars(running).items() if name.startswith("EXIT_")}
    assert codes == {0, *constants}


def test_completion_answers() -> None:
    environment = {
        **os.environ,
        "_BRAINMETS_COMPLETE": "complete_bash",
        "COMP_WORDS": "brainmets seg",
        "COMP_CWORD": "1",
    }
    done = subprocess.run(
        [SCRIPT], env=environment, check=False, capture_output=True, text=True, timeout=60
    )
    assert "segment" in done.stdout.split()


def test_lasting_work_writes_a_line_a_minute(capsys: pytest.CaptureFixture[str]) -> None:
    now = 0.0
    update = progress._lines("mine", lambda: now)  # pyright: ignore[reportPrivateUsage]
    for step in range(300):
        now = 2.0 * step
        update("train", step / 600)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 9
    assert lines[0] == "mine  train 5 %, 1 min so far, about 19 min left"
    assert lines[-1] == "mine  train 45 %, 9 min so far, about 11 min left"


def test_progress_without_a_terminal_is_lines_for_lasting_work_alone() -> None:
    with progress.shown("short") as quiet, progress.shown("long", lasting=True) as told:
        assert quiet is not told
    with progress.shown("long", lasting=True, hidden=True) as hidden:
        assert hidden is quiet


@pytest.mark.parametrize("package", ["matplotlib", "typst"])
def test_compare_looks_for_its_extra_before_it_computes(
    package: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(EngineMissing, match=rf"{package}.*brainmets\[report\]"):
        compare([tmp_path / "no-such-model"], out=tmp_path / "out")


def test_evaluate_s_examples_keep_their_lines() -> None:
    from brainmets.cli.evaluate import evaluate

    text = help_of(evaluate)
    assert "\b\nExamples:\n  brainmets evaluate --reference expert" in text
