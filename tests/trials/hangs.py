"""Cancels, kills and rotations of workers that run the real network on volumes: nothing hangs."""

from __future__ import annotations

import os
import random
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import httpx

from brainmets.api.client import Client
from brainmets.api.settings import SEGMENT
from tests.patience import comes_true
from tests.trials.service import Service, head, vary

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Blow", "HangReport", "try_hangs"]

Blow = Literal["cancel", "kill", "rotation"]
PATIENCE_S = 300.0
"""How long a worker may take to start on a loaded machine; a hang lasts for ever."""

MODEL = os.environ.get("BRAINMETS_TRIAL_MODEL")
"""The network, by default the one that the service takes."""

VOXEL_MM = float(os.environ.get("BRAINMETS_TRIAL_VOXEL_MM", "6"))

LATEST_S = 4.0
"""After the job's first sign; the network starts within it."""


@dataclass(frozen=True, kw_only=True)
class HangReport:
    """What became of the rounds of one kind."""

    blow: Blow
    rounds: int
    went_on: int
    """Rounds after which the next job was computed."""
    ready: int
    """Rounds after which `/readyz` reported it."""
    seconds: float

    @property
    def passed(self) -> bool:
        return self.went_on == self.ready == self.rounds > 0


def try_hangs(folder: Path, blow: Blow, *, rounds: int, seed: int) -> HangReport:
    """Strike `rounds` workers, each at a random moment of its job; look for the next job's life."""
    started, chance = time.monotonic(), random.Random(seed)
    went_on = ready = 0
    settings = {"runner": SEGMENT, "retry_after_s": 0, "max_waiting": 1000}
    if blow == "rotation":
        settings |= {"worker_jobs": 1}
    image = head(spacing_mm=VOXEL_MM)
    with (
        Service(folder / "state", max_attempts=1000, **settings) as service,
        Client(service.url) as client,
    ):
        for number in range(rounds):
            job = client.submit([("head.nii", vary(image, number))], model=MODEL).id
            if blow == "rotation":
                went_on += client.wait(job, timeout_s=PATIENCE_S).state == "done"
            elif comes_true(lambda job=job: client.job(job).stage, within_s=PATIENCE_S):
                time.sleep(chance.uniform(0, LATEST_S))
                if blow == "kill":
                    for worker in service.workers():
                        with suppress(ProcessLookupError):
                            os.kill(worker, signal.SIGKILL)
                went_on += 1 if blow == "cancel" else _goes_on(client, job)
                client.cancel(job)
            ready += httpx.get(f"{service.url}/readyz", timeout=60).status_code == 200
        last = client.submit([("last.nii", vary(image, 199))], model=MODEL).id
        ended = client.wait(last, timeout_s=PATIENCE_S).state
    return HangReport(
        blow=blow,
        rounds=rounds,
        went_on=went_on if ended == "done" else -1,
        ready=ready,
        seconds=round(time.monotonic() - started, 1),
    )


def _goes_on(client: Client, job: str) -> bool:
    """Whether a job whose worker was killed is being computed again, or was done just before."""

    def again() -> bool:
        view = client.job(job)
        return view.state == "done" or (view.state == "running" and view.attempts > 1)

    return comes_true(again, within_s=PATIENCE_S)
