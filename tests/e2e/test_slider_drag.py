"""The sensitivity slider under a real pointer: the first drag after a load goes all the way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.test_page import bench, upload

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Locator, Page

LOADS = 10


@pytest.fixture
def slider(page: Page, address: str, nifti: Path) -> Locator:
    upload(page, address, nifti)
    return bench(page).get_by_label("Sensitivity", exact=False)


def test_the_first_drag_after_each_of_ten_loads_follows_the_pointer(
    page: Page, slider: Locator
) -> None:
    reached: list[float] = []
    for _ in range(LOADS):
        reached.append(drag(page, slider, from_=0.4, to=0.9))
        page.evaluate("history.replaceState(null, '', location.pathname + location.search)")
        page.reload()
        bench(page)
    print(f"\n{reached}")
    assert all(abs(value - 0.9) <= 0.03 for value in reached)


def drag(page: Page, slider: Locator, *, from_: float, to: float) -> float:
    """Press the thumb, move in steps as a hand does, let go; return where it stands."""
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    assert box is not None
    thumb = 16

    def x(share: float) -> float:
        return box["x"] + thumb / 2 + share * (box["width"] - thumb)

    y = box["y"] + box["height"] / 2
    page.mouse.move(x(float(slider.input_value())), y)
    page.mouse.down()
    page.mouse.move(x(from_), y)
    steps = 8
    for n in range(steps + 1):
        page.mouse.move(x(from_ + (to - from_) * n / steps), y)
    page.mouse.up()
    return float(slider.input_value())
