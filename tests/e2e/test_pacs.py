"""Open a study from a PACS on the page and store its result there, in a browser."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING

from playwright.sync_api import expect
from pydicom import dcmread

from tests.e2e.conftest import PATIENCE_MS, served, watch
from tests.unit.orthanc import Orthanc

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser


def test_study_is_opened_from_a_pacs_and_its_result_is_sent_there(
    browser: Browser, models: Path, dicom: Path, tmp_path: Path
) -> None:
    images = tmp_path / "images"
    with zipfile.ZipFile(dicom) as archive:
        archive.extractall(images)
    paths = [path for path in images.rglob("*") if path.is_file()]
    study = str(dcmread(io.BytesIO(paths[0].read_bytes())).StudyInstanceUID)
    with (
        Orthanc(tmp_path) as pacs,
        served(models, tmp_path, BRAINMETS_PACS_URL=pacs.web) as address,
    ):
        pacs.keep(paths)
        context = browser.new_context(viewport={"width": 1440, "height": 900})
        trouble: list[str] = []
        watch(context, address, trouble, [])
        try:
            page = context.new_page()
            page.set_default_timeout(PATIENCE_MS)
            page.goto(address)
            page.get_by_label("Study Instance UID").fill(study)
            page.screenshot(path=tmp_path / "open.png")
            page.get_by_role("button", name="Open from PACS").click()
            page.get_by_role("button", name="Segment", exact=True).click()
            send = page.get_by_role("button", name="Send to PACS")
            send.click()
            expect(page.get_by_text("The PACS has the segmentation")).to_be_visible()
            page.screenshot(path=tmp_path / "sent.png")
        finally:
            context.close()
        assert trouble == []
        assert len(pacs.qido(study, "SEG")) == 1
        assert len(pacs.qido(study, "SR")) == 1
        instance = pacs.qido(study, "SEG")[0]["00080018"]["Value"][0]
        assert str(dcmread(io.BytesIO(pacs.file(instance))).StudyInstanceUID) == study
