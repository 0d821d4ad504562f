"""From a folder as a public collection is handed out to a network, by the published recipes."""

from __future__ import annotations

import json
import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

torch = pytest.importorskip("torch")

from brainmets.domain.errors import (  # noqa: E402
    DatasetLayout,
    OptionError,
    OutOfMemory,
    RecipeError,
)
from brainmets.inference import Bundle  # noqa: E402
from brainmets.training.config import Recipe  # noqa: E402
from brainmets.workflows.training import Order, cross_validate, train_one  # noqa: E402
from tests.unit import head_cohorts  # noqa: E402
from tests.unit.training_phantoms import write_recipe, write_slices  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

RECIPES = Path(__file__).parents[2] / "recipes"

VOLUMES = (
    "network.widths=[4, 8]",
    f"plan.spacing_mm={head_cohorts.SPACING_MM}",
    "optimiser.patch=[16, 16, 16]",
)
SLICES = ("network.widths=[4, 8]", "plan.canvas=32", "optimiser.patch=[16, 16]")
SHORT = (
    "optimiser.steps=4",
    "optimiser.batch=2",
    "optimiser.ema=0.8",
    "optimiser.warmup_steps=1",
    "optimiser.recalibrate_norm=2",
    "validation.every=4",
)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def order(tmp_path: Path, recipe: str, changes: tuple[str, ...], **more: object) -> Order:
    return Order(
        recipe=RECIPES / f"{recipe}.toml",
        out=tmp_path / "run",
        data=tmp_path / "data",
        changes=(*SHORT, *changes),
        **more,
    )


@pytest.mark.parametrize(
    ("recipe", "write", "changes"),
    [
        ("brats-mets-3d", head_cohorts.write_brats_mets, VOLUMES),
        ("ucsf-bmsr-3d", head_cohorts.write_ucsf_bmsr, VOLUMES),
        ("brainmetshare-3d", head_cohorts.write_brainmetshare_volumes, VOLUMES),
        ("brainmetshare-2d", head_cohorts.write_brainmetshare_slices, SLICES),
    ],
)
def test_a_folder_becomes_a_network(
    tmp_path: Path, recipe: str, write: Callable[[Path], None], changes: tuple[str, ...]
) -> None:
    write(tmp_path / "data")
    said: list[str] = []
    result = train_one(order(tmp_path, recipe, changes, say=said.append))
    bundle = Bundle.load(tmp_path / "run" / recipe)
    (split,) = bundle.extra["split"]
    groups = {
        part: {name.rsplit("-", 1)[0][:18].rstrip("AB") for name in split[part]}
        for part in ("train", "validation", "test")
    }
    assert all(groups.values())
    assert not groups["train"] & groups["test"]
    assert not groups["train"] & groups["validation"]
    assert len(result.scores) == len(split["test"])
    assert all(score.lesions >= 1 for score in result.scores)
    assert "lesions" in said[0]
    assert "scans to train" in bundle.card
    assert f"recipes/{recipe}.toml --set optimiser.steps=4" in bundle.card


def test_a_network_learns_from_a_collection(tmp_path: Path) -> None:
    """A few more steps find most of the bright lesions of patients it has never seen."""
    head_cohorts.write_brats_mets(tmp_path / "data")
    more = ("optimiser.steps=60", "validation.every=30", "optimiser.learning_rate=0.01")
    result = train_one(order(tmp_path, "brats-mets-3d", (*VOLUMES, *more)))
    assert result.dice > 0.4
    assert sum(s.found for s in result.scores) >= 0.5 * sum(s.lesions for s in result.scores)


def test_a_process_that_the_system_ended_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object, **__: object) -> None:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as beside:
            beside.submit(os._exit, 9).result()

    monkeypatch.setattr("brainmets.workflows.training.train_network", killed)
    head_cohorts.write_brats_mets(tmp_path / "data")
    with pytest.raises(OutOfMemory, match="ended by the system") as told:
        train_one(order(tmp_path, "brats-mets-3d", VOLUMES))
    assert "--resume" in str(told.value)


