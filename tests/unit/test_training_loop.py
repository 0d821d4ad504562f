"""What happens between the first step and the last: averages, looks, stops, kills, curves."""

from __future__ import annotations

import json
import os
import signal
import struct
import subprocess
import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import pytest

torch = pytest.importorskip("torch")

from tensorboardX.proto.event_pb2 import Event  # noqa: E402

from brainmets.models import Architecture  # noqa: E402
from brainmets.models.registry import build  # noqa: E402
from brainmets.training.batches import Batches, open_pools  # noqa: E402
from brainmets.training.checkpoint import find_checkpoint, format_duration  # noqa: E402
from brainmets.training.config import Recipe  # noqa: E402
from brainmets.training.loop import _step, _update_average, train  # noqa: E402
from brainmets.training.normalisation import measure_norm  # noqa: E402
from brainmets.training.prepared import PreparedStore  # noqa: E402
from brainmets.training.ranks import computes_bf16  # noqa: E402
from tests.unit.training_phantoms import losses, write_recipe, write_slices  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_slices(tmp_path / "data")
    monkeypatch.setenv("BRAINMETS_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


def looks(dice: list[float]) -> Callable[[Any], dict[str, float]]:
    """Stand for validation: the figures of one look after the other."""
    waiting = iter(dice)
    return lambda _weights: {"dice": next(waiting)}


def run(path: Path, data: Path, out: Path, dice: list[float], **options: Any) -> Any:
    out.mkdir(exist_ok=True)
    recipe = Recipe.read(path)
    batches = Batches(recipe, open_pools(recipe, data, PreparedStore(out)))
    try:
        return train(recipe, batches, out, validate=looks(dice), **options)
    finally:
        batches.close()


def edited(path: Path, old: str, new: str) -> Path:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    return path


def test_a_batch_can_be_told_before_it_is_made(data: Path, tmp_path: Path) -> None:
    recipe = Recipe.read(write_recipe(tmp_path))
    told = []
    for _ in range(2):
        batches = Batches(recipe, open_pools(recipe, data, PreparedStore(tmp_path)))
        drawn = batches.drawn(3)
        told.append([(d.sample.name, d.start, json.dumps(asdict(d.augmentation))) for d in drawn])
        made, _ = batches.at(3)
        other, _ = batches.again(3, 1)
        batches.close()
        assert made.shape == (2, 2, 48, 48)
        assert not torch.equal(made, other)
    assert told[0] == told[1]
    assert len({start for _, start, _ in told[0]}) > 1 or told[0][0][0] != told[0][1][0]


def test_a_run_stops_when_validation_no_longer_rises(data: Path, tmp_path: Path) -> None:
    path = edited(write_recipe(tmp_path, steps=12), "every = 5", "every = 2\npatience = 2")
    best, history = run(path, data, tmp_path / "run", [0.1, 0.3, 0.2, 0.3, 0.2, 0.1])
    assert (history.step, history.best_step) == (12, 8)  # as good as the best is no fall
    best, history = run(path, data, tmp_path / "short", [0.1, 0.3, 0.2, 0.1])
    assert (history.step, history.best_step) == (8, 4)
    again, history = run(path, data, tmp_path / "short", [], resume=True)
    assert history.step == 8  # a finished run stays finished
    assert all(torch.equal(again[name], best[name]) for name in best)


def test_what_is_said_tells_pace_and_time_left(data: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    run(write_recipe(tmp_path), data, tmp_path / "run", [0.25, 0.5, 0.4], say=lines.append)
    assert len(lines) == 3
    assert lines[0].startswith("step 5 of 12: loss ")
    assert "validation Dice 0.500, best 0.500 at 10" in lines[1]
    assert "left" in lines[0]
    assert "left" not in lines[2]
    assert "% of it waiting for data" in lines[2]


@pytest.mark.parametrize(("seconds", "words"), [(5, "5 s"), (600, "10 min"), (11100, "3 h 05 min")])
def test_times_are_said_as_people_do(seconds: float, words: str) -> None:
    assert format_duration(seconds) == words


def test_the_average_leans_on_the_present_while_young() -> None:
    network = torch.nn.Linear(1, 1, bias=False)
    average = {"weight": torch.zeros(1, 1)}
    expected = 0.0
    for step, value in enumerate((4.0, 2.0, 1.0)):
        torch.nn.init.constant_(network.weight, value)
        _update_average(average, network, step, 0.15)
        decay = min(0.15, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * value
        assert float(average["weight"]) == pytest.approx(expected)


def small(**optimiser: Any) -> tuple[Recipe, torch.nn.Module, torch.Tensor, torch.Tensor]:
    recipe = Recipe.model_validate(
        {
            "name": "x",
            "network": {"name": "attention-unet", "dims": 2, "widths": [4, 8]},
            "plan": {"dims": 2},
            "sources": [{"kind": "slices", "root": "", "test_blocks": [], "validation_blocks": []}],
            "optimiser": {
                "steps": 9,
                "batch": 2,
                "patch": [16, 16],
                "warmup_steps": 0,
                **optimiser,
            },
        }
    )
    torch.manual_seed(0)
    data, target = torch.randn(2, 2, 16, 16), (torch.rand(2, 1, 16, 16) < 0.1).to(torch.uint8)
    return recipe, build(recipe.network).train(), data, target


def test_long_gradients_are_cut() -> None:
    recipe, network, data, target = small(clip_norm=0.01, bf16=False)
    _step(
        network, torch.optim.SGD(network.parameters(), lr=1.0), data, target, recipe=recipe, step=0
    )
    norm = torch.stack([p.grad.norm() for p in network.parameters() if p.grad is not None]).norm()
    assert float(norm) == pytest.approx(0.01, rel=1e-3)


def test_bfloat16_and_memory_layout_change_the_loss_by_little() -> None:
    found = []
    for bf16, layout in ((False, torch.contiguous_format), (True, torch.channels_last)):
        recipe, network, data, target = small(bf16=bf16)
        network = network.to(memory_format=layout)
        optimiser = torch.optim.AdamW(network.parameters(), lr=0.01)
        data = data.to(memory_format=layout)
        found.append(
            [_step(network, optimiser, data, target, recipe=recipe, step=n) for n in range(6)]
        )
        assert {p.dtype for p in network.parameters()} == {torch.float32}
    if computes_bf16(torch.device("cpu")):
        assert found[1] != found[0]  # it does compute in bfloat16
    assert found[1] == pytest.approx(found[0], abs=0.03)
    assert found[0][-1] < found[0][0]


def test_measured_normalisation_is_that_of_all_batches_together() -> None:
    network = build(Architecture(name="attention-unet", dims=2, in_channels=1, widths=(4, 8)))
    weights = {n: v.clone() for n, v in network.state_dict().items() if v.is_floating_point()}
    batches = [torch.randn(1, 1, 16, 16) + level for level in (-3.0, 0.0, 3.0)]
    measured = measure_norm(network, weights, batches)
    name = "encoder.0.layers.1"
    first = network.encoder[0].layers[0]
    values = torch.cat([first(batch) for batch in batches]).transpose(0, 1).flatten(1).double()
    assert torch.allclose(measured[f"{name}.running_mean"].double(), values.mean(1), atol=1e-5)
    assert torch.allclose(measured[f"{name}.running_var"].double(), values.var(1), rtol=1e-4)
    # crops that differ from each other: the mean of their own variances falls short of it
    apart = torch.stack([first(b).transpose(0, 1).flatten(1).var(1) for b in batches]).mean(0)
    assert measured[f"{name}.running_var"].sum() > 1.5 * apart.sum()
    state = network.state_dict()
    assert all(torch.equal(state[key], value) for key, value in weights.items())  # untouched


def test_recalibrated_weights_are_the_ones_validated_and_kept(data: Path, tmp_path: Path) -> None:
    path = write_recipe(tmp_path)
    plain, _ = run(path, data, tmp_path / "plain", [0.1, 0.2, 0.3])
    edited(path, "ema = 0.8", "ema = 0.8\nrecalibrate_norm = 3")
    measured, history = run(path, data, tmp_path / "measured", [0.1, 0.2, 0.3])
    assert losses(tmp_path / "plain") == losses(tmp_path / "measured")  # training does not notice
    assert history.best_step == 12
    for name, value in plain.items():
        same = torch.equal(value, measured[name])
        assert same != name.endswith(("running_mean", "running_var")), name


def test_curves_are_written_for_tensorboard(data: Path, tmp_path: Path) -> None:
    run(write_recipe(tmp_path), data, tmp_path / "run", [0.25, 0.5, 0.4])
    (path,) = (tmp_path / "run").glob("events.out.tfevents.*")
    raw, events = path.read_bytes(), []
    while raw:  # TFRecord: length, its checksum, the event, its checksum
        (length,) = struct.unpack("<Q", raw[:8])
        events.append(Event.FromString(raw[12 : 12 + length]))
        raw = raw[16 + length :]
    assert events[0].file_version == "brain.Event:2"
    assert [event.session_log.status for event in events if event.HasField("session_log")] == [1]
    curves: dict[str, list[tuple[int, float]]] = {}
    for event in events:
        for one in event.summary.value:
            curves.setdefault(one.tag, []).append((event.step, one.simple_value))
    assert [step for step, _ in curves["learning_rate"]] == list(range(1, 13))
    assert [value for _, value in curves["dice"]] == pytest.approx([0.25, 0.5, 0.4])
    assert "step" not in curves


class Stopped(Exception):
    """What the command line makes of a signal."""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_asked_to_stop_keeps_the_step_it_is_at(
    data: Path, tmp_path: Path, number: signal.Signals
) -> None:
    path = edited(write_recipe(tmp_path), "checkpoint_every = 4", "checkpoint_every = 1000")
    run(path, data, tmp_path / "straight", [0.1, 0.2, 0.3])

    def stop(_number: int, _frame: object) -> None:
        raise Stopped

    def ask(stage: str, done: float) -> None:
        if stage == "train" and done == 7 / 12:  # held back until step 8 is done and kept
            signal.raise_signal(number)

    before = signal.signal(number, stop)
    try:
        with pytest.raises(Stopped):
            run(path, data, tmp_path / "run", [0.1], progress=ask)
        assert signal.getsignal(number) is stop
    finally:
        signal.signal(number, before)
    assert len(losses(tmp_path / "run")) == 8
    _, history = run(path, data, tmp_path / "run", [0.2, 0.3], resume=True)
    assert losses(tmp_path / "run") == losses(tmp_path / "straight")
    assert [look["dice"] for look in history.validations] == [0.1, 0.2, 0.3]


def test_a_run_killed_at_any_moment_ends_as_if_it_had_not_been(data: Path, tmp_path: Path) -> None:
    path = edited(write_recipe(tmp_path, steps=60), "checkpoint_every = 4", "checkpoint_every = 1")
    edited(path, "every = 5", "every = 60")
    command = [sys.executable, "-c", "from brainmets.cli import main; main()", "train", str(path)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def start(out: str, *more: str) -> subprocess.Popen[bytes]:
        arguments = [*command, "--out", str(tmp_path / out), *more]
        return subprocess.Popen(arguments, env=environment, stderr=subprocess.DEVNULL)

    first = start("killed")
    while find_checkpoint(tmp_path / "killed") is None and first.poll() is None:
        time.sleep(0.02)
    time.sleep(0.3)
    first.send_signal(signal.SIGKILL)
    assert first.wait() == -signal.SIGKILL
    begun = len(losses(tmp_path / "killed"))
    assert 0 < begun < 60
    assert start("killed", "--resume").wait() == 0
    assert start("straight").wait() == 0
    assert losses(tmp_path / "killed") == losses(tmp_path / "straight")
    weights = [
        (tmp_path / name / "tiny-2d" / "model.onnx").read_bytes() for name in ("killed", "straight")
    ]
    assert weights[0] == weights[1]
    manifest = json.loads((tmp_path / "killed" / "tiny-2d" / "manifest.json").read_text())
    assert manifest["name"] == "tiny-2d"
