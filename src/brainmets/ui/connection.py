"""Where the page finds the service, and in whose name page and browser ask it."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import streamlit as st

from brainmets.api.client import Client
from brainmets.api.sessions import COOKIE

if TYPE_CHECKING:
    import httpx

__all__ = ["DEFAULT_URL", "browser_access", "has_pacs", "make_client", "service_address"]

DEFAULT_URL = "http://127.0.0.1:8000"
URL_VARIABLE = "BRAINMETS_API_URL"
BROWSER_VARIABLE = "BRAINMETS_BROWSER_API"
"""Set by `brainmets serve`: the path under which the browser finds the service next to the page."""

KEY_VARIABLE = "BRAINMETS_API_KEY"
"""A key for the page itself: whoever reaches the page then acts in its name."""

RENEW_S = 3600.0
"""A browser's token is renewed long before it ends."""

transport: httpx.BaseTransport | None = None
"""Tests put a mock here."""


def make_client() -> Client:
    """Return a client of the service that the environment names, as whoever is signed in."""
    return Client(
        os.environ.get(URL_VARIABLE, DEFAULT_URL),
        api_key=st.context.cookies.get(COOKIE) or os.environ.get(KEY_VARIABLE),
        transport=transport,
    )


def browser_access() -> dict[str, str]:
    """Return what a component's `Service` needs: the address as the browser sees it, a token.

    The token is empty where the browser has its own cookie or none is needed; the page's key
    itself is never handed on.
    """
    return {"base": service_address(), "token": _token()}


def service_address() -> str:
    """Return where the browser finds the service."""
    return os.environ.get(BROWSER_VARIABLE) or os.environ.get(URL_VARIABLE, DEFAULT_URL)


def has_pacs() -> bool:
    """Whether the service opens studies from a PACS: page and service have one environment."""
    return bool(os.environ.get("BRAINMETS_PACS_URL"))


def _token() -> str:
    if st.context.cookies.get(COOKIE) or not os.environ.get(KEY_VARIABLE):
        return ""
    token, made = st.session_state.get("browser-token", ("", 0.0))
    if time.time() - made > RENEW_S:
        with make_client() as client:
            token, made = client.sign_in(), time.time()
        st.session_state["browser-token"] = (token, made)
    return token
