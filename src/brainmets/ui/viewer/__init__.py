"""The workbench on the result page: our own viewer, as a Streamlit component without an iframe.

It draws on plain canvases, so it needs no WebGL, no build step and nothing from outside. Voxels
travel from the service to the browser as they are; Streamlit carries only small JSON.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["SCRIPTS", "workbench"]

SCRIPTS = ("scan.js", "pane.js", "table.js", "bench.js", "mount.js")
"""In this order they are one module."""

_HERE = Path(__file__).parent


def workbench(data: dict[str, Any], *, key: str) -> Any:
    """Show a result; return the component's state, `saved` being the last saved review."""
    return _component()(data=data, key=key, on_saved_change=_nothing)


def _nothing() -> None:
    """Let the page run again."""


@cache
def _component() -> Callable[..., Any]:
    from streamlit.components.v2 import component

    return component(
        "brainmets_workbench",
        html='<div class="bench" aria-busy="true"></div>',
        css=(_HERE / "bench.css").read_text(),
        js="\n".join((_HERE / name).read_text() for name in SCRIPTS),
    )
