"""What a reader measures and looks through: ruler, window as numbers, slab, legend, next lesion."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from playwright.sync_api import expect

from tests.e2e.test_page import bench, drawn, shoot, upload

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Locator, Page


def drag(page: Page, canvas: Locator, start: tuple[float, float], end: tuple[float, float]) -> None:
    box = canvas.bounding_box()
    assert box is not None
    points = [(box["x"] + box["width"] * x, box["y"] + box["height"] * y) for x, y in (start, end)]
    page.mouse.move(*points[0])
    page.mouse.down()
    page.mouse.move(*points[1], steps=3)
    page.mouse.up()
    drawn(page)


def millimetres(page: Page, canvas: Locator, place: tuple[float, float]) -> np.ndarray:
    """Where a click puts the crosshair."""
    box = canvas.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] * place[0], box["y"] + box["height"] * place[1])
    drawn(page)
    told = page.locator(".bench").get_attribute("data-mm") or ""
    return np.array([float(v) for v in told.split(",")])


def brightness(canvas: Locator) -> float:
    """Of the whole picture, 0…255."""
    return canvas.evaluate(
        "c => { const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
        " let sum = 0; for (let at = 0; at < d.length; at += 4) sum += d[at];"
        " return 4 * sum / d.length; }"
    )


def test_a_reader_measures_and_looks_through_slabs(page: Page, address: str, nifti: Path) -> None:
    upload(page, address, nifti)
    found = bench(page)
    canvas = found.locator("figure.main canvas")
    caption = found.locator("figure.main figcaption")
    expect(caption).to_contain_text("2.0 mm apart")

    # a ruler says how far two places are apart
    start, end = (0.35, 0.4), (0.6, 0.55)
    apart = np.linalg.norm(millimetres(page, canvas, start) - millimetres(page, canvas, end))
    page.keyboard.press("r")
    drag(page, canvas, start, end)
    told = canvas.get_attribute("data-ruler") or ""
    assert abs(float(told.removesuffix(" mm")) - apart) < 3.0  # two voxels of 2 mm, cut diagonally
    page.keyboard.press("ArrowUp")
    drawn(page)
    assert canvas.get_attribute("data-ruler") == ""  # it belongs to its slice
    page.keyboard.press("Space")  # by keys: one end here, the other ten voxels on
    for _ in range(10):
        page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Space")
    drawn(page)
    assert canvas.get_attribute("data-ruler") == "20.0 mm"
    shoot(page, "ruler")
    found.get_by_role("button", name="Clear", exact=True).click()
    drawn(page)
    assert canvas.get_attribute("data-ruler") == ""
    canvas.focus()
    page.keyboard.press("r")

    # a slab is at least as bright as its middle slice
    before = brightness(canvas)
    page.keyboard.press("v")
    drawn(page)
    expect(caption).to_contain_text("brightest of ")
    assert brightness(canvas) > before
    page.keyboard.press("v")


def test_window_map_and_next_lesion_are_told(page: Page, address: str, nifti: Path) -> None:
    upload(page, address, nifti)
    found = bench(page)

    # window and level are read and typed in the image's own values
    width = found.get_by_label("Window in the image's units")
    level = found.get_by_label("Level in the image's units")
    width.fill("100")
    width.press("Enter")
    level.fill("150")
    level.press("Enter")
    drawn(page)
    assert abs(float(width.input_value()) - 100) <= 3
    assert abs(float(level.input_value()) - 150) <= 3

    # the colours of the map are explained while it is shown
    legend = found.locator(".legend")
    expect(legend).to_be_hidden()
    found.get_by_label("Probability map").check()
    expect(legend).to_contain_text("Lesion probability")
    page.keyboard.press("p")  # keys work while a tick box has the focus
    expect(legend).to_be_hidden()

    # the next lesion without a label
    found.locator("tbody tr").first.click()
    page.keyboard.press("1")
    page.keyboard.press(".")
    expect(found.locator("tr[aria-current]")).to_have_attribute("data-id", "2")
    page.keyboard.press(".")
    expect(found.locator("tr[aria-current]")).to_have_attribute("data-id", "2")
