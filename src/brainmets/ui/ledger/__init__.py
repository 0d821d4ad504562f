"""The list of past results: the browser asks the service, the page only opens what is chosen."""

from __future__ import annotations

from typing import Any

from brainmets.ui.component import build

__all__ = ["SCRIPTS", "ledger"]

SCRIPTS = ("ledger.js", "mount.js")
"""In this order they are one module, after the shared ones."""


def ledger(data: dict[str, Any], *, key: str) -> Any:
    """Show the list; `opened` tells once which job was chosen, "" for the empty start page."""
    return build("ledger", "ledger", SCRIPTS, "ledger.css")(
        data=data, key=key, on_opened_change=_rerun
    )


def _rerun() -> None:
    """Let the page run again."""
