"""Giving images: by dropping a folder, in a narrow window."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.e2e.test_page import bench, drawn, shoot, upload

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Page


@pytest.fixture
def dicom_folder(dicom: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "export"
    with zipfile.ZipFile(dicom) as archive:
        archive.extractall(folder / "SE0001")
    (folder / ".DS_Store").write_bytes(b"not an image")
    return folder


def drop(page: Page, path: Path) -> None:
    """Let go of a file or folder over the drop zone, as a hand from the desktop would."""
    box = page.locator(".zone").bounding_box()
    assert box is not None
    at = {"x": box["x"] + box["width"] / 2, "y": box["y"] + 20}
    session = page.context.new_cdp_session(page)
    data = {"items": [], "files": [str(path)], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        session.send("Input.dispatchDragEvent", {"type": kind, **at, "data": data})


def test_a_folder_is_dropped(page: Page, address: str, dicom_folder: Path) -> None:
    page.goto(address)
    page.locator(".zone").wait_for()
    drop(page, dicom_folder)
    page.locator(".intake[data-step=confirm]").wait_for()
    expect(page.locator(".card")).to_have_count(1)
    expect(page.locator(".cost").first).to_contain_text("of memory")
    shoot(page, "confirm")
    page.get_by_role("button", name="Segment", exact=True).click()
    assert bench(page).locator("tbody tr").count() >= 1


OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.mark.parametrize("width", [390, 800])
def test_a_narrow_window_shows_everything_without_scrolling_sideways(
    page: Page, address: str, nifti: Path, width: int
) -> None:
    page.set_viewport_size({"width": width, "height": 844})
    page.goto(address)
    page.locator(".zone").wait_for()
    shoot(page, f"narrow-{width}-start")
    assert page.evaluate(OVERFLOW) <= 0
    upload(page, address, nifti)
    found = bench(page)
    page.wait_for_function(f"{OVERFLOW} <= 0")
    drawn(page)
    shoot(page, f"narrow-{width}-result")
    assert page.evaluate(OVERFLOW) <= 0
    box = found.locator(".panes").bounding_box()
    assert box is not None
    assert box["width"] > 0.85 * width
    wide = found.evaluate(
        "root => [...root.querySelectorAll('button, input, table, figure, legend')]"
        ".filter(one => one.getBoundingClientRect().right > innerWidth + 1 && one.offsetParent)"
        ".map(one => one.outerHTML.slice(0, 80))"
    )
    assert wide == []
