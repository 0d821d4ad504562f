"""Take the README's picture: `python -m tests.docs.picture`.

Serves the demonstration, waits until its sample is segmented and writes what Chromium shows into
`docs/images/page.png`. The sample is synthetic, so the picture holds nobody.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.docs.stand_ins import free_port, is_up, wait_until

__all__ = ["take"]

TARGET = Path(__file__).resolve().parents[2] / "docs" / "images" / "page.png"

SIZE = {"width": 1440, "height": 980}

SEGMENTED_WITHIN_S = 600

ARGUMENTS = (
    "--no-sandbox",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def take(target: Path = TARGET) -> None:
    """Write the picture of the segmented sample."""
    address = f"http://127.0.0.1:{(port := free_port())}"
    with tempfile.TemporaryDirectory() as state:
        server = subprocess.Popen(
            [Path(sys.executable).parent / "brainmets", "serve", "--demo", "--port", str(port)],
            env={**os.environ, "BRAINMETS_STATE_DIR": state, "BROWSER": "true"},
            start_new_session=True,
        )
        try:
            wait_until(lambda: is_up(address), within_s=120)
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(
                    executable_path="/usr/bin/chromium", args=list(ARGUMENTS)
                )
                page = browser.new_page(viewport=SIZE)
                page.goto(address)
                bench = page.locator(".bench[data-ready=yes]")
                bench.wait_for(timeout=SEGMENTED_WITHIN_S * 1000)
                page.wait_for_timeout(5_000)  # the head in space refines itself
                page.screenshot(path=target, timeout=300_000)
                browser.close()
        finally:
            os.killpg(server.pid, signal.SIGTERM)
            server.wait(timeout=60)


if __name__ == "__main__":
    take()
