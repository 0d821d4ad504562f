"""The workbench on the result page: our own viewer, as a Streamlit component without an iframe.

It draws on plain canvases, and the head in space by WebGL2 where the browser has it; there is no
build step and nothing from outside. Voxels travel from the service to the browser as they are;
Streamlit carries only small JSON.
"""

from __future__ import annotations

from typing import Any

from brainmets.ui.component import build

__all__ = ["SCRIPTS", "workbench"]

SCRIPTS = (
    "scan.js",
    "diameters.js",
    "surface.js",
    "grow.js",
    "edits.js",
    "candidates.js",
    "readings.js",
    "place.js",
    "paint.js",
    "pane.js",
    "shaders.js",
    "render.js",
    "montage.js",
    "table.js",
    "review.js",
    "saver.js",
    "sensitivity.js",
    "tools.js",
    "ruler.js",
    "legend.js",
    "looks.js",
    "sequences.js",
    "keys.js",
    "exports.js",
    "bench.js",
    "mount.js",
)
"""In this order they are one module, after the shared ones."""


def workbench(data: dict[str, Any], *, key: str) -> None:
    """Show a result; what the reader says of it goes from the browser to the service."""
    build("bench", "viewer", SCRIPTS, "bench.css")(data=data, key=key)
