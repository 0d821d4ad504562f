"""A finished job: the workbench, the downloads, where the numbers come from."""

from __future__ import annotations

import html
from functools import partial
from typing import TYPE_CHECKING, Any

import streamlit as st

from brainmets.ui.connection import browser_base, make_client
from brainmets.ui.texts import plain, size, when
from brainmets.ui.viewer import workbench

if TYPE_CHECKING:
    from brainmets.api.client import Client
    from brainmets.api.schemas import JobResult, JobView

__all__ = ["show_result", "workbench_data"]

FILE_LABELS = {
    "mask.nii.gz": "Mask",
    "mask.png": "Mask",
    "lesions.csv": "Lesion table",
    "report.json": "Report",
    "overlay.png": "Overview picture",
    "probability.nii.gz": "Probability map",
    "mask-reviewed.nii.gz": "Corrected mask",
    "mask-reviewed.png": "Corrected mask",
    "lesions-reviewed.csv": "Corrected table",
}
ALL_FILES = "all.zip"


def show_result(client: Client, job: JobView, result: JobResult) -> None:
    """Show what was found."""
    head, another, delete = st.columns([8, 2, 1], vertical_alignment="center")
    seconds = result.timings.get("total", 0.0)
    took = f" · {seconds:.0f} s" if seconds >= 1 else ""
    head.html(
        f'<div class="headline"><b>{html.escape(job.label)}</b>'
        f"<span>{html.escape(result.provenance.model)} · {when(job.created)}{took}</span></div>"
    )
    if another.button("Examine another", width="stretch", key="another"):
        st.query_params.clear()
        st.rerun()
    with delete.popover("Delete", width="stretch"):
        st.markdown("Delete the images and results of this job from this computer?")
        if st.button("Delete for good", type="primary", key="delete"):
            client.delete(job.id)
            st.query_params.clear()
            st.rerun()
    for warning in result.warnings:
        st.warning(plain(warning))
    workbench(workbench_data(job, result), key=f"bench-{job.id}")
    _downloads(job)
    _provenance(job, result)


def workbench_data(job: JobView, result: JobResult) -> dict[str, Any]:
    """Return what the viewer needs: addresses and small numbers, no voxels."""
    return {
        "base": browser_base(),
        "job": job.id,
        "view": result.view.model_dump(mode="json"),
        "lesions": [lesion.model_dump(mode="json") for lesion in result.lesions],
        "review": None if job.review is None else job.review.model_dump(mode="json"),
        "point": result.operating_point,
        "pixels": result.view.units == "px",
    }


def _downloads(job: JobView) -> None:
    known = sorted(job.files, key=lambda f: (f.name not in FILE_LABELS, f.name))
    shown = [file for file in known if file.name in FILE_LABELS] or known[:5]
    columns = st.columns(len(shown) + 1)
    for column, file in zip(columns, shown, strict=False):
        column.download_button(
            f"{FILE_LABELS.get(file.name, file.name)} ({size(file.size)})",
            data=partial(_fetch, job.id, file.name),
            file_name=file.name,
            mime=file.media_type,
            on_click="ignore",
            width="stretch",
            key=f"file-{file.name}",
        )
    columns[-1].download_button(
        "All files (zip)",
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


def _provenance(job: JobView, result: JobResult) -> None:
    with st.expander("Where these numbers come from"):
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
