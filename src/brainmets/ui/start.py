"""The first view: give images, or take the sample."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import streamlit as st

from brainmets.domain.errors import BrainmetsError
from brainmets.inference.machine import free_memory
from brainmets.ui.connection import browser_access, has_pacs
from brainmets.ui.frame import headline
from brainmets.ui.intake import intake
from brainmets.ui.texts import explain

if TYPE_CHECKING:
    from brainmets.api.client import Client
    from brainmets.api.schemas import ModelView

__all__ = ["DEMO_VARIABLE", "intake_data", "show_start"]

MOST_FILES = 4000
"""As the service's own limit, `BRAINMETS_MAX_FILES`, unless that was changed."""

NO_UPLOAD = "-"
"""What the drop zone says when no upload waits any more."""

DEMO_VARIABLE = "BRAINMETS_DEMO"
"""Set by `brainmets serve --demo`: a new visitor lands on the sample's result."""


def show_start(client: Client) -> None:
    """Offer the drop zone and the sample; go to the job once it is queued."""
    if os.environ.get(DEMO_VARIABLE) and "demo" not in st.session_state:
        st.session_state["demo"] = "shown"
        _go(client.submit_sample().id)
    models = client.models()
    told = "Open one scan; see, measure and export its lesions."
    st.html(headline("Find brain metastases", told))
    waiting = st.query_params.get("upload")
    said = intake(intake_data(models, waiting), key="intake")
    if said.started:
        st.query_params.pop("upload", None)
        _go(said.started)
    if said.uploaded == NO_UPLOAD:
        st.query_params.pop("upload", None)
    elif said.uploaded:
        st.query_params["upload"] = said.uploaded
        waiting = said.uploaded
    if said.unreachable or "plain-form" in st.session_state:
        _plain_form(client)
    if waiting and said.uploaded != NO_UPLOAD:
        return
    text, act = st.columns([5, 2], vertical_alignment="center")
    text.markdown(
        "**No image at hand?** A synthetic head with lesions of known size shows how it all works."
    )
    if act.button("Open the sample", width="stretch", key="sample"):
        with act, st.spinner("Opening the sample…"):
            job = client.submit_sample()
        _go(job.id)


def intake_data(models: tuple[ModelView, ...], upload: str | None) -> dict[str, Any]:
    """Return what the drop zone needs: addresses, and each model's measured quality."""
    return browser_access() | {
        "upload": upload,
        "max_files": int(os.environ.get("BRAINMETS_MAX_FILES", MOST_FILES)),
        "pacs": has_pacs(),
        "free_bytes": free_memory() or 2**53,
        "models": [
            {
                "name": model.name,
                "dims": model.dims,
                "sequences": list(model.sequences),
                "quality": model.quality,
            }
            for model in models
        ],
    }


def _plain_form(client: Client) -> None:
    """Take files through the page itself, where the browser cannot reach the service."""
    st.session_state["plain-form"] = "shown"
    st.markdown("Your browser does not reach the service; the page can hand the files on.")
    files: Any = st.file_uploader("Images", accept_multiple_files=True, key="files")
    if st.button("Segment", type="primary", disabled=not files, key="segment"):
        try:
            with st.spinner("Sending the images…"):
                job = client.submit([(file.name, file) for file in files])
        except BrainmetsError as error:
            explain(error)
        else:
            _go(job.id)


def _go(job_id: str) -> None:
    st.query_params["job"] = job_id
    st.rerun()
