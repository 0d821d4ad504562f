"""The viewer alone in a browser, over the real service: no Streamlit, no WebGL, a second a page."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING

import nibabel
import numpy as np
import pytest

from brainmets.api.schemas import JobView
from brainmets.domain import Geometry
from brainmets.ui import work
from brainmets.ui.component import LOOK, sources
from brainmets.ui.viewer import SCRIPTS
from tests.e2e.conftest import watch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Any

    import httpx
    from playwright.sync_api import Browser, Locator, Page

__all__ = ["BLOCKS", "blocks", "open_viewer", "viewer"]

BLOCKS = ((14, 20, 22), (30, 26, 22))
"""Low corners of two bright blocks of 6 x 6 x 6 voxels of 2 mm."""

NO_WEBGL = """
const get = HTMLCanvasElement.prototype.getContext;
HTMLCanvasElement.prototype.getContext = function (kind, ...more) {
  return kind === "webgl2" ? null : get.call(this, kind, ...more);
};
"""
WAITS_MS = 60_000


def blocks() -> bytes:
    """A head of 50 x 56 x 48 voxels with two bright blocks, as NIfTI."""
    head = np.zeros((50, 56, 48), np.int16)
    head[3:-3, 3:-3, 3:-3] = 300
    for x, y, z in BLOCKS:
        head[x : x + 6, y : y + 6, z : z + 6] = 1200
    grid = Geometry.isotropic(head.shape, spacing_mm=2.0)
    return nibabel.Nifti1Image(head, grid.affine).to_bytes()


@contextmanager
def viewer(
    browser: Browser,
    service: httpx.Client,
    job: str,
    *,
    refused: list[str] | None = None,
    **more: Any,
) -> Iterator[Page]:
    """A page on the service's own address that shows one result, and must not complain."""
    address = str(service.base_url).rstrip("/")
    context = browser.new_context(viewport={"width": 1440, "height": 900}, **more)
    context.add_init_script(NO_WEBGL)
    trouble: list[str] = []
    watch(context, address, trouble, [] if refused is None else refused)
    context.route(f"{address}/result", lambda route: route.fulfill(body=_html(service, job)))
    page = context.new_page()
    page.set_default_timeout(WAITS_MS)
    yield page
    context.close()
    assert trouble == []


def open_viewer(page: Page, service: httpx.Client) -> Locator:
    """Load the result and wait until it is drawn."""
    page.goto(f"{str(service.base_url).rstrip('/')}/result")
    found = page.locator(".bench[data-ready=yes]")
    found.wait_for()
    return found


def _html(service: httpx.Client, job_id: str) -> str:
    job = JobView.model_validate(service.get(f"/v1/jobs/{job_id}").json())
    assert job.result is not None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(work, "browser_access", lambda: {"base": "", "token": ""})
        data = json.dumps(work.workbench_data(job, job.result))
    scripts = sources("viewer", SCRIPTS)
    css = "\n".join(path.read_text("utf-8") for path in _styles(scripts[-1].parent))
    js = "\n".join(p.read_text("utf-8") for p in scripts if p.name != "mount.js")
    return (
        f"<!doctype html><meta charset=utf-8><title>Result</title><link rel=icon href='data:,'>"
        f"<style>{css}</style><div class=bench></div><script>{js}\n"
        f"window.bench = new Bench(document.querySelector('.bench')); bench.open({data});</script>"
    )


def _styles(folder: Path) -> tuple[Path, Path]:
    return folder.parent / LOOK, folder / "bench.css"
