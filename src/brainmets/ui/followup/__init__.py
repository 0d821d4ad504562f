"""The board on the follow-up page: scans side by side, lesions over time, the chart.

Panes are the workbench's own; only what is about time is added here.
"""

from __future__ import annotations

from typing import Any

from brainmets.ui.component import build

__all__ = ["SCRIPTS", "board"]

SCRIPTS = (
    "../viewer/scan.js",
    "../viewer/paint.js",
    "../viewer/pane.js",
    "course.js",
    "lesion_chart.js",
    "board.js",
    "mount.js",
)
"""In this order they are one module, after the shared ones."""


def board(data: dict[str, Any], *, key: str) -> None:
    """Show a follow-up; voxels go from the service to the browser, Streamlit carries small JSON."""
    build("followup", "followup", SCRIPTS, "followup.css")(data=data, key=key)
