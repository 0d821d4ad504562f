"""The memory that is announced is what is taken, and a limit on it holds."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

CHILD = """
import json, sys
import numpy as np
from brainmets.domain import Geometry
from brainmets.inference import Bundle, Predictor
from brainmets.inference.machine import peak_memory
from brainmets.preprocessing import Prepared
shape = (112, 144, 128)
limit = int(sys.argv[2]) or None
grid = Geometry.isotropic(shape)
data = np.random.default_rng(0).random((2, *shape), dtype=np.float32)
whole = tuple((0, n) for n in shape)
case = Prepared(
    data=data, geometry=grid, native=grid, axes=(0, 1, 2), flips=(False,) * 3, bounds=whole
)
predictor = Predictor(Bundle.load(sys.argv[1]), memory_bytes=limit)
for _ in range(2 if limit else 1):  # the second case finds an engine that has served one
    estimate = predictor.estimate(shape)
    predictor.predict(case, estimate=estimate)
    print(json.dumps([estimate.tiling.count, estimate.peak_bytes, peak_memory()]))
"""


def _run(model: str, limit: int = 0) -> list[tuple[int, int, int]]:
    """Return windows, announced and taken memory of each case."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD, model, str(limit)], check=True, capture_output=True, text=True
    )
    return [tuple(json.loads(line)) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("model", ["attention-unet-3d", "unet-plus-plus-3d"])
def test_announced_memory_is_near_and_never_below_what_is_taken(model: str) -> None:
    ((windows, announced, peak),) = _run(model)

    assert windows == 1
    assert 0.7 * announced < peak <= announced


@pytest.mark.parametrize("model", ["attention-unet-3d", "unet-plus-plus-3d"])
def test_a_limit_is_obeyed_from_case_to_case(model: str) -> None:
    ((_, free, _),) = _run(model)
    limit = int(0.85 * free)
    first, second = _run(model, limit)

    assert first[0] > 1
    assert second[0] > 1, "what an engine keeps may cost the next case windows, never a refusal"
    assert max(*first[1:], *second[1:]) <= limit
