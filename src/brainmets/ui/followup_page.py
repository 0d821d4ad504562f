"""The follow-up page: choose scans of one patient among past results, follow their lesions."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import streamlit as st

from brainmets.api.followup_schemas import MOST_SCANS
from brainmets.api.schemas import FINISHED
from brainmets.domain.errors import BrainmetsError
from brainmets.ui.connection import browser_access, make_client
from brainmets.ui.followup import board
from brainmets.ui.frame import headline, offer_deletion, show_warnings
from brainmets.ui.progress import POLL_S, still_at_work
from brainmets.ui.texts import explain, explain_problem, plain, when

if TYPE_CHECKING:
    from brainmets.api.client import Client
    from brainmets.api.schemas import JobResult, JobView

__all__ = ["board_data", "show_followup", "show_followups"]

ADDRESS = "job"

STAGE_NAMES = {
    "read": "Reading the scans and their lesions",
    "align": "Registering the scans to the baseline",
    "write": "Following the lesions, writing the results",
}

FILE_LABELS = {
    "report.pdf": "Report (PDF)",
    "tracked.csv": "Lesions over time (CSV)",
    "response.csv": "RANO-BM (CSV)",
    "tracked.json": "Everything (JSON)",
    "chart.svg": "Chart (SVG)",
}
ALL_FILES = "all.zip"

DATES = {
    "headers": "from the DICOM headers; without any, in the order chosen",
    "given": "as I write them",
}


def show_followups(client: Client) -> None:
    """Show the follow-up that the address names, or let one be put together."""
    job_id = st.query_params.get(ADDRESS)
    if job_id:
        show_followup(client, client.job(job_id))
    else:
        _choose(client)


def show_followup(client: Client, job: JobView) -> None:
    """Show a follow-up in whatever state it is."""
    if job.state not in FINISHED:
        st.html(headline("Following", job.label))
        _progress(job.id)
        if st.button("Cancel", key="cancel"):
            client.cancel(job.id)
            st.rerun()
        return
    if job.state == "done" and job.result is not None and job.result.followup is not None:
        _result(client, job, job.result)
        return
    st.html(headline("No result", job.label))
    if job.problem is not None:
        explain_problem(job.problem)
        if job.problem.code == "E_PATIENT" and job.options.followup is not None:
            _despite_names(client, job)
    else:
        st.info("This follow-up was cancelled.")
    _another()


def board_data(job: JobView, result: JobResult) -> dict[str, Any]:
    """Return what the board needs: addresses and small numbers, no voxels."""
    assert result.followup is not None  # noqa: S101 - asked before
    return browser_access() | {
        "job": job.id,
        "view": result.view.model_dump(mode="json"),
        "followup": result.followup.model_dump(mode="json"),
    }


def _choose(client: Client) -> None:
    st.html(headline("Follow-up", "Which lesions grew, shrank, are new or have resolved?"))
    jobs = {
        job.id: job for job in client.jobs() if job.state == "done" and not job.options.followup
    }
    if len(jobs) < 2:
        st.info("A follow-up needs at least two finished results: segment two scans first.")
        return
    chosen = st.multiselect(
        f"Scans of one patient, the earliest first (2 to {MOST_SCANS})",
        list(jobs),
        format_func=lambda job_id: f"{jobs[job_id].label} · {when(jobs[job_id].created)}",
        max_selections=MOST_SCANS,
        key="chosen",
    )
    source = st.radio(
        "Dates of the scans",
        list(DATES),
        format_func=DATES.__getitem__,
        horizontal=True,
        key="dates",
    )
    dates: list[str] = []
    if source == "given":
        columns = st.columns(max(len(chosen), 2))
        for number, (column, job_id) in enumerate(zip(columns, chosen, strict=False), start=1):
            hint = "2024-01-31, or a day: 0"
            label = plain(f"{number}. {jobs[job_id].label}")
            dates.append(column.text_input(label, placeholder=hint, key=f"date-{job_id}"))
        st.caption("Dates become days since the first scan at once; they are not kept.")
    measurable = st.radio(
        "A lesion is a target from",
        [10.0, 5.0],
        format_func=lambda mm: f"{mm:.0f} mm" + (" (RANO-BM)" if mm == 10.0 else " (some trials)"),
        horizontal=True,
        key="measurable",
    )
    if st.button("Follow the lesions", type="primary", disabled=len(chosen) < 2, key="follow"):
        _submit(client, tuple(chosen), tuple(text.strip() for text in dates), measurable)


def _submit(
    client: Client,
    jobs: tuple[str, ...],
    dates: tuple[str, ...],
    measurable_mm: float,
    **more: bool,
) -> None:
    try:
        job = client.follow(jobs, dates=dates, measurable_mm=measurable_mm, **more)
    except BrainmetsError as error:
        explain(error)
    else:
        st.query_params[ADDRESS] = job.id
        st.rerun()


def _despite_names(client: Client, job: JobView) -> None:
    """Let the reader say that it is one patient under several names."""
    options = job.options.followup
    if options is not None and st.button("Same patient: continue", key="despite"):
        days = tuple(str(day) for day in options.days)
        _submit(client, options.jobs, days, options.measurable_mm, same_patient=True)


@st.fragment(run_every=POLL_S)
def _progress(job_id: str) -> None:
    """Tell how far it is until it stops, then draw the page again."""
    job = still_at_work(job_id)
    if job is None:
        return
    waiting = job.state == "queued"
    text = "Queued" if waiting else STAGE_NAMES.get(job.stage, "Starting")
    st.progress(0.0 if waiting else min(1.0, job.done), text=text)


def _result(client: Client, job: JobView, result: JobResult) -> None:
    head, another, delete = st.columns([9, 2, 2], vertical_alignment="center")
    head.html(headline(job.label, when(job.created)))
    with another:
        _another()
    with delete.popover("Delete", width="stretch"):
        question = "Delete this follow-up? The results it was made of stay."
        offer_deletion(client, job.id, question)
    show_warnings(result.warnings)
    board(board_data(job, result), key=f"board-{job.id}")
    _downloads(job)
    st.caption(
        "By images alone: RANO-BM (Lin et al. 2015, Lancet Oncol 16:e270) also weighs"
        f" corticosteroids and the clinical state. {result.notice}"
    )


def _downloads(job: JobView) -> None:
    there = {file.name: file for file in job.files}
    shown = [there[name] for name in FILE_LABELS if name in there]
    columns = st.columns(len(shown) + 1)
    for column, file in zip(columns, shown, strict=False):
        column.download_button(
            FILE_LABELS[file.name],
            data=partial(_fetch, job.id, file.name),
            file_name=file.name,
            mime=file.media_type,
            on_click="ignore",
            width="stretch",
            key=f"file-{file.name}",
        )
    columns[-1].download_button(
        "All, with aligned scans (zip)",
        data=partial(_fetch, job.id, ALL_FILES),
        file_name=f"brainmets-{job.id}.zip",
        mime="application/zip",
        on_click="ignore",
        width="stretch",
        key="file-all",
        type="primary",
    )


def _fetch(job_id: str, name: str) -> bytes:
    with make_client() as client:
        return client.file(job_id, name)


def _another() -> None:
    if st.button("New follow-up", key="another", width="stretch"):
        st.query_params.clear()
        st.rerun()
