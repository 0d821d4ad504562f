"""A whole training run in small: recipe in, bundle out, and nothing lost when it is killed."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")

from brainmets.domain.errors import CheckpointMismatch, DatasetLayout, OutputExists, RecipeError  # noqa: E402
from brainmets.inference import Bundle  # noqa: E402
from brainmets.training.train import run_recipe  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RECIPE = """
name = "tiny-2d"

[network]
name = "{network}"
dims = 2
widths = [4, 8, 8]

[plan]
dims = 2
canvas = 64

[[sources]]
kind = "slices"
root = "slices"
test_blocks = [2]
validation_blocks = [1]

[optimiser]
steps = {steps}
batch = 2
patch = [48, 48]
learning_rate = 0.01
warmup_steps = 2
ema = 0.8

[validation]
every = 5
checkpoint_every = 4
"""


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small networks train fastest on one thread, above all when tests share the machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Killed(Exception):
    """Stands for the power cut."""


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Twelve slices of a bright disc on grey noise, in three blocks."""
    root = tmp_path / "data" / "slices"
    (root / "images").mkdir(parents=True)
    (root / "masks").mkdir()
    rng = np.random.default_rng(0)
    rows = []
    for number in range(12):
        centre = rng.integers(20, 44, 2)
        y, x = np.mgrid[:64, :64]
        disc = (y - centre[0]) ** 2 + (x - centre[1]) ** 2 < 49
        head = (y - 32) ** 2 + (x - 32) ** 2 < 900
        image = head * (90 + rng.normal(0, 5, (64, 64))) + disc * 120
        Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(
            root / "images" / f"{number:02d}.png"
        )
        Image.fromarray((disc * 255).astype(np.uint8)).save(root / "masks" / f"{number:02d}.png")
        rows.append((f"{number:02d}", "disc", number // 4))
    with (root / "slices.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("slice", "tumour", "block"), *rows])
    monkeypatch.setenv("BRAINMETS_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


def recipe(folder: Path, *, network: str = "attention-unet", steps: int = 12) -> Path:
    path = folder / "tiny.toml"
    path.write_text(RECIPE.format(network=network, steps=steps))
    return path


def losses(out: Path) -> list[str]:
    with (out / "loss.csv").open() as file:
        return [row["loss"] for row in csv.DictReader(file)]


def test_a_killed_run_goes_on_as_if_nothing_had_happened(data: Path, tmp_path: Path) -> None:
    path = recipe(tmp_path)
    straight = run_recipe(path, tmp_path / "straight")

    def kill(stage: str, done: float) -> None:
        if stage == "train" and done >= 0.75:
            raise Killed

    with pytest.raises(Killed):
        run_recipe(path, tmp_path / "killed", progress=kill)
    resumed = run_recipe(path, tmp_path / "killed", resume=True)
    assert losses(tmp_path / "killed") == losses(tmp_path / "straight")
    assert len(losses(tmp_path / "straight")) == 12
    weights = [r.bundle.weights_path.read_bytes() for r in (straight, resumed)]
    assert weights[0] == weights[1]

    with pytest.raises(OutputExists, match="--resume"):
        run_recipe(path, tmp_path / "killed")
    with pytest.raises(CheckpointMismatch):
        run_recipe(recipe(tmp_path, steps=13), tmp_path / "killed", resume=True)


def test_a_run_can_start_from_a_bundle(data: Path, tmp_path: Path) -> None:
    path = recipe(tmp_path, steps=30)
    first = run_recipe(path, tmp_path / "first")
    text = path.read_text().replace("steps = 30", "steps = 2")
    start = f'start_from = "{first.bundle.root}"\n'
    path.write_text(start + text)
    second = run_recipe(path, tmp_path / "second")
    assert float(losses(tmp_path / "second")[0]) < 0.7 * float(losses(tmp_path / "first")[0])
    assert "started from the weights of `tiny-2d`" in second.bundle.card
    path.write_text(start + text.replace("widths = [4, 8, 8]", "widths = [4, 8]"))
    with pytest.raises(RecipeError, match="start_from"):
        run_recipe(path, tmp_path / "third")


@pytest.mark.parametrize("network", ["attention-unet", "unet-plus-plus"])
def test_a_network_learns_the_disc_and_leaves_a_bundle(
    data: Path, tmp_path: Path, network: str
) -> None:
    result = run_recipe(recipe(tmp_path, network=network, steps=40), tmp_path / "run")
    assert result.dice > 0.5  # blocks it has never seen; an untrained network scores about 0
    assert result.interval[0] <= result.dice <= result.interval[1]
    assert len(result.scores) == 4
    bundle = Bundle.load(tmp_path / "run" / "tiny-2d")
    assert bundle.architecture.name == network
    assert f"{result.dice:.3f}" in bundle.card
    assert "Research use only" in bundle.card
    effective = json.loads((tmp_path / "run" / "recipe.json").read_text())
    assert effective["optimiser"]["weight_decay"] > 0  # defaults are written out
    assert (tmp_path / "run" / "validation.csv").is_file()


def test_absent_data_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRAINMETS_DATA", str(tmp_path))
    with pytest.raises(DatasetLayout, match="BRAINMETS_DATA"):
        run_recipe(recipe(tmp_path), tmp_path / "run")
