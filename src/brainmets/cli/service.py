"""`brainmets serve` and `brainmets worker`."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["serve", "worker"]


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
    from brainmets.domain.extras import needing

    with needing("serve"):
        from brainmets.ui.server import serve as start

        start(host=host, port=port, demo=demo)


def worker() -> None:
    r"""Compute jobs that `brainmets serve` takes in on other machines.

    It needs the servers' settings: BRAINMETS_DATABASE_URL (PostgreSQL) and BRAINMETS_STATE_DIR
    (the shared folder with uploads and results). SIGTERM ends it; its jobs go back to the queue.

    \b
    Example:
      BRAINMETS_DATABASE_URL=postgresql://brainmets@db.example/brainmets \
        BRAINMETS_STATE_DIR=/srv/brainmets brainmets worker
    """
    from brainmets.domain.extras import needing

    with needing("serve"):
        from brainmets.api.settings import Settings
        from brainmets.api.standalone import compute_until_stopped

        compute_until_stopped(Settings())
