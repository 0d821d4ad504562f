"""What `brainmets serve` answers at each address, and when it says that it is ready."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.e2e.conftest import served

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

JSON, PROBLEM = "application/json", "application/problem+json"
KNOWN = {
    "/healthz": JSON,
    "/readyz": JSON,
    "/openapi.json": JSON,
    "/v1/models": JSON,
    "/v1/jobs": JSON,
    "/metrics": "text/plain",
    "/docs": "text/html",
    "/": "text/html",
    "/past": "text/html",
    "/followup": "text/html",
}
UNKNOWN = ("/nonsense", "/v1/nonsense", "/api/nonsense", "/past/nonsense", "/healthz/x", "/v2/jobs")


@pytest.fixture(scope="module")
def own(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    folder = tmp_path_factory.mktemp("addresses")
    with served(models, folder) as url:
        yield url, folder / "server.log"


@pytest.mark.parametrize(("path", "kind"), KNOWN.items())
def test_documented_addresses_answer(own: tuple[str, Path], path: str, kind: str) -> None:
    answer = httpx.get(own[0] + path, timeout=60)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith(kind)
    if path == "/docs":
        assert "files" in answer.text
        assert "curl -F files=@head_t1c.nii.gz" in answer.text
    elif kind == "text/html":
        assert "streamlit" in answer.text.lower()


@pytest.mark.parametrize("path", UNKNOWN)
def test_unknown_addresses_are_404_for_programs_and_people(
    own: tuple[str, Path], path: str
) -> None:
    answer = httpx.get(own[0] + path, timeout=60)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == PROBLEM
    assert answer.json()["code"] == "E_REQUEST"
    assert httpx.head(own[0] + path, timeout=60).status_code in {404, 405}
    for_people = httpx.get(own[0] + path, headers={"Accept": "text/html"}, timeout=60)
    assert for_people.status_code == 404


def test_requests_are_logged_without_what_a_caller_chose(own: tuple[str, Path]) -> None:
    url, log = own
    httpx.get(f"{url}/v1/jobs?text=SMITH", timeout=60)
    httpx.get(f"{url}/v1/SMITH", timeout=60)
    httpx.get(f"{url}/healthz", timeout=60)
    text = log.read_text("utf-8")
    assert re.search(r"brainmets\.requests: GET /v1/jobs 200 \d", text)
    assert re.search(r"brainmets\.requests: GET /v1/… 404 \d", text)
    assert re.search(r"brainmets\.requests: GET /healthz 200 \d", text)
    assert "SMITH" not in text


def test_the_address_is_printed_once_the_page_has_been_drawn(own: tuple[str, Path]) -> None:
    url, log = own
    deadline = time.monotonic() + 120
    while "brainmets is ready" not in log.read_text("utf-8"):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    before, _, after = log.read_text("utf-8").partition("brainmets is ready")
    assert url in after.splitlines()[0]
    assert "GET /readyz 200" in before  # every model read
    assert "GET /v1/models 200" in before  # asked for by the page's own script
