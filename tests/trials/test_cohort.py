"""A cohort of small scans, five of them broken: in parts, on Dask, killed and resumed alike.

BRAINMETS_TRIAL_SCANS=20 makes a short trial.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.trials.service import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

SCANS = int(os.environ.get("BRAINMETS_TRIAL_SCANS", "200"))

FLAT_WITHIN = 1.2
"""Processor seconds a case of many scans over those of 20, which carry more of the start."""


@pytest.mark.slow
def test_a_cohort_gives_equal_results_however_it_is_run(tmp_path: Path) -> None:
    command = [sys.executable, "benchmarks/cohort.py", "--scans", str(SCANS), "--work"]
    done = subprocess.run(
        [*command, str(tmp_path)], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    print(done.stdout)

    assert done.returncode == 0, done.stderr[-2000:]
    assert f"equal results on all four ways: {SCANS - 5} done, 5 reported" in done.stdout
    assert len(set(re.findall(r"E_[A-Z_]+", done.stdout))) == 5
    few, many = (
        float(seconds)
        for seconds in re.findall(
            r"scans, one process: ([\d.]+) processor seconds a case", done.stdout
        )
    )
    assert many <= FLAT_WITHIN * few
