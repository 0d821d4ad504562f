"""The memory said before a run, against the memory the run then takes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from brainmets.domain.errors import OutOfMemory  # noqa: E402
from brainmets.training import memory  # noqa: E402
from brainmets.training.config import Recipe  # noqa: E402
from brainmets.training.memory import check_memory, estimate_memory, learning_bytes  # noqa: E402
from tests.unit.training_phantoms import write_recipe, write_slices  # noqa: E402

RECIPES = Path(__file__).parents[2] / "recipes"
CPU = torch.device("cpu")

MEASURE = """
import sys, torch
from pathlib import Path
from brainmets.inference.machine import used_memory
from brainmets.training.export import network_to_train
from brainmets.training.config import Recipe
from brainmets.training.loop import _step
torch.set_num_threads(1)
recipe = Recipe.read(Path(sys.argv[1]), sys.argv[2:])
layout = torch.channels_last if recipe.network.dims == 2 else torch.channels_last_3d

def learn(shape, steps):
    network = network_to_train(recipe).to(memory_format=layout).train()
    optimiser = torch.optim.AdamW(network.parameters())
    data = torch.randn(shape).to(memory_format=layout)
    target = (torch.rand(shape[0], 1, *shape[2:]) < 0.02).to(torch.uint8)
    for step in range(steps):
        _step(network, optimiser, data, target, recipe=recipe, step=step)

# what PyTorch loads at the first step of all is the process's, not the step's
learn((1, recipe.plan.channels, *[2 * recipe.network.stride] * recipe.network.dims), 1)
before = used_memory()
learn((recipe.optimiser.batch, recipe.plan.channels, *recipe.optimiser.patch), 2)
high = [line for line in open("/proc/self/status") if line.startswith("VmHWM")]
print(int(high[0].split()[1]) * 1024 - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's own account")
@pytest.mark.parametrize(
    ("recipe", "changes"),
    [
        ("attention-unet-3d", ["optimiser.patch=[64, 64, 64]"]),
        ("unet-plus-plus-3d", ["optimiser.patch=[48, 48, 48]"]),
        ("attention-unet-2d", ["optimiser.patch=[128, 128]", "optimiser.batch=6"]),
        ("unet-plus-plus-2d", ["optimiser.patch=[128, 128]", "optimiser.batch=4"]),
    ],
)
def test_a_step_takes_about_what_was_said(recipe: str, changes: list[str]) -> None:
    path = RECIPES / f"{recipe}.toml"
    said = learning_bytes(Recipe.read(path, changes), CPU)
    tries: list[int] = []
    for _ in range(2):  # a loaded machine frees later, and a peak is higher by some percent
        done = subprocess.run(
            [sys.executable, "-c", MEASURE, str(path), *changes],
            capture_output=True,
            text=True,
            check=True,
        )
        tries.append(int(done.stdout))
        if 0.7 * tries[-1] < said < 1.5 * tries[-1]:
            return
    pytest.fail(f"{tries} bytes were taken, {said} were said")


def test_what_is_said_grows_with_the_crop_and_falls_with_processes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = RECIPES / "attention-unet-3d.toml"
    small, large = (
        learning_bytes(
            Recipe.read(path, [f"optimiser.patch=[{e}, {e}, {e}]", "optimiser.batch=1"]), CPU
        )
        for e in (64, 128)
    )
    assert 7 < large / small < 8.1
    monkeypatch.setattr(memory, "process_count", lambda: 2)
    half = learning_bytes(
        Recipe.read(path, ["optimiser.patch=[128, 128, 128]", "optimiser.batch=2"]), CPU
    )
    assert half == pytest.approx(large, rel=0.01)


def test_a_run_that_cannot_fit_is_refused_before_it_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_slices(tmp_path / "data")
    recipe = Recipe.read(write_recipe(tmp_path))
    need = estimate_memory(recipe, tmp_path / "data", CPU)
    assert need.samples == 4 * 64 * 64 * 5  # four training slices of two channels and a target
    assert need.validation == 4 * 64 * 64 * 9
    monkeypatch.setattr(memory, "free_memory", lambda: int(need.total * 1.01))
    assert " free" in check_memory(recipe, tmp_path / "data", CPU)
    monkeypatch.setattr(memory, "free_memory", lambda: int(need.total * 0.99))
    with pytest.raises(OutOfMemory, match=r"E_MEMORY.*optimiser\.batch"):
        check_memory(recipe, tmp_path / "data", CPU)
