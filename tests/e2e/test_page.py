"""Every flow of the page, in a real browser, against what `brainmets serve` runs."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import nibabel
import numpy as np
import pytest
from playwright.sync_api import expect

from brainmets.domain import RESEARCH_USE_ONLY
from tests.e2e.conftest import LESIONS

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

    from brainmets.domain import Geometry

SHOTS = os.environ.get("BRAINMETS_E2E_SHOTS")
"""A folder for screenshots to look at."""


def upload(page: Page, address: str, *paths: Path) -> None:
    page.goto(address)
    page.locator("input[type=file]").first.set_input_files(list(paths))
    page.locator(".intake[data-step=confirm]").wait_for()
    page.get_by_role("button", name="Segment", exact=True).click()


def bench(page: Page) -> Locator:
    found = page.locator(".bench[data-ready=yes]")
    found.wait_for()
    return found


def shoot(page: Page, name: str) -> None:
    if SHOTS:
        page.wait_for_timeout(400)
        page.screenshot(path=Path(SHOTS) / f"{name}.png", full_page=True)


def drawn(page: Page) -> None:
    """Wait until what was asked to be drawn has been: panes draw in the browser's next frame."""
    frame = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
    page.evaluate(frame)


def place_mm(found: Locator) -> np.ndarray:
    return np.array([float(v) for v in (found.get_attribute("data-mm") or "").split(",")])


def row_of_largest(found: Locator) -> Locator:
    return found.locator("tbody tr").first


def test_a_nifti_head_from_upload_to_download(
    page: Page, address: str, nifti: Path, head: tuple[np.ndarray, Geometry]
) -> None:
    upload(page, address, nifti)
    found = bench(page)
    assert page.get_by_text(RESEARCH_USE_ONLY).first.is_visible()
    rows = found.locator("tbody tr")
    assert rows.count() == len(LESIONS)
    for row, lesion in zip((rows.nth(n) for n in range(len(LESIONS))), LESIONS, strict=True):
        row.click()
        assert row.get_attribute("aria-current") == "true"
        assert np.abs(place_mm(found) - lesion.centre_ras_mm).max() <= 2.0  # one voxel
    shoot(page, "nifti")
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Everything").click()
    archive = zipfile.ZipFile(io.BytesIO(Path(waiting.value.path()).read_bytes()))
    assert {"mask.nii.gz", "lesions.csv", "report.json", "overlay.png"} <= set(archive.namelist())
    unpacked = Path(waiting.value.path()).with_name("mask.nii.gz")
    unpacked.write_bytes(archive.read("mask.nii.gz"))
    mask = nibabel.load(unpacked)
    data, geometry = head
    assert mask.shape == data.shape
    assert np.allclose(mask.affine, geometry.affine)


def test_a_reload_and_a_second_tab_come_back_to_the_same_place(
    page: Page, address: str, nifti: Path
) -> None:
    upload(page, address, nifti)
    found = bench(page)
    found.locator("tbody tr").nth(1).click()
    found.get_by_label("Sensitivity", exact=False).fill("0.3")
    found.locator("figure.main canvas").focus()
    for _ in range(2):
        page.keyboard.press("ArrowUp")
    expect(found).to_have_attribute("data-settled", "0.70", timeout=60_000)
    at = found.get_attribute("data-at") or ""
    page.wait_for_function("at => location.hash.includes(`at=${at}&`)", arg=at)
    assert "head_t1c" not in page.url  # no name of a file, which may be a patient's
    place = page.url
    page.reload()
    assert bench(page).get_attribute("data-at") == at
    tab = page.context.new_page()
    tab.set_default_timeout(60_000)
    tab.goto(place)
    found = bench(tab)
    assert found.get_attribute("data-at") == at
    assert "70 %" in (found.locator(".sensitivity output").text_content() or "")
    expect(found.locator("tbody tr").nth(1)).to_have_attribute("aria-current", "true")
    tab.close()