def test_folds_judge_every_patient_once_and_a_final_network_uses_all(tmp_path: Path) -> None:
    head_cohorts.write_brats_mets(tmp_path / "data")
    asked = order(tmp_path, "brats-mets-3d", VOLUMES)
    assert cross_validate(asked, 3, only=1) is None
    assert not (tmp_path / "run" / "fold-0" / "brats-mets-3d").exists()
    before = (tmp_path / "run" / "fold-1" / "loss.csv").stat().st_mtime_ns
    said: list[str] = []
    found = cross_validate(
        order(tmp_path, "brats-mets-3d", VOLUMES, resume=True, say=said.append), 3
    )
    assert found is not None
    assert (found.cases, found.patients, len(found.folds)) == (7, 6, 3)
    assert found.dice.low <= found.dice.value <= found.dice.high
    assert "fold 1 is done already" in said
    assert (tmp_path / "run" / "fold-1" / "loss.csv").stat().st_mtime_ns == before

    divisions = [
        json.loads((tmp_path / "run" / f"fold-{n}" / "division-0.json").read_text())
        for n in range(3)
    ]
    tested = [case for division in divisions for case in division["test"]]
    assert len(tested) == len(set(tested)) == 7
    for division in divisions:  # the two scans of the first patient are never apart
        homes = [
            sum(name.startswith("BraTS-MET-00001") for name in part)
            for part in (division["test"], division["folds"][0])
        ]
        assert set(homes) <= {0, 2}
    final = Bundle.load(tmp_path / "run" / "final" / "brats-mets-3d")
    assert len(final.extra["split"][0]["train"]) == 7
    assert final.extra["cross_validation"]["patients"] == 6
    assert "Cross-validated: 3 folds by patient" in final.card
    table = (tmp_path / "run" / "cross-validation.csv").read_text().splitlines()
    assert len(table) == 1 + 7
    with pytest.raises(OptionError, match="fold 3"):
        cross_validate(asked, 3, only=3)


def test_folds_of_slices_keep_blocks_together(tmp_path: Path) -> None:
    write_slices(tmp_path / "data")
    path = write_recipe(tmp_path, steps=2)
    asked = Order(recipe=path, out=tmp_path / "run", data=tmp_path / "data")
    found = cross_validate(asked, 3)
    assert found is not None
    assert (found.cases, found.patients) == (12, 3)
    tested = []
    for fold in range(3):
        extra = Bundle.load(tmp_path / "run" / f"fold-{fold}" / "tiny-2d").extra
        (split,) = extra["split"]
        assert sorted([*split["train"], *split["validation"], *split["test"]]) == ["0", "1", "2"]
        tested += split["test"]
    assert sorted(tested) == ["0", "1", "2"]
    (split,) = Bundle.load(tmp_path / "run" / "final" / "tiny-2d").extra["split"]
    assert (split["train"], split["validation"], split["test"]) == (["0", "1", "2"], [], [])


def test_a_division_outlives_changes_of_the_folder(tmp_path: Path) -> None:
    head_cohorts.write_brats_mets(tmp_path / "data")
    train_one(order(tmp_path, "brats-mets-3d", VOLUMES))
    division = (tmp_path / "run" / "division-0.json").read_text()
    folder = next((tmp_path / "data").glob("*/BraTS-MET-00003-000"))
    folder.rename(folder.with_name("BraTS-MET-00077-000"))
    with pytest.raises(DatasetLayout, match="BraTS-MET-00003-000"):
        train_one(order(tmp_path, "brats-mets-3d", VOLUMES, resume=True))
    assert (tmp_path / "run" / "division-0.json").read_text() == division


def test_parts_that_the_publishers_made_stay(tmp_path: Path) -> None:
    head_cohorts.write_folders(tmp_path / "data", patients=4)
    rows = ["case_id,patient,t1c,mask,split"]
    for case, patient, split in (
        ("1", "ann", "train"),
        ("2", "ann", "test"),
        ("3", "bob", "val"),
        ("4", "cid", "train"),
    ):
        rows.append(
            f"{case},{patient},patient-{case}/t1c.nii.gz,patient-{case}/mask.nii.gz,{split}"
        )
    (tmp_path / "data" / "manifest.csv").write_text("\n".join(rows) + "\n")
    result = train_one(order(tmp_path, "your-data-3d", VOLUMES))
    (split,) = result.bundle.extra["split"]
    # a patient is where the strictest of the publishers' words puts one scan of his
    assert (split["train"], split["validation"], split["test"]) == (["4"], ["3"], ["1", "2"])


def test_a_fold_needs_to_know_of_how_many(capsys: pytest.CaptureFixture[str]) -> None:
    from brainmets.cli.run import run

    with pytest.raises(SystemExit) as left:
        run(["train", str(RECIPES / "your-data-3d.toml"), "--out", "x", "--fold", "1"])
    assert left.value.code == 2
    assert "E_OPTION" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("optimiser.steps", "FIELD=VALUE"),
        ("sources.4.root=x", "FIELD=VALUE"),
        ("optimiser.stepps=3", "optimiser.stepps"),
    ],
)
def test_a_wrong_change_is_explained(change: str, said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        Recipe.read(RECIPES / "brats-mets-3d.toml", [change])


def test_changes_take_words_numbers_and_lists() -> None:
    changes = ["optimiser.patch=[32, 32, 32]", "sources.0.layout=ucsf-bmsr", "seed=4"]
    recipe = Recipe.read(RECIPES / "brats-mets-3d.toml", changes)
    assert recipe.optimiser.patch == (32, 32, 32)
    assert recipe.sources[0].layout == "ucsf-bmsr"
    assert recipe.seed == 4
