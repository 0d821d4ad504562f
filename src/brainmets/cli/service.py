"""`brainmets serve`."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["serve"]


def serve(
    *,
    demo: Annotated[
        bool, typer.Option("--demo", help="Open the page on a segmented sample.")
    ] = False,
    host: Annotated[
        str, typer.Option(help="Address to listen at; beyond this machine needs API keys.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen at.")] = 8501,
) -> None:
    r"""Serve the page and the API from one process on this machine.

    \b
    Examples:
      brainmets serve
      brainmets serve --demo --port 8600
    """
    from brainmets.cli.extras import needing

    with needing("serve"):
        from brainmets.ui.server import serve as start

        start(host=host, port=port, demo=demo)