BEGINS = {
    "PDF report": b"%PDF",
    "Mask · NIfTI": b"\x1f\x8b",
    "Table · CSV": b"id,",
    "Report · JSON": b"{",
    "FHIR · JSON": b"{",
    "Everything · zip": b"PK",
}
DICOM_BEGINS = dict.fromkeys(("DICOM-SEG", "RTSTRUCT"), bytes(128) + b"DICM") | dict.fromkeys(
    ("DICOM-SR · zip", "DICOM pictures · zip"), b"PK"
)


def test_a_result_is_taken_away_in_every_format(page: Page, address: str, dicom: Path) -> None:
    upload(page, address, dicom)
    found = bench(page)
    for label, begin in (BEGINS | DICOM_BEGINS).items():
        with page.expect_download() as waiting:
            found.get_by_role("button", name=label).click()
        assert Path(waiting.value.path()).read_bytes().startswith(begin), label
        assert waiting.value.suggested_filename.startswith("brainmets-")
    shoot(page, "taken")


def test_only_what_can_be_had_is_offered_and_the_rest_explained(
    page: Page, address: str, nifti: Path
) -> None:
    upload(page, address, nifti)
    found = bench(page)
    for label in BEGINS:
        expect(found.get_by_role("button", name=label)).to_be_enabled()
    for label in DICOM_BEGINS:
        expect(found.get_by_role("button", name=label)).to_have_count(0)
    said = found.locator(".missing-formats p")
    expect(said).to_have_count(1)
    expect(said).to_contain_text(f"{', '.join(DICOM_BEGINS)} (a job without DICOM images)")
    expect(said).to_contain_text("upload that series instead")
    shoot(page, "offered")


def test_a_format_that_turns_out_impossible_is_explained(
    page: Page, address: str, dicom: Path, refused: list[str]
) -> None:
    upload(page, address, dicom)
    found = bench(page)
    for number in range(1, len(LESIONS) + 1):
        found.get_by_label(f"Keep lesion {number}").click()
        expect(found.get_by_label(f"Keep lesion {number}")).not_to_be_checked()
    found.get_by_role("button", name="Save", exact=True).click()
    expect(found.locator(".review")).to_contain_text("Saved")
    refused.append("exports/rtstruct.dcm")
    found.get_by_role("button", name="RTSTRUCT").click()
    alert = found.get_by_role("alert")
    expect(alert).to_contain_text("E_NO_LESION")
    expect(alert).to_contain_text("What to do: take the DICOM Segmentation")
    shoot(page, "refused")
    with page.expect_download() as waiting:  # the others go on
        found.get_by_role("button", name="Table · CSV").click()
    assert Path(waiting.value.path()).read_bytes().startswith(BEGINS["Table · CSV"])


def test_a_dicom_zip_lands_in_the_same_place(page: Page, address: str, dicom: Path) -> None:
    upload(page, address, dicom)
    found = bench(page)
    row_of_largest(found).click()
    assert np.abs(place_mm(found) - LESIONS[0].centre_ras_mm).max() <= 2.0
    shoot(page, "dicom")


def test_two_series_are_asked_about(page: Page, address: str, two_series: Path) -> None:
    page.goto(address)
    page.locator("input[type=file]").first.set_input_files(two_series)
    cards = page.locator(".card")
    expect(cards).to_have_count(2, timeout=60_000)
    expect(page.locator(".card img")).to_have_count(2)
    cards.nth(1).get_by_role("combobox").select_option("t1c")
    cards.nth(1).get_by_role("radio").check()
    shoot(page, "series")
    page.reload()  # the upload waits for its owner's word
    expect(cards).to_have_count(2, timeout=60_000)
    page.get_by_role("button", name="Segment", exact=True).click()
    assert bench(page).locator("tbody tr").count() >= 1


