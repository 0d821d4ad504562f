"""The same bits on one thread and two, run after run, warm and in a fresh process."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

from brainmets.inference import Bundle, make_engine
from tests.bundles import random_bundle

if TYPE_CHECKING:
    from pathlib import Path

    from brainmets.inference import Engine
    from brainmets.models import ArchitectureName

FRESH = """
import sys
from tests.contract.test_same_answer import answer
from brainmets.inference import Bundle, make_engine
print(answer(make_engine("openvino", Bundle.load(sys.argv[1]), threads=2), int(sys.argv[2])))
"""


def answer(engine: Engine, dims: int) -> str:
    """Hash the logits of a fixed input, large enough that threads share it."""
    edge = 128 if dims == 2 else 48
    x = np.random.default_rng(7).normal(size=(1, 2, *[edge] * dims)).astype(np.float32)
    return hashlib.sha256(engine.run(x).tobytes()).hexdigest()


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("name", ["attention-unet", "unet-plus-plus"])
def test_threads_runs_and_processes_give_the_same_bits(
    name: ArchitectureName, dims: int, tmp_path: Path
) -> None:
    bundle = random_bundle(tmp_path / "b", name=name, dims=dims, widths=(16, 32, 64))
    two = make_engine("openvino", bundle, threads=2)
    first = answer(two, dims)
    fresh = subprocess.run(
        [sys.executable, "-c", FRESH, str(bundle.root), str(dims)],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()

    assert answer(two, dims) == first, "run to run"
    assert answer(make_engine("openvino", bundle, threads=1), dims) == first, "one thread"
    assert fresh == first, "a fresh process"


def test_another_network_gives_other_bits(tmp_path: Path) -> None:
    bundles = [random_bundle(tmp_path / str(seed), seed=seed) for seed in (0, 1)]
    first, second = (answer(make_engine("openvino", Bundle.load(b.root)), 3) for b in bundles)

    assert first != second
