"""The service goes on whenever a worker with the real network is cancelled, killed or replaced.

`BRAINMETS_TRIAL_MODEL` and `BRAINMETS_TRIAL_VOXEL_MM` choose another network and a smaller volume.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import pytest

from tests.trials.hangs import Blow, try_hangs

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("blow", get_args(Blow))
def test_a_blow_at_a_worker_holds_up_nobody(tmp_path: Path, blow: Blow) -> None:
    report = try_hangs(tmp_path, blow, rounds=2, seed=1)
    assert report.passed, report


@pytest.mark.slow
@pytest.mark.parametrize("blow", get_args(Blow))
def test_twenty_blows_hold_up_nobody(tmp_path: Path, blow: Blow) -> None:
    report = try_hangs(tmp_path, blow, rounds=20, seed=20_261_130)
    print(f"\n{report}")
    assert report.passed, report
