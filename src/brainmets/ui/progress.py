"""How far a job is, stage by stage."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from brainmets.api.schemas import FINISHED
from brainmets.domain import STAGES
from brainmets.domain.errors import BrainmetsError
from brainmets.ui.connection import make_client
from brainmets.ui.texts import STAGE_NAMES, explain, explain_problem

if TYPE_CHECKING:
    from brainmets.api.schemas import JobView

__all__ = ["POLL_S", "overall", "show_other_progress", "show_progress", "still_at_work"]

POLL_S = 0.5


def show_other_progress(other: JobView) -> None:
    """Follow the second of two jobs above the first one's result."""
    if other.state in {"queued", "running"}:
        show_progress(other.id)
    elif other.problem is not None:
        explain_problem(other.problem)


def still_at_work(job_id: str) -> JobView | None:
    """Return a job that waits or runs; draw the page again once it has stopped.

    None, with a message, where the service does not report it.
    """
    with make_client() as client:
        try:
            job = client.job(job_id)
        except BrainmetsError as error:
            explain(error)
            return None
    if job.state in FINISHED or job.state == "needs_choice":
        st.rerun()
    return job


@st.fragment(run_every=POLL_S)
def show_progress(job_id: str) -> None:
    """Follow a job until it stops, then draw the page again."""
    job = still_at_work(job_id)
    if job is None:
        return
    if job.state == "queued":
        text, share = "Queued", 0.0
    else:
        share = overall(job.stage, job.done)
        text = STAGE_NAMES.get(job.stage, "Starting")
    st.progress(share, text=text)
    now = STAGES.index(job.stage) if job.stage in STAGES else -1
    classes = ["past" if n < now else "now" if n == now else "" for n in range(len(STAGES))]
    items = (
        f'<li class="{kind}">{STAGE_NAMES[stage]}</li>'
        for stage, kind in zip(STAGES, classes, strict=True)
    )
    st.html(f'<ul class="stages">{"".join(items)}</ul>')


SHARES = {"read": 0.08, "prepare": 0.17, "segment": 0.6, "measure": 0.05, "write": 0.1}
"""Each stage's usual part of the time, so that the bar moves evenly."""


def overall(stage: str, done: float) -> float:
    """Return how much of the whole work is done, 0…1."""
    if stage not in STAGES:
        return 0.0
    before = sum(SHARES[name] for name in STAGES[: STAGES.index(stage)])
    return min(1.0, before + SHARES[stage] * done)
