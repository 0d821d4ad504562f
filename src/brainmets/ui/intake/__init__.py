"""The drop zone: files go from the browser straight to the service, never through the page."""

from __future__ import annotations

from typing import Any

from brainmets.ui.component import build

__all__ = ["SCRIPTS", "intake"]

SCRIPTS = ("files.js", "confirmation.js", "intake.js", "mount.js")
"""In this order they are one module, after the shared ones."""


def intake(data: dict[str, Any], *, key: str) -> Any:
    """Show the drop zone; its state reports `uploaded`, `started` or `unreachable`, each once."""
    return build("intake", "intake", SCRIPTS, "intake.css")(
        data=data,
        key=key,
        on_uploaded_change=_rerun,
        on_started_change=_rerun,
        on_unreachable_change=_rerun,
    )


def _rerun() -> None:
    """Let the page run again."""
