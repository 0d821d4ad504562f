"""What the sweep deletes, and the results that it must leave where the list of jobs was lost."""

from __future__ import annotations

import io
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from brainmets.api.settings import Settings
from brainmets.api.staging import stage
from brainmets.api.supervisor import LOST_RESULT_LIFE_S, sweep
from brainmets.domain.errors import UnknownJob

if TYPE_CHECKING:
    from pathlib import Path


class EmptyList:
    """A list of jobs that was begun again."""

    def expired(self, older_than_s: float) -> tuple[str, ...]:
        assert older_than_s > 0
        return ()

    def tickets(self) -> dict[str, Any]:
        return {}

    def get(self, job_id: str) -> None:
        raise UnknownJob(f"no job {job_id}", expected="a job", remedy="none")


@pytest.mark.parametrize(
    ("attempt", "age_s", "kept"),
    [
        (True, 0.0, True),
        (True, 86_400.0, True),
        (True, LOST_RESULT_LIFE_S + 60, False),
        (False, 0.0, False),
    ],
)
def test_results_outlive_a_lost_list(
    tmp_path: Path, *, attempt: bool, age_s: float, kept: bool
) -> None:
    settings = Settings(state_dir=tmp_path / "state")
    job = settings.jobs_dir / "0123456789abcdef"
    place = job / ("attempt-1" if attempt else "input")
    place.mkdir(parents=True)
    settings.staging_dir.mkdir(parents=True, exist_ok=True)
    (place / "mask.nii.gz").write_bytes(b"mask")
    then = time.time() - age_s
    for path in (place / "mask.nii.gz", place, job):
        os.utime(path, (then, then))
    sweep(settings, EmptyList())  # pyright: ignore[reportArgumentType]
    assert (place / "mask.nii.gz").exists() is kept


def test_a_folder_swept_before_it_is_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(state_dir=tmp_path / "state")
    settings.jobs_dir.mkdir(parents=True)
    settings.staging_dir.mkdir(parents=True)
    opened, swept = os.open, threading.Event()

    def sweep_first(*arguments: Any, **options: Any) -> int:
        if not swept.is_set():
            swept.set()
            sweep(settings, EmptyList())  # pyright: ignore[reportArgumentType]
        return opened(*arguments, **options)

    monkeypatch.setattr(os, "open", sweep_first)
    with stage(settings.staging_dir) as staging:
        staging.add("head.nii", io.BytesIO(b"head"))
        assert (staging.input / "head.nii").exists()
    assert swept.is_set()


def test_no_folder_that_is_being_made_is_swept(tmp_path: Path) -> None:
    settings = Settings(state_dir=tmp_path / "state")
    settings.jobs_dir.mkdir(parents=True)
    settings.staging_dir.mkdir(parents=True)
    over = threading.Event()

    def sweep_on() -> None:
        while not over.wait(0.002):  # without a pause it may find every folder before its maker
            sweep(settings, EmptyList())  # pyright: ignore[reportArgumentType]

    with ThreadPoolExecutor() as others:
        sweeping = others.submit(sweep_on)
        try:
            for _ in range(100):
                with stage(settings.staging_dir) as staging:
                    staging.add("head.nii", io.BytesIO(b"head"))
                    job = settings.jobs_dir / staging.commit(settings.jobs_dir)
                    assert (job / "input" / "head.nii").exists()
        finally:
            over.set()
        sweeping.result()
