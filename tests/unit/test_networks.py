"""Two networks against each other: several trainings, strata, and conclusions on two claims."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from brainmets.domain.errors import OptionError
from brainmets.evaluation.claims import CLAIMS, decide_claims
from brainmets.evaluation.networks import compare_networks
from brainmets.evaluation.records import ScoreRun
from brainmets.evaluation.scores import CaseScore, LesionScore, RegionScore
from brainmets.reporting.networks_report import networks_markdown
from brainmets.workflows.compare_bundles import (
    BundleData,
    are_bundles,
    compare_bundles,
    compare_scores,
    networks_document,
)
from brainmets.workflows.evaluate import write_scores
from tests.bundles import random_bundle

if TYPE_CHECKING:
    from pathlib import Path

    from brainmets.inference import Bundle

PATIENTS = 24


def made_run(
    *, small: float = 0.6, large: float = 0.8, jagged: float = 0.0, alarms: int = 1, seed: int = 0
) -> ScoreRun:
    """Score 24 made-up patients: a lesion below 5 mm and two larger ones, round and jagged."""
    rng = np.random.default_rng(seed)
    lesions = np.random.default_rng(99)  # the same lesions for every network
    cases: list[CaseScore] = []
    for number in range(PATIENTS):
        rows: list[LesionScore] = []
        for index, (size, round_) in enumerate(((4.0, 0.8), (14.0, 0.95), (16.0, 0.5)), start=1):
            diameter = size + float(lesions.uniform(-0.5, 0.5))
            shape = round_ + float(lesions.uniform(-0.04, 0.04))
            level = small if size < 5 else large + (jagged if round_ < 0.6 else 0.0)
            dice = float(np.clip(level + rng.normal(0, 0.03), 0, 1))
            rows.append(made_lesion(index, diameter, shape, dice))
        rows += [made_lesion(0, 4.0, 0.8, 0.0)] * alarms
        region = RegionScore(
            region="lesion",
            values={"dice": float(np.mean([row.dice for row in rows[:3]]))},
            lesions=tuple(rows),
        )
        name = f"p{number:02}"
        cases.append(CaseScore(case_id=name, patient=name, scorer="brainmets", regions=(region,)))
    return ScoreRun(scorer="brainmets", settings={}, cases=tuple(cases), failed={})


def made_lesion(number: int, diameter: float, shape: float, dice: float) -> LesionScore:
    outcome = "false positive" if number == 0 else "found" if dice > 0 else "missed"
    return LesionScore(
        outcome=outcome, reference_id=number, prediction_ids=(1,), voxels=40 * max(number, 1),
        volume_mm3=40.0, predicted_volume_mm3=40.0, dice=dice, nsd=dice, hd95_mm=1.0,
        diameter_mm=diameter, equivalent_mm=diameter * 0.8, sphericity=shape, solidity=shape,
        confidence=0.9,
    )  # fmt: skip


def duel(attention: list[ScoreRun], nested: list[ScoreRun]) -> dict[str, str]:
    found = compare_networks(
        ("attention-unet", [(f"a{n}", run) for n, run in enumerate(attention)]),
        ("unet-plus-plus", [(f"u{n}", run) for n, run in enumerate(nested)]),
    )
    return {claim.claim: claim.verdict for claim in decide_claims(found)}


def seeds(**made: float) -> list[ScoreRun]:
    return [made_run(seed=n, **made) for n in range(3)]  # type: ignore[arg-type]


def test_a_real_advantage_is_confirmed_and_its_absence_refuted() -> None:
    conclusions = duel(seeds(small=0.75), seeds(small=0.55))
    assert conclusions == {CLAIMS[0]: "confirmed", CLAIMS[1]: "refuted"}
    conclusions = duel(seeds(small=0.55), seeds(small=0.75, jagged=0.1))
    assert conclusions == {CLAIMS[0]: "refuted", CLAIMS[1]: "confirmed"}


def test_an_advantage_paid_for_with_false_alarms_is_not_confirmed() -> None:
    conclusions = duel(seeds(small=0.75, alarms=3), seeds(small=0.55, alarms=1))
    assert conclusions[CLAIMS[0]] == "undecided"


def test_trainings_that_disagree_leave_it_undecided() -> None:
    wide = [made_run(small=level, seed=n) for n, level in enumerate((0.3, 0.6, 0.9))]
    assert duel(wide, seeds(small=0.55))[CLAIMS[0]] == "undecided"
    # the same mean without the spread over trainings decides
    assert duel(seeds(small=0.6), seeds(small=0.55))[CLAIMS[0]] == "confirmed"


def test_too_few_lesions_give_no_verdict() -> None:
    few = [replace(run, cases=run.cases[:5]) for run in seeds()]
    assert set(duel(few, few).values()) == {"undecided"}


def test_two_blocks_of_slices_give_no_verdict() -> None:
    blocks = [
        replace(
            run,
            cases=tuple(
                replace(case, patient=f"block-{n % 2}") for n, case in enumerate(run.cases)
            ),
        )
        for run in [*seeds(small=0.8), *seeds()]
    ]
    found = compare_networks(
        ("attention-unet", [(str(n), run) for n, run in enumerate(blocks[:3])]),
        ("unet-plus-plus", [(str(n), run) for n, run in enumerate(blocks[3:])]),
    )
    claim = decide_claims(found)[0]
    assert claim.verdict == "undecided"
    assert "2 patients or blocks, not 5" in claim.because
    assert claim.advantage["<5 mm"].value > 0.15


def test_other_networks_get_no_verdict() -> None:
    found = compare_networks(("with CLAHE", [("a", made_run())]), ("without", [("b", made_run())]))
    assert decide_claims(found) == ()
    assert all(row.difference.value == 0 for row in found.rows if not np.isnan(row.a.value))


def test_strata_hold_every_lesion_once_and_swap_with_the_networks() -> None:
    a, b = ("attention-unet", [("a", made_run(seed=1))]), ("unet-plus-plus", [("b", made_run())])
    found, turned = compare_networks(a, b), compare_networks(b, a)
    for by in ("size", "size third", "sphericity", "solidity"):
        rows = [r for r in found.rows if r.by == by and r.figure == "lesion dice"]
        assert sum(row.lesions for row in rows) == 3 * PATIENTS, by
        alarms = [r for r in found.rows if r.by == by and r.figure == "false positives per scan"]
        assert sum(row.a.value for row in alarms) == pytest.approx(1.0)
    for one, other in zip(found.rows, turned.rows, strict=True):
        assert one.difference.value == pytest.approx(-other.difference.value, nan_ok=True)
        if one.lesions:
            assert one.difference.low <= one.difference.value <= one.difference.high
    every = found.row("all", "all", "lesion dice")
    assert every is not None
    dice = [row.dice for c in made_run(seed=1).cases for row in c.regions[0].lesions[:3]]
    assert every.a.value == pytest.approx(np.mean(dice))


def test_references_that_differ_are_refused() -> None:
    run = made_run()
    other = replace(run, cases=tuple(_grown(case) for case in run.cases))
    with pytest.raises(OptionError, match="different references"):
        compare_networks(("a", [("a", run)]), ("b", [("b", other)]))
    strangers = tuple(replace(case, case_id=f"x{case.case_id}") for case in run.cases)
    with pytest.raises(OptionError, match="no case"):
        compare_networks(("a", [("a", run)]), ("b", [("b", replace(run, cases=strangers))]))


def _grown(case: CaseScore) -> CaseScore:
    region = case.regions[0]
    rows = tuple(replace(row, voxels=row.voxels + 1) for row in region.lesions)
    return replace(case, regions=(replace(region, lesions=rows),))


def test_the_report_says_the_verdict_first_and_the_rule() -> None:
    found = compare_networks(
        ("attention-unet", [(f"a{n}", run) for n, run in enumerate(seeds(small=0.8))]),
        ("unet-plus-plus", [(f"b{n}", run) for n, run in enumerate(seeds())]),
    )
    text = networks_markdown(networks_document(found) | {"notes": ["a note"], "data": "made up"})
    assert text.index("CONFIRMED") < text.index("Figure: Dice of each reference lesion")
    assert "a note" in text
    assert "| <5 mm |" not in text  # a stratum of the rule, not a division of its own
    assert "least spherical third" in text


def test_folders_of_scores_are_compared_by_network(tmp_path: Path) -> None:
    for name, run in (("a", made_run(small=0.8)), ("b", made_run())):
        write_scores(run, tmp_path / name)
    folders = (tmp_path / "a", tmp_path / "b")
    document = compare_scores(folders, ("attention-unet", "unet-plus-plus"), tmp_path / "out")
    assert document["claims"][0]["verdict"] == "undecided"
    assert (
        "1 training of a network, not 3; these weights alone: confirmed"
        in (document["claims"][0]["because"])
    )
    assert json.loads((tmp_path / "out" / "comparison.json").read_text("utf-8")) == document
    assert (tmp_path / "out" / "strata.csv").read_text("utf-8").count("\n") == (
        len(document["rows"]) + 1
    )
    with pytest.raises(OptionError, match="1 networks for 2 folders"):
        compare_scores(folders, ("attention-unet",), tmp_path / "out")
    with pytest.raises(OptionError, match="3 networks"):
        compare_scores((*folders, folders[0]), ("x", "y", "z"), tmp_path / "out")


@pytest.fixture(scope="module")
def slices(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with twelve slices in four blocks, laid out as `t1c-slices`."""
    from PIL import Image

    root = tmp_path_factory.mktemp("data") / "t1c-slices"
    (root / "images").mkdir(parents=True)
    (root / "masks").mkdir()
    rng = np.random.default_rng(0)
    lines = ["slice,tumour,block"]
    for number in range(12):
        yy, xx = np.mgrid[:64, :64]
        head = np.hypot(yy - 32, xx - 32) < 28
        lesion = np.hypot(yy - 20 - number, xx - 30) < 3 + number % 3 * 2
        image = head * 90 + lesion * 120 + rng.normal(0, 4, (64, 64))
        name = f"{number:04}.png"
        Image.fromarray(np.clip(image, 0, 255).astype(np.uint8)).save(root / "images" / name)
        Image.fromarray((lesion * 255).astype(np.uint8)).save(root / "masks" / name)
        lines.append(f"{number:04},glioma,{number // 3}")
    (root / "slices.csv").write_text("\n".join(lines) + "\n")
    return root.parent


