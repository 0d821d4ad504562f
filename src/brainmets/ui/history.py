"""Past jobs: find one, open it, delete it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from brainmets.ui.connection import browser_access
from brainmets.ui.frame import headline
from brainmets.ui.results_list import results_list

if TYPE_CHECKING:
    from streamlit.navigation.page import StreamlitPage

    from brainmets.api.client import Client

__all__ = ["show_history"]


def show_history(client: Client, examine: StreamlitPage) -> None:
    """List the caller's jobs, newest first; opening one leads to the page `examine`."""
    client.jobs(limit=1)  # no service, or no key for it: said before the list is drawn
    st.html(headline("Past results", "Kept on this machine only."))
    opened = results_list(browser_access(), key="results_list").opened
    if opened is not None:
        st.switch_page(examine, query_params={"job": opened} if opened else {})