def test_a_slice_shows_image_and_overlay_side_by_side(page: Page, address: str, png: Path) -> None:
    upload(page, address, png)
    found = bench(page)
    assert found.locator("figure").count() == 2
    assert found.locator("tbody tr").count() >= 1
    said = found.locator(".missing-formats p")
    expect(said).to_contain_text(
        "Mask · NIfTI, DICOM-SEG, RTSTRUCT, DICOM-SR · zip, DICOM pictures · zip, FHIR · JSON,"
        " 3D Slicer scene, Viewer · HTML (slice images"
    )
    assert "px" in (found.locator("thead").text_content() or "")
    shoot(page, "slice")


def test_the_pointer_and_the_keys_move_through_the_head(
    page: Page, address: str, nifti: Path
) -> None:
    upload(page, address, nifti)
    found = bench(page)
    row_of_largest(found).click()
    canvas = found.locator("figure.main canvas")
    before = [int(v) for v in (found.get_attribute("data-at") or "").split(",")]
    canvas.focus()
    page.keyboard.press("ArrowUp")
    after = [int(v) for v in (found.get_attribute("data-at") or "").split(",")]
    assert after == [before[0], before[1], before[2] + 1]
    box = canvas.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.wheel(0, 100)
    assert int((found.get_attribute("data-at") or "").split(",")[2]) == before[2]
    page.keyboard.press("ArrowRight")
    assert found.locator("tr[aria-current]").get_attribute("data-id") == "2"
    # a click on the first lesion, where the second row is selected, selects the first again
    row_of_largest(found).click()
    page.keyboard.press("ArrowRight")


def test_lesions_are_judged_undone_and_saved(page: Page, address: str, nifti: Path) -> None:
    upload(page, address, nifti)
    found = bench(page)
    rows = found.locator("tbody tr")
    rows.nth(1).click()
    words = found.get_by_role("group", name="Label of the selected lesion")
    words.get_by_role("button", name="Not a lesion").click()
    expect(found.get_by_label("Keep lesion 2")).not_to_be_checked()
    expect(found.locator(".total")).to_contain_text("1 kept")
    found.get_by_role("button", name="Undo").click()
    expect(found.get_by_label("Keep lesion 2")).to_be_checked()
    found.get_by_role("button", name="Redo").click()
    found.locator("figure.main canvas").focus()
    page.keyboard.press("ArrowRight")  # to the first again
    page.keyboard.press("2")
    found.get_by_label("Comment on the selected lesion").fill("dural?")
    found.get_by_label("Comment on the selected lesion").press("Enter")
    shoot(page, "judged")
    page.reload()  # unsaved words outlive it
    found = bench(page)
    expect(found.get_by_label("Keep lesion 2")).not_to_be_checked()
    found.get_by_role("button", name="Save", exact=True).click()
    expect(found.locator(".review")).to_contain_text("Saved")
    with page.expect_download() as waiting:
        found.get_by_role("button", name="Mask · NIfTI").click()
    path = Path(waiting.value.path()).with_name("corrected.nii.gz")
    path.write_bytes(Path(waiting.value.path()).read_bytes())
    assert set(np.unique(np.asanyarray(nibabel.load(path).dataobj))) == {0, 1}
    page.reload()
    found = bench(page)
    expect(found.get_by_label("Keep lesion 2")).not_to_be_checked()
    rows.nth(0).click()
    pressed = found.locator(".words button[aria-pressed=true]")
    expect(pressed).to_have_text("Uncertain")
    assert found.get_by_label("Comment on the selected lesion").input_value() == "dural?"


def test_a_click_on_a_lesion_selects_its_row(page: Page, address: str, nifti: Path) -> None:
    upload(page, address, nifti)
    found = bench(page)
    rows = found.locator("tbody tr")
    canvas = found.locator("figure.main canvas")
    rows.nth(0).click()
    drawn(page)
    there = [int(v) for v in (found.get_attribute("data-at") or "").split(",")]
    place = [float(v) for v in (canvas.get_attribute("data-cross") or "").split(",")]
    rows.nth(1).click()
    here = [int(v) for v in (found.get_attribute("data-at") or "").split(",")]
    canvas.focus()
    for _ in range(abs(there[2] - here[2])):  # to the other lesion's slice, nothing selected
        page.keyboard.press("ArrowUp" if there[2] > here[2] else "ArrowDown")
    expect(rows.nth(1)).to_have_attribute("aria-current", "true")
    canvas.click(position={"x": place[0], "y": place[1]})
    expect(rows.nth(0)).to_have_attribute("aria-current", "true")
    assert np.abs(place_mm(found) - LESIONS[0].centre_ras_mm).max() <= 2.0  # one voxel