def slice_bundle(root: Path, network: str, seed: int, blocks: tuple[int, ...]) -> Bundle:
    from brainmets.inference import write_bundle
    from brainmets.preprocessing import Plan

    plan = Plan(dims=2, spacing_mm=0.98, canvas=64)
    made = random_bundle(root, name=network, dims=2, plan=plan, seed=seed)  # type: ignore[arg-type]
    sources = [
        {"kind": "slices", "root": "t1c-slices", "test_blocks": [*blocks], "validation_blocks": [0]}
    ]
    return write_bundle(
        root,
        name=root.name,
        onnx=made.onnx_path.read_bytes(),
        plan=plan,
        architecture=made.architecture,
        operating_point=made.operating_point,
        card="",
        extra={"recipe": {"sources": sources, "name": root.name}, "steps": 3},
    )


def test_bundles_are_compared_on_what_they_all_hold_out(slices: Path, tmp_path: Path) -> None:
    bundles = [
        slice_bundle(tmp_path / name, network, seed, (1, 2))
        for seed, (name, network) in enumerate(
            (("u0", "unet-plus-plus"), ("a0", "attention-unet"), ("a1", "attention-unet"))
        )
    ]
    assert are_bundles([bundle.root for bundle in bundles])
    document = compare_bundles(bundles, tmp_path / "out", BundleData(held_out=slices))
    assert (document["a"], document["b"]) == ("attention-unet", "unet-plus-plus")
    assert document["seeds"]["attention-unet"] == ["a0", "a1"]
    assert (document["cases"], document["patients"]) == (6, 2)
    assert document["size"] == "equivalent_mm"
    assert document["notes"] == []
    sizes = {
        row["stratum"]: row["lesions"]
        for row in document["rows"]
        if row["by"] == "size" and row["figure"] == "sensitivity"
    }
    # discs of radius 3, 5 and 7 pixels of 0.98 mm: diameters of 5.9, 9.8 and 13.7 mm
    assert sizes == {"<3 mm": 0, "3–5 mm": 0, "5–10 mm": 4, "≥10 mm": 2}
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"comparison.md", "comparison.json", "comparison.png", "strata.csv", "scores"} <= names
    other = slice_bundle(tmp_path / "other", "attention-unet", 5, (1, 3))
    with pytest.raises(OptionError, match="holds out other cases"):
        compare_bundles([bundles[0], other], tmp_path / "no", BundleData(held_out=slices))
    with pytest.raises(OptionError, match="no data"):
        compare_bundles(bundles, tmp_path / "no", BundleData())


def test_any_data_set_with_masks_will_do(slices: Path, tmp_path: Path) -> None:
    bundles = [
        slice_bundle(tmp_path / "one", "attention-unet", 0, (1,)),
        slice_bundle(tmp_path / "two", "attention-unet", 1, (2,)),
    ]
    data = BundleData(data=slices / "t1c-slices", only=("block-3", "block-1"))
    document = compare_bundles(bundles, tmp_path / "out", data)
    assert (document["a"], document["b"], document["cases"]) == ("one", "two", 6)
    assert document["claims"] == []
    assert document["notes"] == ["Recipes differ in sources: not the same budget."]
