"""What can go wrong while outlines are corrected: a tool cut short, two readers, a reload."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from brainmets.api.app import create_app
from brainmets.api.settings import Settings
from tests.e2e.bare_viewer import BLOCKS, blocks, open_viewer, viewer
from tests.patience import comes_true
from tests.unit.api_server import serving
from tests.unit.test_api_jobs import STAND_IN, submit, wait

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import httpx
    from playwright.sync_api import Browser, Locator, Page

LABELS = "() => [...bench.scan.labels].reduce((all, id, at) => (id && all.push([at, id]), all), [])"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Iterator[httpx.Client]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(repository))
        settings = Settings(
            state_dir=tmp_path_factory.mktemp("state"), runner=STAND_IN, min_free_bytes=0
        )
        with serving(create_app(settings)) as client:
            yield client


@pytest.fixture
def job(service: httpx.Client, request: pytest.FixtureRequest) -> str:
    """A result of the test's own."""
    image = bytearray(blocks())
    name = request.node.name.encode()[:79]
    image[148 : 148 + len(name)] = name  # the description: another upload for each test
    found = wait(service, submit(service, bytes(image), "blocks.nii")["id"])
    assert found["state"] == "done", found
    return found["id"]


@pytest.fixture
def page(browser: Browser, service: httpx.Client, job: str) -> Iterator[Page]:
    with viewer(browser, service, job) as page:
        yield page


def at_voxel(page: Page, voxel: tuple[int, int, int]) -> tuple[float, float]:
    """Where a voxel is on the screen, in the axial plane, which goes to its slice."""
    place = page.evaluate(
        """voxel => {
          bench.moveTo(voxel);
          const pane = bench.panes[0];
          pane.draw();
          const slice = bench.scan.slice("axial", voxel[2], false);
          const [u, v] = pane.screenVoxel(voxel, slice), { left, top, x, y } = pane.frame;
          const box = pane.canvas.getBoundingClientRect();
          return [box.left + left + (u + 0.5) * x, box.top + top + (v + 0.5) * y];
        }""",
        list(voxel),
    )
    return place[0], place[1]


def stroke(page: Page, *voxels: tuple[int, int, int], up: bool = True) -> None:
    places = [at_voxel(page, voxel) for voxel in voxels]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=4)
    if up:
        page.mouse.up()


def ids(found: Locator) -> list[str]:
    return found.locator("tbody tr").evaluate_all("rows => rows.map(row => row.dataset.id)")


def test_undo_amid_a_stroke_or_a_preview_leaves_the_mask_as_it_was(
    page: Page, service: httpx.Client
) -> None:
    found = open_viewer(page, service)
    x, y, z = BLOCKS[0]
    before = page.evaluate(LABELS)
    page.keyboard.press("e")
    stroke(page, (x, y + 3, z + 3), (x + 5, y + 3, z + 3))
    erased = page.evaluate(LABELS)
    assert len(erased) < len(before)
    page.keyboard.press("b")
    stroke(page, (x, y + 3, z + 3), (x + 2, y + 3, z + 3), up=False)
    page.keyboard.press("u")  # the stroke so far; the button is still held
    page.mouse.up()
    assert page.evaluate(LABELS) == erased
    page.keyboard.press("a")
    page.mouse.click(*at_voxel(page, (x + 3, y + 3, z + 3)))  # where it was erased
    assert int(found.get_attribute("data-preview") or 0) > 0
    assert page.evaluate(LABELS) == erased  # a preview is in no mask
    page.keyboard.press("u")
    assert found.get_attribute("data-preview") is None
    assert page.evaluate(LABELS) == erased
    page.keyboard.press("u")
    assert page.evaluate(LABELS) == before
    page.keyboard.press("a")
    page.mouse.click(*at_voxel(page, (x - 6, y - 6, z)))
    page.keyboard.press("b")  # another tool: the preview goes
    page.keyboard.press("Escape")
    assert page.evaluate(LABELS) == before


