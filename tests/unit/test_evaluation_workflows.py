"""From folders of masks to scores, comparison and report."""

from __future__ import annotations

import csv
import json
import math
import os
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from brainmets.cli.compare import compare as compare_command
from brainmets.cli.evaluate import evaluate as evaluate_command
from brainmets.domain import RESEARCH_USE_ONLY
from brainmets.domain.errors import (
    DatasetLayout,
    FileMissing,
    OptionError,
    OutOfMemory,
    OutputExists,
)
from brainmets.io import write_mask
from brainmets.workflows.cohort import CohortOptions
from brainmets.workflows.compare import CompareOptions, compare
from brainmets.workflows.evaluate import (
    EvaluateOptions,
    evaluate,
    read_scores,
    write_scores,
)
from brainmets.workflows.pool import map_cases
from tests.unit.cohort_phantoms import GRID, write_cohort, write_model

if TYPE_CHECKING:
    from pathlib import Path

    from brainmets.evaluation.records import ScoreRun
    from brainmets.evaluation.scores import ScorerName

CASES = 8


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("cohort")
    write_cohort(root, CASES, images=True)
    write_model(root, "good", CASES, smallest_mm=0.0, shift=0, alarms=0.2)
    write_model(root, "poor", CASES, smallest_mm=3.0, shift=1, alarms=1.5)
    return root


@pytest.fixture(scope="module")
def scores(cohort: Path) -> Path:
    for name in ("good", "poor"):
        run = evaluate(cohort / "reference", cohort / name, EvaluateOptions(jobs=1))
        write_scores(run, cohort / "scores" / name)
    return cohort / "scores"


def test_scores_come_back_as_they_were_written(cohort: Path, scores: Path) -> None:
    run = evaluate(cohort / "reference", cohort / "poor", EvaluateOptions(jobs=1))
    back = read_scores(scores / "poor")
    assert str(back.cases) == str(run.cases)
    assert back.settings == run.settings


