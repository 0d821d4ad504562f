"""Follow-up in a real browser: a real head, with lesions put in that change by known amounts."""

from __future__ import annotations

import csv
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import numpy as np
import pytest
from playwright.sync_api import expect

from brainmets.domain import RESEARCH_USE_ONLY, Volume
from brainmets.io import read_volume, write_volume
from brainmets.preprocessing.intensity import find_foreground
from tests.e2e.axe import serious
from tests.e2e.conftest import BRIGHTEST
from tests.e2e.test_page import drawn, shoot
from tests.followed_heads import MOTION, Ball, brighter, later_grid, moved

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

REAL = Path(os.environ.get("BRAINMETS_DATA", "../shared/data")) / "met-00110"
SCAN = REAL / "BraTS-MET-00110-000-t1c.nii.gz"

JANUARY = (
    Ball((95.0, 360.0, 90.0), 12.0),
    Ball((145.0, 360.0, 90.0), 20.0),
    Ball((95.0, 310.0, 80.0), 11.0),
    Ball((145.0, 310.0, 100.0), 14.0),
)
APRIL = (
    Ball((95.0, 360.0, 90.0), 19.0),
    Ball((145.0, 360.0, 90.0), 12.0),
    Ball((145.0, 310.0, 100.0), 14.0),
    Ball((120.0, 385.0, 85.0), 10.0),
)
KNOWN = {  # longest diameter in both scans, by the state that the page shows
    "growing": (12.0, 19.0),
    "shrinking": (20.0, 12.0),
    "resolved": (11.0, 0.0),
    "stable": (14.0, 14.0),
    "new": (0.0, 10.0),
}
WITHIN_MM = 2.2
"""The network sees voxels of 2 mm."""

PATIENCE_S = 400.0

COLOURED = """canvas => {
  const { width, height } = canvas;
  const pixels = canvas.getContext("2d").getImageData(0, 0, width, height).data;
  let count = 0;
  for (let at = 0; at < pixels.length; at += 4) {
    const rgb = pixels.slice(at, at + 3);
    count += Math.max(...rgb) - Math.min(...rgb) > 120;
  }
  return count;
}"""
"""How many pixels are of a strong colour: the picture itself is grey."""

GAIN = 4.0
"""Brighter than the network's view reaches: it then draws the border half-way up the edge."""


