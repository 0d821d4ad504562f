"""The other images of an examination on the page: instead of the segmented one, and beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import nibabel
import numpy as np
import pytest
from playwright.sync_api import expect

from tests.e2e.test_page import bench, drawn, shoot

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Locator, Page

    from brainmets.domain import Geometry

MIDDLE = """canvas => {
  const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  let sum = 0;
  for (let at = 0; at < pixels.length; at += 4) sum += pixels[at];
  return 4 * sum / pixels.length;
}"""


@pytest.fixture
def examination(head: tuple[np.ndarray, Geometry], nifti: Path, tmp_path: Path) -> tuple[Path, ...]:
    """The head, and on the same voxels an image where dark is bright."""
    data, geometry = head
    other = nibabel.Nifti1Image((data.max() - data).astype(np.int16), geometry.affine)
    other.header.set_xyzt_units("mm")
    nibabel.save(other, tmp_path / "head_flair.nii.gz")
    return nifti, tmp_path / "head_flair.nii.gz"


def shown(canvas: Locator) -> float:
    return canvas.evaluate(MIDDLE)


def test_other_images_are_shown_instead_and_side_by_side(
    page: Page, address: str, examination: tuple[Path, ...]
) -> None:
    page.goto(address)
    page.locator("input[type=file]").first.set_input_files(list(examination))
    page.locator(".intake[data-step=confirm]").wait_for()
    expect(page.get_by_text("will not be used")).to_be_visible()
    page.get_by_role("button", name="Segment", exact=True).click()
    found = bench(page)
    images = page.get_by_role("group", name="Images of the examination")
    images.get_by_role("button", name="T2 FLAIR").wait_for()
    expect(images).to_contain_text("The model uses T1 with contrast")
    canvas = found.locator("figure.main canvas")
    before = shown(canvas)
    canvas.focus()
    page.keyboard.press("Shift+Digit2")
    expect(found.locator("figure.main figcaption")).to_contain_text("T2 FLAIR")
    drawn(page)
    assert shown(canvas) > before + 20  # the air is bright there
    shoot(page, "flair")
    page.keyboard.press("Shift+Digit1")
    page.keyboard.press("y")
    panes = found.locator(".panes.together figure")
    expect(panes).to_have_count(2)
    drawn(page)
    box = panes.nth(1).locator("canvas").bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] * 0.4, box["y"] + box["height"] * 0.6)
    drawn(page)
    crosses = [panes.nth(n).locator("canvas").get_attribute("data-cross") for n in (0, 1)]
    assert crosses[0] == crosses[1]  # one crosshair
    shoot(page, "side-by-side")
    images.get_by_role("button", name="Coronal").click()
    expect(panes.nth(1).locator("figcaption")).to_contain_text("Coronal")
    page.keyboard.press("y")
    expect(found.locator("figure.render, figure.montage")).to_have_count(1)