def test_files_hold_every_case_lesion_and_the_summary(scores: Path) -> None:
    document = json.loads((scores / "good" / "scores.json").read_text())
    assert document["notice"] == RESEARCH_USE_ONLY
    summary = document["summary"]["lesion"]
    assert summary["patients"] == CASES
    assert summary["means"]["dice"]["value"] > 0.9
    assert [one["name"] for one in summary["by_diameter"]][:2] == ["all", "<3 mm"]
    assert summary["froc"]["score"] > 0.5
    with (scores / "good" / "scores.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == CASES + 1
    assert rows[-1]["case_id"] == "mean"
    with (scores / "good" / "lesions.csv").open() as file:
        lesions = list(csv.DictReader(file))
    assert sum(row["outcome"] != "false positive" for row in lesions) == 4 * CASES
    assert all(0.8 <= float(row["confidence"]) <= 1 for row in lesions if row["outcome"] == "found")


def test_processes_give_what_one_process_gives(cohort: Path) -> None:
    seen: list[float] = []

    def note(stage: str, done: float, /) -> None:
        assert stage == "score"
        seen.append(done)

    many = evaluate(cohort / "reference", cohort / "poor", EvaluateOptions(jobs=2), note)
    one = evaluate(cohort / "reference", cohort / "poor", EvaluateOptions(jobs=1))
    assert str(many.cases) == str(one.cases)
    assert seen == pytest.approx([n / CASES for n in range(1, CASES + 1)])


def test_what_does_not_pair_is_reported_or_scored_as_empty(cohort: Path, tmp_path: Path) -> None:
    write_model(tmp_path, "some", 2, smallest_mm=0.0, shift=0, alarms=0.0)
    run = evaluate(cohort / "reference", tmp_path / "some", EvaluateOptions(jobs=1))
    assert len(run.cases) == 2
    assert len(run.unpaired_reference) == CASES - 2
    options = EvaluateOptions(jobs=1, missing="as-empty")
    harsh = evaluate(cohort / "reference", tmp_path / "some", options)
    assert len(harsh.cases) == CASES
    assert sum(case.regions[0].values["dice"] == 0.0 for case in harsh.cases) == CASES - 2


@pytest.mark.parametrize("scorer", ["brainmets", "brats-2024"])
def test_parts_and_resumed_runs_score_as_one_run_does(
    cohort: Path, tmp_path: Path, scorer: ScorerName
) -> None:
    options = EvaluateOptions(scorer=scorer, regions="binary", jobs=1)

    def scored(out: Path, **which: Any) -> ScoreRun:
        return evaluate(
            cohort / "reference", cohort / "poor", options,
            record=out, cohort=CohortOptions(**which),
        )  # fmt: skip

    whole = evaluate(cohort / "reference", cohort / "poor", options)
    assert scored(tmp_path, part=(1, 2)).unfinished
    parts = scored(tmp_path, part=(2, 2))
    resumed = scored(tmp_path, resume=True)
    assert not parts.unfinished
    # a NaN differs from itself, its text does not
    assert repr(parts) == repr(resumed) == repr(whole)


def test_a_broken_case_does_not_stop_the_others(cohort: Path, tmp_path: Path) -> None:
    write_model(tmp_path, "model", 3, smallest_mm=0.0, shift=0, alarms=0.0)
    broken = tmp_path / "model" / "P001-0" / "mask.nii.gz"
    broken.write_bytes(broken.read_bytes()[:40])
    run = evaluate(cohort / "reference", tmp_path / "model", EvaluateOptions(jobs=1))
    assert len(run.cases) == 2
    assert run.failed["P001-0"].startswith("E_")
    assert str(tmp_path) not in run.failed["P001-0"]


def test_nothing_to_pair_is_an_error(cohort: Path, tmp_path: Path) -> None:
    folder = tmp_path / "x"
    folder.mkdir()
    from brainmets.domain import Mask

    write_mask(Mask(data=np.zeros(GRID.shape, np.uint8), geometry=GRID), folder / "else.nii.gz")
    with pytest.raises(DatasetLayout, match="no case of reference"):
        evaluate(cohort / "reference", folder)
    with pytest.raises(OptionError, match="scorer"):
        EvaluateOptions(scorer="dice")  # type: ignore[arg-type]
    with pytest.raises(FileMissing):
        read_scores(folder)
    (folder / "scores.json").write_text("{}")
    (folder / "lesions.csv").write_text("")
    with pytest.raises(DatasetLayout):
        read_scores(folder)


@pytest.mark.parametrize("scorer", ["brats-2023", "brats-2024", "brats-2026"])
def test_official_scorers_score_binary_masks_too(cohort: Path, scorer: str, tmp_path: Path) -> None:
    options = EvaluateOptions(scorer=scorer, regions="binary", jobs=1)  # type: ignore[arg-type]
    run = evaluate(cohort / "reference", cohort / "good", options)
    write_scores(run, tmp_path / "out")
    assert {region.region for case in run.cases for region in case.regions} == {"lesion"}
    assert str(read_scores(tmp_path / "out").cases) == str(run.cases)


def test_comparison_finds_the_difference_and_prints_it(
    cohort: Path, scores: Path, tmp_path: Path
) -> None:
    options = CompareOptions(images=cohort / "images")
    found, files = compare((scores / "poor", scores / "good"), tmp_path / "out", options)
    (pair,) = found.pairs
    rows = {row.figure: row for row in pair.rows}
    assert rows["dice"].test.difference.low > 0
    assert rows["dice"].p_holm < 0.1
    sizes = {row.stratum: row for row in pair.by_size}
    assert sizes["<3 mm"].found_a == 0
    assert sizes["<3 mm"].only_b == sizes["<3 mm"].lesions
    assert sum(row.lesions for row in pair.by_shape) == 4 * CASES
    assert "good" in found.conclusions[0]
    assert {path.name for path in files} == {
        "comparison.json",
        "comparison.html",
        "comparison.pdf",
    }
    page = (tmp_path / "out" / "comparison.html").read_text()
    assert page.count("<svg") == 5  # FROC, sizes, Bland–Altman, patients, worst cases
    assert RESEARCH_USE_ONLY in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page
    assert (tmp_path / "out" / "comparison.pdf").read_bytes().startswith(b"%PDF")
    document = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert document["pairs"][0]["rows"][0]["figure"] == "dice"


def test_equal_models_show_no_difference(scores: Path, tmp_path: Path) -> None:
    found, _ = compare((scores / "good", scores / "good"), tmp_path / "out")
    assert [model.name for model in found.models] == ["good (1)", "good (2)"]
    assert "no difference shown" in found.conclusions[0]
    assert all(
        row.test.difference.value == 0 or math.isnan(row.test.difference.value)
        for row in found.pairs[0].rows
    )


def test_names_in_a_report_cannot_break_it(scores: Path, tmp_path: Path) -> None:
    options = CompareOptions(names=("<script>#alert()$", 'b "quote" *'))
    compare((scores / "poor", scores / "good"), tmp_path / "out", options)
    page = (tmp_path / "out" / "comparison.html").read_text()
    assert "<script>" not in page


def test_models_that_cannot_be_compared(cohort: Path, scores: Path, tmp_path: Path) -> None:
    other = evaluate(
        cohort / "reference",
        cohort / "good",
        EvaluateOptions(scorer="brats-2023", regions="binary", jobs=1),
    )
    write_scores(other, tmp_path / "official")
    with pytest.raises(OptionError, match="one scorer"):
        compare((scores / "good", tmp_path / "official"), tmp_path / "out")
    with pytest.raises(OptionError, match="region"):
        compare((scores / "good", scores / "poor"), tmp_path / "out", CompareOptions(region="et"))
    with pytest.raises(OptionError, match="one name a model"):
        compare((scores / "good", scores / "poor"), tmp_path / "out", CompareOptions(names=("x",)))
    swapped = evaluate(cohort / "poor", cohort / "good", EvaluateOptions(jobs=1))
    write_scores(swapped, tmp_path / "swapped")
    with pytest.raises(OptionError, match="different references"):
        compare((scores / "good", tmp_path / "swapped"), tmp_path / "out")
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputExists):
        compare((scores / "good", scores / "poor"), tmp_path / "file")