@pytest.fixture(scope="session")
def visits(address: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Two finished jobs: January, and April on another grid with the head moved."""
    if not SCAN.is_file():
        pytest.skip(f"no {SCAN}: set BRAINMETS_DATA")
    folder = tmp_path_factory.mktemp("visits")
    head = dimmed(read_volume(SCAN))
    later = moved(head, MOTION, later_grid(head, (1.0, 1.0, 1.2)))
    scans = {
        "january": brighter(head, JANUARY, gain=GAIN)[0],
        "april": brighter(later, APRIL, MOTION, gain=GAIN)[0],
    }
    ids: list[str] = []
    with httpx.Client(base_url=f"{address}/api", timeout=120) as client:
        for name, image in scans.items():
            path = write_volume(image, folder / f"{name}.nii.gz")
            form = {"files": (path.name, path.read_bytes())}
            sent = client.post("/v1/jobs", files=form, data={"model": BRIGHTEST})
            ids.append(sent.json()["id"])
        for job in ids:
            finished(client, job)
    return ids[0], ids[1]


def dimmed(head: Volume) -> Volume:
    """The head without its own enhancement, so that only what we put in is bright."""
    tissue = head.data[find_foreground(head.data)]
    most = np.percentile(tissue, 98)
    return Volume(data=np.minimum(head.data, most).astype(np.float32), geometry=head.geometry)


def finished(client: httpx.Client, job_id: str) -> dict:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        job = client.get(f"/v1/jobs/{job_id}").json()
        if job["state"] == "done":
            return job
        assert job["state"] in {"queued", "running"}, job["problem"]
        time.sleep(0.5)
    pytest.fail("the job does not end")


@pytest.fixture
def followed(address: str, visits: tuple[str, str]) -> str:
    with httpx.Client(base_url=f"{address}/api", timeout=120) as client:
        body = {"jobs": list(visits), "dates": ["0", "92"]}
        job = client.post("/v1/followups", json=body).json()
        return finished(client, job["id"])["id"]


@pytest.fixture
def refused() -> list[str]:
    """Streamlit looks for its server below the page's own path first, and logs that as an error.

    Opened directly, any page but the first cannot know how many parts of its address are the
    server's. Only a custom index.html with Streamlit's undocumented `BACKEND_BASE_URL`
    would spare the question; behind a proxy's path it would be wrong.
    """
    return ["/followup/_stcore/"]


def board(page: Page) -> Locator:
    found = page.locator(".followup[data-ready=yes]")
    found.wait_for(timeout=1000 * PATIENCE_S)
    return found


def choose(page: Page, *names: str) -> None:
    field = page.locator("[data-testid=stMultiSelect] input").first
    for name in names:
        field.fill(name)
        page.get_by_role("option", name=name).first.click()
    page.keyboard.press("Escape")


def test_two_visits_from_the_list_of_results_to_every_lesion_s_course(
    page: Page, address: str, visits: tuple[str, str], tmp_path: Path
) -> None:
    page.goto(f"{address}/followup")
    page.get_by_text("Which lesions grew").wait_for()
    assert page.get_by_text(RESEARCH_USE_ONLY).first.is_visible()
    choose(page, "april", "january")
    page.get_by_text("as I write them").click()
    page.get_by_label("1. april").fill("2024-04-30")
    page.get_by_label("2. january").fill("2024-01-29")
    page.get_by_label("2. january").press("Tab")
    shoot(page, "followup-choose")
    page.get_by_role("button", name="Follow the lesions").click()
    found = board(page)

    rows = found.locator("tbody tr")
    assert rows.count() == len(KNOWN)
    for row in rows.all():
        badges = row.locator(".badge").all_text_contents()
        sizes = [float(text) for text in row.locator("td b").all_text_contents()]
        state = badges[1]
        expected = [mm for mm in KNOWN[state] if mm]
        assert sizes == pytest.approx(expected, abs=WITHIN_MM), state
    responses = found.locator(".responses li")
    assert responses.locator(".day").all_text_contents() == ["Day 0", "Day 92"]
    assert responses.locator(".rano").all_text_contents() == ["baseline", "PD"]
    expect(responses.nth(1)).to_contain_text("lesion 5 is new")
    assert found.locator(".chart svg").count() == 1
    assert "2024" not in (page.locator("body").text_content() or "")
    shoot(page, "followup-result")

    with page.expect_download() as waiting:
        page.get_by_role("button", name="Lesions over time").click()
    lines = list(csv.DictReader(Path(waiting.value.path()).read_text().splitlines()))
    assert len(lines) == 2 * len(KNOWN)
    address_of_result = page.url
    page.goto("about:blank")
    page.goto(address_of_result)
    assert board(page).locator("tbody tr").count() == len(KNOWN)


def test_one_cursor_in_all_scans(page: Page, address: str, followed: str) -> None:
    page.goto(f"{address}/followup?job={followed}")
    found = board(page)
    ball = JANUARY[0]
    row = found.locator("tbody tr").filter(has=page.locator(".badge.growing"))
    row.click()
    assert row.get_attribute("aria-current") == "true"
    at = np.array([float(v) for v in (found.get_attribute("data-mm") or "").split(",")])
    assert np.abs(at - ball.centre_mm).max() <= 2.0
    drawn(page)
    first, second = (found.locator("figure.pane canvas").nth(n) for n in (0, 1))
    assert first.get_attribute("data-cross") == second.get_attribute("data-cross")
    for canvas in (first, second):  # both show the lesion's outline in its own colour
        assert canvas.evaluate(COLOURED) > 50
    shoot(page, "followup-close-up")
    before = found.get_attribute("data-at")
    second.click(position={"x": 90, "y": 120})
    drawn(page)
    assert found.get_attribute("data-at") != before
    assert first.get_attribute("data-cross") == second.get_attribute("data-cross")
    before = [int(v) for v in (found.get_attribute("data-at") or "").split(",")]
    page.keyboard.press("ArrowUp")
    after = [int(v) for v in (found.get_attribute("data-at") or "").split(",")]
    assert after == [before[0], before[1], before[2] + 1]
    page.get_by_role("button", name="Coronal", exact=True).click()
    expect(found.locator("figure.pane[data-plane=coronal]")).to_have_count(2)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_board_in_both_schemes(page: Page, address: str, followed: str, scheme: str) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.goto(f"{address}/followup?job={followed}")
    found = board(page)
    ink = found.locator(".chart text").first.evaluate("e => getComputedStyle(e).fill")
    lightness = sum(int(v) for v in ink[4:-1].split(",")[:3]) / 3
    assert lightness > 150 if scheme == "dark" else lightness < 100
    assert not serious(page)
    shoot(page, f"followup-{scheme}")


def test_a_follow_up_opens_from_the_list_of_past_results(
    page: Page, address: str, followed: str
) -> None:
    page.goto(address)
    page.get_by_role("link", name="Past results").click()
    row = page.locator(".results_list tr").filter(has_text="Follow-up of 2 scans").first
    expect(row.locator(".model")).to_have_text("follow-up")
    expect(row.locator(".lesions")).to_have_text("–")
    shoot(page, "followup-listed")
    row.get_by_text("Follow-up of 2 scans").click()
    assert board(page).locator("tbody tr").count() == len(KNOWN)
