"""The head in space by WebGL2, and what stands there without it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.e2e.conftest import FLAGS, LESIONS, PATIENCE_MS, watch
from tests.e2e.test_page import bench, place_mm, shoot, upload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Locator, Page

COLOURS_SEEN = """canvas => {
  const gl = canvas.getContext("webgl2");
  const pixels = new Uint8Array(4 * canvas.width * canvas.height);
  gl.readPixels(0, 0, canvas.width, canvas.height, gl.RGBA, gl.UNSIGNED_BYTE, pixels);
  let amber = 0, grey = 0, solid = 0;
  for (let at = 0; at < pixels.length; at += 4) {
    const [r, g, b] = pixels.subarray(at, at + 3);
    if (Math.max(r, g, b) - Math.min(r, g, b) > 60) amber++;
    else if (r > 24) grey++;
    if (r > 100) solid++;
  }
  return [amber, grey, solid, canvas.width * canvas.height];
}"""


def drawn(page: Page, canvas: Locator, sound: Callable[[int, int, int, int], bool]) -> None:
    """Wait until the picture's coloured, grey, bright and all pixels are as `sound` says."""
    for _ in range(120):
        seen = canvas.evaluate(COLOURS_SEEN)
        if sound(*seen):
            return
        page.wait_for_timeout(500)
    pytest.fail(f"{seen} coloured, grey, bright and all pixels")


def test_the_head_is_drawn_in_space_with_its_lesions(page: Page, address: str, nifti: Path) -> None:
    upload(page, address, nifti)
    found = bench(page)
    space = found.locator("figure.render")
    canvas = space.locator("canvas")
    canvas.dblclick()  # enlarged
    expect(space).to_have_class("pane render main")
    drawn(page, canvas, lambda lesions, glass, _, all_: lesions > all_ / 2000 and glass > all_ / 20)
    shoot(page, "space")
    turned = space.get_attribute("data-turned")
    canvas.focus()
    page.keyboard.press("ArrowRight")
    expect(space).not_to_have_attribute("data-turned", turned or "")
    space.get_by_role("button", name="Cut open").click()
    drawn(page, canvas, lambda _, __, solid, all_: solid > all_ / 10)  # skin and faces of the cut
    shoot(page, "space-cut")


@pytest.fixture
def without_webgl(browser: Browser, address: str) -> Iterator[Page]:
    own = browser.browser_type.launch(
        executable_path="/usr/bin/chromium", args=[*FLAGS, "--disable-3d-apis"]
    )
    context = own.new_context(viewport={"width": 1440, "height": 900})
    trouble: list[str] = []
    watch(context, address, trouble, [])
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    yield page
    own.close()
    assert trouble == []


def test_without_webgl_a_montage_stands_in(without_webgl: Page, address: str, nifti: Path) -> None:
    page = without_webgl
    upload(page, address, nifti)
    found = bench(page)
    assert found.locator("figure.render").count() == 0
    tiles = found.locator("figure.montage button.tile")
    expect(tiles).to_have_count(len(LESIONS))
    found.locator("tbody tr").first.click()
    tiles.nth(1).click()
    assert abs(place_mm(found) - LESIONS[1].centre_ras_mm).max() <= 2.0
    expect(found.locator("tbody tr").nth(1)).to_have_attribute("aria-current", "true")
    shoot(page, "montage")