@pytest.fixture
def commands() -> typer.Typer:
    app = typer.Typer()
    app.command()(evaluate_command)
    app.command()(compare_command)
    return app


def test_commands(cohort: Path, tmp_path: Path, commands: typer.Typer) -> None:
    runner = CliRunner()
    common = ["--reference", str(cohort / "reference")]
    out = ["--out", str(tmp_path / "s")]
    done = runner.invoke(
        commands, ["evaluate", *common, "--prediction", str(cohort / "good"), *out, "--jobs", "1"]
    )
    assert done.exit_code == 0, done.output
    assert "scores.json" in done.output
    assert RESEARCH_USE_ONLY in " ".join(done.output.split())
    machine = runner.invoke(
        commands,
        ["evaluate", *common, "--prediction", str(cohort / "good"), *out, "--jobs", "1", "--json"],
    )
    assert json.loads(machine.stdout)["summary"]["lesion"]["cases"] == CASES
    both = [str(cohort / "poor"), str(cohort / "good")]
    compared = runner.invoke(
        commands,
        ["compare", *both, *common, "--out", str(tmp_path / "c"), "--names", "A,B", "--jobs", "1"],
    )
    assert compared.exit_code == 0, compared.output
    assert "B minus A" in compared.output


def die(_task: int) -> int:
    os._exit(9)


def test_a_killed_process_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(OutOfMemory, match="jobs 1"):
        list(map_cases(die, [1, 2, 3, 4], 2))


def test_results_come_in_order_and_stop_with_the_listener() -> None:
    assert list(map_cases(abs, [-1, -2, -3, -4, -5], 2)) == [1, 2, 3, 4, 5]
    few = map_cases(abs, [-1, -2], 2)
    assert next(few) == 1
