"""What axe-core finds on every page, in the light and the dark scheme: nothing serious.

The page that asks for a key and a follow-up are checked where they are opened: `test_past.py` and
`test_followup.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.e2e.axe import serious
from tests.e2e.test_page import bench, upload

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Page


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_has_a_serious_violation(
    page: Page, address: str, nifti: Path, png: Path, scheme: str
) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    upload(page, address, nifti)
    found = bench(page)
    violations = {"result": serious(page)}
    found.locator("tbody tr").first.click()
    found.get_by_label("Probability map").check()
    page.keyboard.press("b")  # brush in hand, its size and hint on the page
    violations["editing"] = serious(page)
    page.keyboard.press("?")
    violations["keys"] = serious(page)
    upload(page, address, png)
    expect(bench(page).locator("figure")).to_have_count(2)
    violations["slices"] = serious(page)
    page.goto(address)
    page.locator(".intake[data-step=ask]").wait_for()
    violations["start"] = serious(page)
    for name, ready in (("Past results", ".results_list table"), ("Follow-up", ".headline")):
        page.get_by_role("link", name=name).click()
        page.locator(ready).first.wait_for()
        violations[name] = serious(page)
    assert not {name: faults for name, faults in violations.items() if faults}