def test_a_finger_draws_and_a_second_one_does_not_disturb_it(
    browser: Browser, service: httpx.Client, job: str
) -> None:
    with viewer(browser, service, job, has_touch=True) as page:
        found = open_viewer(page, service)
        x, y, z = BLOCKS[1]
        before = len(page.evaluate(LABELS))
        found.get_by_role("button", name="Brush").tap()
        touch = page.context.new_cdp_session(page)

        def send(kind: str, *voxels: tuple[int, int, int]) -> None:
            points = [
                {"x": at[0], "y": at[1], "id": n}
                for n, at in enumerate(at_voxel(page, voxel) for voxel in voxels)
            ]
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

        on, out, far = (x + 3, y + 3, z + 2), (x + 9, y + 3, z + 2), (x - 8, y - 8, z + 2)
        send("touchStart", on)
        send("touchMove", out)
        send("touchStart", out, far)
        send("touchMove", out, (x - 12, y - 8, z + 2))
        send("touchEnd")
        expect(found.get_by_role("button", name="Undo")).to_be_enabled()
        after = page.evaluate(LABELS)
        assert len(after) > before
        nx, ny, _ = page.evaluate("() => bench.scan.shape")
        marked = {at for at, _ in after}
        assert out[0] + nx * (out[1] + ny * out[2]) in marked
        assert far[0] + nx * (far[1] + ny * far[2]) not in marked
        assert page.evaluate("() => window.scrollY") == 0


def test_what_was_saved_comes_back_as_saved_and_can_be_discarded(
    page: Page, service: httpx.Client, job: str
) -> None:
    found = open_viewer(page, service)
    x, y, z = BLOCKS[0]
    before = page.evaluate(LABELS)
    page.keyboard.press("b")
    stroke(page, (x + 3, y + 3, z + 3), (x + 9, y + 3, z + 3))
    expect(found).to_have_attribute("data-measured", "1")  # by the service, before it is saved
    drawn = page.evaluate(LABELS)
    save = found.get_by_role("button", name="Save", exact=True)
    save.click()
    expect(found.locator(".review")).to_contain_text("Saved")
    found = open_viewer(page, service)
    assert page.evaluate(LABELS) == drawn
    expect(save).to_be_disabled()  # nothing was changed since
    expect(found.locator(".review")).to_contain_text("Saved")
    assert page.evaluate("() => sessionStorage.length") == 0
    slider = found.get_by_label("Sensitivity", exact=False)
    expect(slider).to_be_disabled()
    page.once("dialog", lambda dialog: dialog.accept())
    found.get_by_role("button", name="Discard edits").click()
    expect(slider).to_be_enabled()
    assert page.evaluate(LABELS) == before
    save.click()
    expect(save).to_be_disabled()
    assert comes_true(
        lambda: service.get(f"/v1/jobs/{job}").json()["review"]["drawn"] is None, within_s=20
    )


@pytest.mark.parametrize("choice", ["Load that review", "Save mine over it"])
def test_two_readers_do_not_overwrite_each_other_unawares(
    browser: Browser, service: httpx.Client, job: str, choice: str
) -> None:
    with viewer(browser, service, job, refused=["/review"]) as page:
        found = open_viewer(page, service)
        other = {"readings": {"1": {"label": "other"}}, "author": "Dr Other", "replaces": 0}
        assert service.put(f"/v1/jobs/{job}/review", json=other).status_code == 200
        found.locator("tbody tr").nth(1).click()
        page.keyboard.press("2")
        found.get_by_label("Reader", exact=False).fill("Dr Mine")
        found.get_by_role("button", name="Save", exact=True).click()
        told = found.locator(".review [role=status]")
        expect(told).to_contain_text("Someone else has saved a review meanwhile")
        expect(told).to_contain_text("Dr Other")
        told.get_by_role("button", name=choice).click()
        author = "Dr Other" if choice.startswith("Load") else "Dr Mine"
        expect(page.locator(".review [role=status]")).to_contain_text(f"by {author}")
        review = service.get(f"/v1/jobs/{job}").json()["review"]
        assert review["author"] == author
        assert review["revision"] == (1 if choice.startswith("Load") else 2)
