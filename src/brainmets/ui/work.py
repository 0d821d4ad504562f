"""One job: its progress, the question it asks, its failure, or its result."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from brainmets.ui.followup_page import show_followup
from brainmets.ui.frame import headline
from brainmets.ui.progress import show_progress
from brainmets.ui.result import show_result
from brainmets.ui.texts import explain_problem, plain

if TYPE_CHECKING:
    from brainmets.api.client import Client
    from brainmets.api.schemas import JobView, SeriesView

__all__ = ["show_job"]


def show_job(client: Client, job_id: str) -> None:
    """Show a job in whatever state it is."""
    job = client.job(job_id)
    if job.options.followup is not None:
        show_followup(client, job)
    elif job.state in {"queued", "running"}:
        st.html(headline("Segmenting", job.label))
        show_progress(job_id)
        if st.button("Cancel", key="cancel"):
            client.cancel(job_id)
            st.rerun()
    elif job.state == "needs_choice":
        _ask_for_series(client, job)
    elif job.state == "done" and job.result is not None:
        show_result(client, job, job.result)
    else:
        _show_end(job)


def _ask_for_series(client: Client, job: JobView) -> None:
    told = f"The upload holds {len(job.series)}. Metastases show best on T1 with contrast."
    st.html(headline("Which series?", told))
    names = {series.choice or series.uid: _series_name(series) for series in job.series}
    likely = next((n for n, series in enumerate(job.series) if series.guess == "t1c"), 0)
    chosen = st.radio(
        "Series",
        list(names),
        index=likely,
        format_func=lambda choice: names[choice],
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
    st.html(headline("No result", job.label))
    if job.problem is not None:
        explain_problem(job.problem)
    else:
        st.info("This job was cancelled.")
    _other_image()


def _other_image() -> None:
    if st.button("Segment another scan", key="another"):
        st.query_params.clear()
        st.rerun()