def test_what_is_seen_is_said_and_every_key_is_listed(
    page: Page, address: str, nifti: Path
) -> None:
    upload(page, address, nifti)
    found = bench(page)
    readout, main = found.locator(".readout"), found.locator("figure.main canvas")
    expect(readout).to_contain_text("Radiological: patient's right is left")
    found.locator("tbody tr").first.click()
    drawn(page)
    right = float((main.get_attribute("data-cross") or "").split(",")[0])
    main.focus()
    page.keyboard.press("n")
    expect(readout).to_contain_text("Neurological: patient's left is left")
    drawn(page)
    mirrored = float((main.get_attribute("data-cross") or "").split(",")[0])
    box = main.bounding_box()
    assert box is not None
    assert right < box["width"] / 2 < mirrored  # the first lesion is in the patient's right half
    presets = found.get_by_role("group", name="Window presets")
    for name in ("Enhancing", "Tissue", "Full", "Auto"):
        page.keyboard.press("w")
        expect(presets.get_by_role("button", name=name)).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("?")
    help_ = found.locator("dialog")
    expect(help_).to_contain_text("metastasis, uncertain, other lesion, not a lesion")
    help_.get_by_role("button", name="Close").click()
    expect(help_).to_be_hidden()
    found.get_by_label("Probability map").check()
    found.get_by_role("button", name="+", exact=True).click()
    shoot(page, "confidence")


def test_two_models_side_by_side(page: Page, address: str, nifti: Path) -> None:
    upload(page, address, nifti)
    bench(page)
    page.get_by_role("button", name="Compare models").click()
    page.get_by_role("button", name="Compare", exact=True).click()
    page.get_by_role("group", name="Plane").wait_for()
    found = bench(page)
    assert found.locator("figure").count() == 2
    for place, model in enumerate(("attention-unet-3d", "unet-plus-plus-3d")):
        found.locator("figcaption").nth(place).filter(has_text=model).wait_for()
    assert found.locator("td.missing").count() == 0  # the same weights find the same lesions
    page.get_by_role("button", name="Coronal", exact=True).click()
    shoot(page, "compare")


def test_the_sample(page: Page, address: str) -> None:
    page.goto(address)
    page.get_by_role("button", name="Open the sample").click()
    bench(page)
    shoot(page, "sample")


def test_a_broken_file_is_explained(page: Page, address: str, tmp_path: Path) -> None:
    broken = tmp_path / "notes.nii.gz"
    broken.write_text("not an image")
    page.goto(address)
    page.locator("input[type=file]").first.set_input_files(broken)
    alert = page.get_by_role("alert").filter(has_text="E_NOT_NIFTI")  # before any job starts
    alert.wait_for()
    assert "Traceback" not in (page.locator("body").text_content() or "")
    shoot(page, "broken")
    page.get_by_role("button", name="Open the sample").wait_for()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_both_schemes_draw(page: Page, address: str, nifti: Path, scheme: str) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.goto(address)
    page.get_by_role("button", name="Open the sample").wait_for()
    shoot(page, f"start-{scheme}")
    upload(page, address, nifti)
    found = bench(page)
    drawn(page)
    lit = found.locator("figure.main canvas").evaluate(
        "c => c.getContext('2d').getImageData(0, 0, c.width, c.height)"
        ".data.some(v => v > 0 && v < 255)"
    )
    assert lit
    shoot(page, f"result-{scheme}")
