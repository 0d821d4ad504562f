"""Past jobs: find one, open it, delete it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from brainmets.ui.texts import STATE_NAMES, plain, when

if TYPE_CHECKING:
    from streamlit.navigation.page import StreamlitPage

    from brainmets.api.client import Client

__all__ = ["show_history"]


def show_history(client: Client, examine: StreamlitPage) -> None:
    """List the caller's jobs, newest first; opening one leads to the page `examine`."""
    jobs = client.jobs()
    st.html('<div class="headline"><b>Past results</b><span>On this computer only.</span></div>')
    if not jobs:
        st.info("Nothing yet: examine an image first.")
        return
    wanted = st.text_input("Search by file name", key="search").strip().lower()
    for job in jobs:
        if wanted not in job.label.lower():
            continue
        name, state, date, open_, delete = st.columns([6, 2, 2, 1, 1], vertical_alignment="center")
        name.markdown(f"**{plain(job.label)}**")
        problem = f" ({job.problem.code})" if job.problem else ""
        state.markdown(plain(STATE_NAMES[job.state] + problem))
        date.markdown(when(job.created))
        if open_.button("Open", key=f"open-{job.id}", width="stretch"):
            st.switch_page(examine, query_params={"job": job.id})
        if delete.button("Delete", key=f"delete-{job.id}", width="stretch"):
            client.delete(job.id)
            st.rerun()
