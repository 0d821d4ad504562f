"""The workbench on the result page: our own viewer, as a Streamlit component without an iframe.

It draws on plain canvases, so it needs no WebGL, no build step and nothing from outside. Voxels
travel from the service to the browser as they are; Streamlit carries only small JSON.
"""

from __future__ import annotations

from typing import Any

from brainmets.ui.component import build

__all__ = ["SCRIPTS", "workbench"]

SCRIPTS = ("scan.js", "pane.js", "table.js", "bench.js", "mount.js")
"""In this order they are one module, after the shared ones."""


def workbench(data: dict[str, Any], *, key: str) -> Any:
    """Show a result; return the component's state, `saved` being the last saved review."""
    return build("bench", "viewer", SCRIPTS, "bench.css")(
        data=data, key=key, on_saved_change=_nothing
    )


def _nothing() -> None:
    """Let the page run again."""
