"""Past results, and the key that a service may ask for."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.e2e.axe import serious
from tests.e2e.conftest import LESIONS, PATIENCE_MS, served, watch
from tests.e2e.test_page import bench, shoot, upload

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page

KEY = "a-key-for-the-tests"


@pytest.fixture
def with_keys(
    browser: Browser, models: Path, tmp_path: Path, refused: list[str]
) -> Iterator[tuple[Page, str]]:
    """A page of a service of its own that asks for a key and knows of no job."""
    keys = f"radiology:{hashlib.sha256(KEY.encode()).hexdigest()}"
    with served(models, tmp_path, BRAINMETS_API_KEYS_SHA256=keys) as address:
        context = browser.new_context(viewport={"width": 1440, "height": 900})
        trouble: list[str] = []
        watch(context, address, trouble, refused)
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        yield page, address
        context.close()
        assert trouble == []


def test_a_key_opens_the_page_and_past_results_begin_empty(
    with_keys: tuple[Page, str], nifti: Path, refused: list[str]
) -> None:
    page, address = with_keys
    refused.append("/v1/session")
    page.goto(address)
    for scheme in ("dark", "light"):
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        page.locator(".signin[data-ready=yes]").wait_for()
        assert not serious(page), scheme
        shoot(page, f"signin-{scheme}")
    page.get_by_label("API key").fill("not it")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("E_UNAUTHORISED")
    page.get_by_label("API key").fill(KEY)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("link", name="Past results").click()
    page.get_by_text("No results yet").wait_for()
    shoot(page, "history-empty")
    page.get_by_role("button", name="Segment a scan").click()
    page.locator(".intake[data-step=ask]").wait_for()

    upload(page, address, nifti)
    assert bench(page).locator("tbody tr").count() == len(LESIONS)
    page.get_by_role("link", name="Past results").click()
    row = page.locator(".results_list tbody tr")
    expect(row).to_have_count(1)
    expect(row).to_contain_text("head_t1c.nii.gz")
    expect(row.locator(".lesions")).to_have_text(str(len(LESIONS)))
    expect(row.locator(".model")).to_have_text("attention-unet-3d")
    page.get_by_label("Search by file name").fill("somebody else")
    page.get_by_text("No file name has").wait_for()
    page.get_by_label("Search by file name").fill("HEAD")
    expect(row).to_have_count(1)
    shoot(page, "history")
    row.get_by_role("link").click()
    bench(page)
    page.get_by_role("link", name="Past results").click()
    row.get_by_role("button", name="Delete…").click()
    row.get_by_role("button", name="Delete", exact=True).click()
    page.get_by_text("No results yet").wait_for()
    page.get_by_role("button", name="Sign out").click()
    page.locator(".signin[data-ready=yes]").wait_for()
