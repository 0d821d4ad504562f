"""A whole training run in small: recipe in, bundle out, and nothing lost when it is killed."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")

from brainmets.domain.errors import (  # noqa: E402
    BundleIncomplete,
    CheckpointMismatch,
    DatasetLayout,
    OutputExists,
    RecipeError,
)
from brainmets.inference import Bundle, make_engine, write_bundle  # noqa: E402
from brainmets.inference.engines.pytorch import trained_network  # noqa: E402
from brainmets.models.registry import build, shared_state  # noqa: E402
from brainmets.training.train import run_recipe  # noqa: E402
from tests.unit.training_phantoms import losses, write_recipe, write_slices  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


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
    write_slices(tmp_path / "data")
    monkeypatch.setenv("BRAINMETS_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


def test_a_killed_run_goes_on_as_if_nothing_had_happened(data: Path, tmp_path: Path) -> None:
    path = write_recipe(tmp_path)
    straight = run_recipe(path, tmp_path / "straight")

    def kill(stage: str, done: float) -> None:
        if stage == "train" and done >= 0.75:
            raise Killed

    with pytest.raises(Killed):
        run_recipe(path, tmp_path / "killed", progress=kill)
    resumed = run_recipe(path, tmp_path / "killed", resume=True)
    assert losses(tmp_path / "killed") == losses(tmp_path / "straight")
    assert len(losses(tmp_path / "straight")) == 12
    weights = [r.bundle.onnx_path.read_bytes() for r in (straight, resumed)]
    assert weights[0] == weights[1]

    with pytest.raises(OutputExists, match="--resume"):
        run_recipe(path, tmp_path / "killed")
    with pytest.raises(CheckpointMismatch):
        run_recipe(write_recipe(tmp_path, steps=13), tmp_path / "killed", resume=True)


def test_a_run_can_start_from_a_bundle(data: Path, tmp_path: Path) -> None:
    path = write_recipe(tmp_path, steps=30)
    first = run_recipe(path, tmp_path / "first")
    text = path.read_text().replace("steps = 30", "steps = 2")
    start = f'start_from = "{first.bundle.root}"\n'
    path.write_text(start + text)
    second = run_recipe(path, tmp_path / "second")
    assert float(losses(tmp_path / "second")[0]) < 0.7 * float(losses(tmp_path / "first")[0])
    assert "started from the weights of `tiny-2d`" in second.bundle.card
    path.write_text(start + text + "[loss]\nsurroundings_weight = 0.5\n")
    further = run_recipe(path, tmp_path / "further").bundle  # a head more, in training alone
    assert "started from the weights of `tiny-2d`" in further.card
    assert set(trained_network(further).state_dict()) == set(
        trained_network(first.bundle).state_dict()
    )
    path.write_text(start + text.replace("widths = [4, 8, 8]", "widths = [4, 8]"))
    with pytest.raises(RecipeError, match="start_from"):
        run_recipe(path, tmp_path / "third")


def test_a_run_can_start_from_the_encoder_of_the_other_network(data: Path, tmp_path: Path) -> None:
    path = write_recipe(tmp_path, network="attention-unet", steps=3)
    first = run_recipe(path, tmp_path / "first").bundle
    given = trained_network(first).state_dict()
    wanted = first.architecture.model_copy(update={"name": "unet-plus-plus"})
    start = shared_state(given, first.architecture, wanted)
    assert set(start) < set(build(wanted).state_dict())
    assert torch.equal(start["nodes.2_0.layers.3.weight"], given["encoder.2.layers.3.weight"])

    path = write_recipe(tmp_path, network="unet-plus-plus", steps=1)
    path.write_text(f'start_from = "{first.root}"\n' + path.read_text())

    def lose(_line: str) -> None:
        """Take the bundle away while the run goes on: its end must not ask for it again."""
        shutil.rmtree(first.root, ignore_errors=True)

    second = run_recipe(path, tmp_path / "second", say=lose).bundle
    learnt = trained_network(second).state_dict()["nodes.0_0.layers.0.weight"]
    before = start["nodes.0_0.layers.0.weight"]
    assert (learnt - before).abs().max() < 0.1 * before.abs().max()  # one small step away
    assert "started from the encoder of `tiny-2d`" in second.card


def test_a_bundle_without_the_trained_state_is_no_start(data: Path, tmp_path: Path) -> None:
    path = write_recipe(tmp_path, steps=2)
    made = run_recipe(path, tmp_path / "first").bundle
    # before November 2026 the file held weights with normalisation folded in, under other names
    foreign = onnx.load(made.onnx_path)
    for number, tensor in enumerate(foreign.graph.initializer):
        for node in foreign.graph.node:
            node.input[:] = [f"Conv_{number}" if n == tensor.name else n for n in node.input]
        tensor.name = f"Conv_{number}"
    old = write_bundle(
        tmp_path / "old",
        name=made.name,
        onnx=foreign.SerializeToString(),
        plan=made.plan,
        architecture=made.architecture,
        operating_point=made.operating_point,
        card="",
    )
    path.write_text(f'start_from = "{old.root}"\n' + path.read_text())
    with pytest.raises(BundleIncomplete, match="do not fit its architecture"):
        run_recipe(path, tmp_path / "second")
    with pytest.raises(BundleIncomplete, match="export the bundle again"):
        make_engine("pytorch", old)
    assert make_engine("openvino", old) is not None


@pytest.mark.parametrize("network", ["attention-unet", "unet-plus-plus"])
def test_a_network_learns_the_disc_and_leaves_a_bundle(
    data: Path, tmp_path: Path, network: str
) -> None:
    result = run_recipe(write_recipe(tmp_path, network=network, steps=40), tmp_path / "run")
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
        run_recipe(write_recipe(tmp_path), tmp_path / "run")
