"""A visit of the page with all that it starts, traced: nothing leaves the machine."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import httpx
import pytest
from playwright.sync_api import expect

from tests.e2e.conftest import served, watch
from tests.e2e.test_page import bench, upload
from tests.patience import comes_true
from tests.tracing import attempts_beyond_loopback, fresh_environment, tracer
from tests.unit.test_api_durability import free_port

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser

FOREIGN_PAGE = {
    "Origin": "http://elsewhere.example",
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}
"""Streamlit looks up this computer's address before it refuses such a page."""


@pytest.fixture
def trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("CI", "STREAMLIT_BROWSER_GATHER_USAGE_STATS"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "trace.txt"


def test_a_visit_with_a_segmentation_and_a_report_reaches_no_host(
    browser: Browser, models: Path, nifti: Path, trace: Path, tmp_path: Path
) -> None:
    with served(models, tmp_path, under=tracer(trace)) as address:
        context = browser.new_context(accept_downloads=True)
        asked_outside: list[str] = []
        watch(context, address, asked_outside, [])
        page = context.new_page()
        upload(page, address, nifti)
        assert bench(page).locator("tbody tr").count() >= 1
        job = httpx.get(f"{address}/api/v1/jobs").json()["jobs"][0]["id"]
        report = httpx.get(f"{address}/api/v1/jobs/{job}/exports/report.pdf", timeout=180)
        assert report.content.startswith(b"%PDF")
        foreign = httpx.get(f"{address}/_stcore/stream", headers=FOREIGN_PAGE, timeout=30)
        assert foreign.status_code == 403
        context.close()
        assert asked_outside == []
    traced = trace.read_text(errors="replace")
    assert traced.count("\n") > 5, "the trace saw the page's own connections"
    assert attempts_beyond_loopback(trace) == set()
    assert [path.name for path in (tmp_path / "home").rglob("*intel*")] == []


def test_the_page_by_itself_reaches_no_host(
    browser: Browser, trace: Path, tmp_path: Path, repository: Path
) -> None:
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    start = ["-m", "streamlit", "run", "app/frontend.py", "--server.port", str(port)]
    environment = fresh_environment(tmp_path / "home") | {
        "BRAINMETS_API_URL": f"http://127.0.0.1:{free_port()}"
    }
    process = subprocess.Popen(
        [*tracer(trace), sys.executable, *start], cwd=repository, env=environment
    )
    try:
        assert comes_true(lambda: answers(address))
        foreign = httpx.get(f"{address}/_stcore/stream", headers=FOREIGN_PAGE, timeout=30)
        assert foreign.status_code == 403
        context = browser.new_context()
        page = context.new_page()
        page.goto(address)
        expect(page.get_by_text("uvicorn app.main:app").first).to_be_visible()
        context.close()
    finally:
        process.terminate()
        process.wait(timeout=30)
    assert attempts_beyond_loopback(trace) == set()


def answers(address: str) -> bool:
    try:
        return httpx.get(f"{address}/_stcore/health", timeout=5).is_success
    except httpx.HTTPError:
        return False
