"""Where the page finds the service, and how it says that it cannot."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from brainmets.api.client import Client

if TYPE_CHECKING:
    import httpx

__all__ = ["DEFAULT_URL", "browser_base", "make_client"]

DEFAULT_URL = "http://127.0.0.1:8000"
URL_VARIABLE = "BRAINMETS_API_URL"
BROWSER_VARIABLE = "BRAINMETS_BROWSER_API"
"""Set by `brainmets serve`: the path under which the browser finds the service beside the page."""

KEY_VARIABLE = "BRAINMETS_API_KEY"

transport: httpx.BaseTransport | None = None
"""Tests put a mock here."""


def make_client() -> Client:
    """Return a client of the service that the environment names."""
    return Client(
        os.environ.get(URL_VARIABLE, DEFAULT_URL),
        api_key=os.environ.get(KEY_VARIABLE),
        transport=transport,
    )


def browser_base() -> str:
    """Return the service's address as the user's browser sees it."""
    return os.environ.get(BROWSER_VARIABLE) or os.environ.get(URL_VARIABLE, DEFAULT_URL)
