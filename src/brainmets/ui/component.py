"""Build browser components: plain JavaScript and CSS files, no build step."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["build", "sources"]

_HERE = Path(__file__).parent
SHARED = ("browser/dom.js", "browser/service.js")
LOOK = "browser/look.css"


def sources(folder: str, scripts: tuple[str, ...]) -> tuple[Path, ...]:
    """Return the scripts of a component in the order in which they are one module."""
    return tuple(_HERE / name for name in (*SHARED, *(f"{folder}/{name}" for name in scripts)))


@cache
def build(name: str, folder: str, scripts: tuple[str, ...], css: str) -> Callable[..., Any]:
    """Return a Streamlit component that mounts in a `div` of class `name`, no iframe around it."""
    from streamlit.components.v2 import component

    return component(
        f"brainmets_{name}",
        html=f'<div class="{name}" aria-busy="true"></div>',
        css="\n".join((_HERE / file).read_text("utf-8") for file in (LOOK, f"{folder}/{css}")),
        js="\n".join(path.read_text("utf-8") for path in sources(folder, scripts)),
    )
