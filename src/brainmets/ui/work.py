"""One job: its progress, the question it asks, its failure, or its result."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from brainmets.api.schemas import FINISHED
from brainmets.domain import STAGES
from brainmets.domain.errors import BrainmetsError
from brainmets.ui.connection import make_client
from brainmets.ui.result import show_result
from brainmets.ui.texts import STAGE_NAMES, explain, explain_problem, plain

if TYPE_CHECKING:
    from brainmets.api.client import Client
    from brainmets.api.schemas import JobView, SeriesView

__all__ = ["show_job"]

POLL_S = 0.5


def show_job(client: Client, job_id: str) -> None:
    """Show a job in whatever state it is."""
    job = client.job(job_id)
    if job.state in {"queued", "running"}:
        st.html(f'<div class="headline"><b>Segmenting</b><span>{_escape(job.label)}</span></div>')
        _progress(job_id)
        if st.button("Cancel", key="cancel"):
            client.cancel(job_id)
            st.rerun()
    elif job.state == "needs_choice":
        _ask_for_series(client, job)
    elif job.state == "done" and job.result is not None:
        show_result(client, job, job.result)
    else:
        _show_end(job)


@st.fragment(run_every=POLL_S)
def _progress(job_id: str) -> None:
    with make_client() as client:
        try:
            job = client.job(job_id)
        except BrainmetsError as error:
            explain(error)
            return
    if job.state in FINISHED or job.state == "needs_choice":
        st.rerun()
    if job.state == "queued":
        text, share = "Waiting for its turn", 0.0
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


def _ask_for_series(client: Client, job: JobView) -> None:
    st.html(
        '<div class="headline"><b>Which series?</b><span>The upload holds '
        f"{len(job.series)}. Metastases show best on T1 with contrast.</span></div>"
    )
    names = {series.uid: _series_name(series) for series in job.series}
    likely = next((n for n, series in enumerate(job.series) if series.guess == "t1c"), 0)
    chosen = st.radio(
        "Series",
        list(names),
        index=likely,
        format_func=lambda uid: names[uid],
        label_visibility="collapsed",
        key="series",
    )
    if st.button("Segment this series", type="primary") and chosen:
        client.choose_series(job.id, chosen)
        st.rerun()
    _other_image()


def _series_name(series: SeriesView) -> str:
    parts = [
        f"Series {series.number}" if series.number is not None else "",
        series.description or series.modality,
        f"{series.slices} slices" if series.slices and not series.shape else "",
        f"probably {series.guess}" if series.guess else "",
    ]
    return plain(" · ".join(part for part in parts if part)) or plain(series.uid)


def _show_end(job: JobView) -> None:
    st.html(f'<div class="headline"><b>No result</b><span>{_escape(job.label)}</span></div>')
    if job.problem is not None:
        explain_problem(job.problem)
    else:
        st.info("This job was cancelled.")
    _other_image()


def _other_image() -> None:
    if st.button("Examine another image", key="another"):
        st.query_params.clear()
        st.rerun()


def _escape(text: str) -> str:
    import html

    return html.escape(text)
