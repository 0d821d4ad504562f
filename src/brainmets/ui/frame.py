"""What frames every job on the page: its headline, its warnings, how to delete it."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

import streamlit as st

if TYPE_CHECKING:
    from collections.abc import Iterable

    from brainmets.api.client import Client

__all__ = ["headline", "offer_deletion", "show_warnings"]


def headline(title: str, text: str) -> str:
    """Return the first line of a view as HTML, whatever letters the two bring."""
    return (
        f'<div class="headline"><b>{html.escape(title)}</b><span>{html.escape(text)}</span></div>'
    )


def show_warnings(warnings: Iterable[str]) -> None:
    """List what to know before reading a result, if there is anything."""
    if notes := "".join(f"<li>{html.escape(warning)}</li>" for warning in warnings):
        st.html(f'<div role="note" aria-label="Warnings"><ul class="warnings">{notes}</ul></div>')


def offer_deletion(client: Client, job_id: str, question: str) -> None:
    """Ask, delete, and go back to the start; stands in a popover."""
    st.markdown(question)
    if st.button("Delete for good", type="primary", key="delete"):
        client.delete(job_id)
        st.query_params.clear()
        st.rerun()
