"""One job: its progress, the question it asks, its failure, or its result."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import streamlit as st

from brainmets.domain.errors import BrainmetsError, UnknownJob
from brainmets.ui.connection import browser_access, has_pacs
from brainmets.ui.followup_page import show_followup
from brainmets.ui.frame import headline, offer_deletion, show_warnings
from brainmets.ui.progress import show_other_progress, show_progress
from brainmets.ui.texts import explain, explain_problem, plain, when
from brainmets.ui.viewer import workbench

if TYPE_CHECKING:
    from brainmets.api.client import Client
    from brainmets.api.schemas import JobResult, JobView, SeriesView

__all__ = ["show_job"]


TWO_D_ON_VOLUME = (
    "It looks at each slice by itself and was measured on single slices, not on whole heads."
)


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


def show_result(client: Client, job: JobView, result: JobResult) -> None:
    """Show what was found."""
    seconds = result.timings.get("total", 0.0)
    took = f" · {seconds:.0f} s" if seconds >= 1 else ""
    other = _other_job(client)
    with st.container(
        horizontal=True, vertical_alignment="center", gap="xsmall", key="result-head"
    ):
        st.html(headline(job.label, f"{result.provenance.model} · {when(job.created)}{took}"))
        # another key once it has been used: a popover that is open stays open
        with st.popover("Compare models", key=f"compare-with-{st.query_params.get('with', '')}"):
            _choose_other(client, job, result, other)
        if st.button("Segment another scan", key="another"):
            st.query_params.clear()
            st.rerun()
        with st.popover("Delete"):
            question = "Delete the images and results of this job from this computer?"
            offer_deletion(client, job.id, question)
    show_warnings(result.warnings)
    if other is not None and other.state != "done":
        show_other_progress(other)
    workbench(workbench_data(job, result, other), key=f"bench-{job.id}")
    _provenance(job, result)


def _other_job(client: Client) -> JobView | None:
    """Return the job that the address asks to compare with, if it still exists."""
    other_id = st.query_params.get("with")
    if not other_id:
        return None
    try:
        return client.job(other_id)
    except UnknownJob:
        del st.query_params["with"]
        return None


def _choose_other(client: Client, job: JobView, result: JobResult, other: JobView | None) -> None:
    if other is not None and st.button("Stop comparing", key="stop-comparing"):
        del st.query_params["with"]
        st.rerun()
    dims = (2,) if result.kind == "slices" else (2, 3)
    try:
        models = client.models()
    except BrainmetsError as error:  # the result stands, whatever has become of the models
        explain(error)
        return
    mine = result.provenance.model
    own_dims = next((m.dims for m in models if m.name == mine), max(dims))
    others = [m for m in models if m.dims in dims and m.name != mine]
    names = [m.name for m in sorted(others, key=lambda m: m.dims != own_dims)]  # its like first
    if not names:
        st.markdown("No other model for this kind of image is installed.")
        return
    told = {m.name: m for m in others}
    name = st.selectbox(
        "The same images with",
        names,
        format_func=lambda one: f"{one} (2-D)" if told[one].dims == 2 else one,
        key="other-model",
    )
    st.caption(plain(told[name].quality or "Nothing measured is stated in its card."))
    if told[name].dims == 2 and result.kind == "volume":
        st.caption(plain(TWO_D_ON_VOLUME))
    if st.button("Compare", type="primary", key="compare"):
        st.query_params["with"] = client.submit_again(job.id, model=name).id
        st.rerun()


def workbench_data(job: JobView, result: JobResult, other: JobView | None = None) -> dict[str, Any]:
    """Return what the viewer needs: addresses and small numbers, no voxels."""
    beside = None
    if other is not None and other.result is not None and other.result.view == result.view:
        beside = {
            "job": other.id,
            "model": other.result.provenance.model,
            "lesions": [asdict(lesion) for lesion in other.result.lesions],
        }
    return browser_access() | {
        "model": result.provenance.model,
        "other": beside,
        "job": job.id,
        "view": result.view.model_dump(mode="json"),
        "lesions": [asdict(lesion) for lesion in result.lesions],
        "review": None if job.review is None else job.review.model_dump(mode="json"),
        "point": result.operating_point,
        "used": str(result.provenance.settings.get("sequence", "t1c")).split(","),
        "midline_x_mm": float(result.provenance.settings.get("midline_x_mm", 0.0)),
        "files": [file.name for file in job.files],
        "pacs": has_pacs(),
        "exports": [export.model_dump(mode="json") for export in job.exports],
    }


def _provenance(job: JobView, result: JobResult) -> None:
    with st.expander("Provenance"):
        provenance = result.provenance
        rows = {
            "Model": f"{provenance.model} (sha256 {provenance.model_sha256[:16]}…)",
            "Program": f"brainmets {provenance.code_version}, {provenance.engine}",
            "Input": f"sha256 {provenance.input_sha256[:16]}…",
            "Settings": ", ".join(f"{k} = {v}" for k, v in provenance.settings.items()),
            "Seconds": ", ".join(f"{k} {v:.1f}" for k, v in result.timings.items()),
            "Job": job.id,
        }
        st.markdown("\n".join(f"- **{name}**: {plain(value)}" for name, value in rows.items()))
        st.caption(result.notice)
