"""What a reader does with a result: lesions at their slice, keys, one model next to another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from playwright.sync_api import expect

from tests.e2e.test_page import bench, drawn, shoot, upload

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Page


def test_a_row_opens_the_slice_of_its_diameters_and_draws_them(
    page: Page, address: str, nifti: Path
) -> None:
    upload(page, address, nifti)
    found = bench(page)
    canvas, rows = found.locator("figure.main canvas"), found.locator("tbody tr")
    for number in range(rows.count()):
        row = rows.nth(number)
        row.click()
        drawn(page)
        slice_ = (row.locator("small").text_content() or "").removeprefix("slice ")
        expect(found.locator("figure.main figcaption")).to_contain_text(f"· {slice_}/")
        told = row.locator("td").nth(2).text_content() or ""
        assert canvas.get_attribute("data-diameters") == told
    shoot(page, "diameters")
    canvas.focus()
    page.keyboard.press("ArrowUp")  # no diameters in another slice
    drawn(page)
    assert canvas.get_attribute("data-diameters") is None


def test_keys_work_before_a_click_and_after_enlarging_the_head(
    page: Page, address: str, nifti: Path
) -> None:
    upload(page, address, nifti)
    bench(page)
    page.reload()
    found = bench(page)
    page.keyboard.press("ArrowRight")  # nothing was clicked since the load
    expect(found.locator("tr[aria-current]")).to_have_attribute("data-id", "2")
    space = found.locator("figure.render canvas")
    space.focus()
    for classes in ("pane render main", "pane render main"):  # large; then alone
        page.keyboard.press("m")
        expect(found.locator("figure.render")).to_have_class(classes)
    expect(found.locator(".panes")).to_have_class("panes alone")
    turned = found.locator("figure.render").get_attribute("data-turned") or ""
    page.keyboard.press("ArrowRight")  # the head still has the keys
    expect(found.locator("figure.render")).not_to_have_attribute("data-turned", turned)
    page.keyboard.press("m")
    expect(found.locator(".panes")).to_have_class("panes")


def test_comparing_closes_its_own_menu(page: Page, address: str, nifti: Path) -> None:
    upload(page, address, nifti)
    bench(page)
    page.get_by_role("button", name="Compare models").click()
    page.get_by_role("button", name="Compare", exact=True).click()
    page.get_by_role("group", name="Plane").wait_for()
    bench(page)
    expect(page.get_by_text("The same images with")).to_have_count(0)
    expect(page.get_by_role("button", name="Stop comparing")).to_have_count(0)
