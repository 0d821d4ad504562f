"""Two processes under `torchrun` train what one process trains from the whole batch."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from brainmets.domain.errors import RecipeError  # noqa: E402
from brainmets.training import batches  # noqa: E402
from brainmets.training.config import Recipe  # noqa: E402
from tests.unit.training_phantoms import losses, write_recipe, write_slices  # noqa: E402

BIN = Path(sys.executable).parent
EVERY_LOSS = """
[loss]
top_share = 0.3
tversky_weight = 0.5
component_weight = 0.5
lesion_entropy_weight = 0.5
"""


def weights(out: Path) -> dict[str, torch.Tensor]:
    from brainmets.models.onnx_file import read_state

    return read_state((out / "tiny-2d" / "model.onnx").read_bytes())


def test_two_processes_are_one_with_the_whole_batch(tmp_path: Path) -> None:
    write_slices(tmp_path / "data")
    path = write_recipe(tmp_path, steps=8, more=EVERY_LOSS)
    text = path.read_text().replace("batch = 2", "batch = 4\nbf16 = false\nrecalibrate_norm = 2")
    path.write_text(text.replace("learning_rate = 0.01", "learning_rate = 0.001"))
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "BRAINMETS_DATA": str(tmp_path / "data"),
        "NO_COLOR": "1",
    }
    together = ("torchrun", "--standalone", "--nproc-per-node", "2", "--no-python")
    for out, launcher in (("one", ()), ("two", together)):
        command = [*launcher, str(BIN / "brainmets"), "train", str(path), "--device", "cpu"]
        command[0] = str(BIN / command[0]) if launcher else command[0]
        done = subprocess.run(
            [*command, "--out", str(tmp_path / out)],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=500,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        assert done.stdout.count("held-out Dice") == 1  # one speaks for both
        assert done.stderr.count("step 8 of 8") == 1
    one, two = ([float(loss) for loss in losses(tmp_path / out)] for out in ("one", "two"))
    assert len(one) == 8
    assert two == pytest.approx(one, abs=5e-4)
    first, second = weights(tmp_path / "one"), weights(tmp_path / "two")
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert torch.allclose(value.float(), second[name].float(), atol=0.01, rtol=0.02), name
    with (tmp_path / "two" / "test.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 4
    assert len(list((tmp_path / "two").glob("events.*"))) == 1
    assert "2 threads" in (tmp_path / "two" / "tiny-2d" / "card.md").read_text()


def test_a_batch_that_cannot_be_shared_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "process_count", lambda: 3)
    recipe = Recipe.read(write_recipe(tmp_path))
    with pytest.raises(RecipeError, match="a multiple of the 3 processes"):
        batches.Batches(recipe, [])
