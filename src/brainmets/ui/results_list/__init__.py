"""The list of past results: the browser asks the service, the page only opens what is chosen."""

from __future__ import annotations

from typing import Any

from brainmets.ui.component import build

__all__ = ["SCRIPTS", "results_list"]

SCRIPTS = ("results_list.js", "mount.js")
"""In this order they are one module, after the shared ones."""


def results_list(data: dict[str, Any], *, key: str) -> Any:
    """Show the list; `opened` reports once which job was chosen, "" for the empty start page."""
    return build("results_list", "results_list", SCRIPTS, "results_list.css")(
        data=data, key=key, on_opened_change=_rerun
    )


def _rerun() -> None:
    """Let the page run again."""
