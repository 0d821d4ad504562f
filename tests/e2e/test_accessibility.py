"""What axe-core finds on every page: nothing serious.

axe-core comes from npm when the tests run and is not part of the project; without npm, or without
a registry that it reaches, the tests are left out.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.test_page import bench, upload

if TYPE_CHECKING:
    from playwright.sync_api import Page

AXE = "axe-core@4.10.3"
INSTALLED_WITHIN_S = 180
PLACE = Path(__file__).resolve().parents[2] / ".cache" / "axe"

RUN = """async () => {
  const found = await axe.run(document, { resultTypes: ["violations"] });
  return found.violations
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .map(({ id, help, nodes }) => [id, help, nodes.slice(0, 6).map(({ target, failureSummary }) =>
      [target.join(" ") , failureSummary.split("\\n")[1] ?? ""])]);
}"""


@pytest.fixture(scope="session")
def axe() -> str:
    script = PLACE / "node_modules" / "axe-core" / "axe.min.js"
    if not script.is_file():
        if shutil.which("npm") is None:
            pytest.skip("no npm, which brings axe-core: apt-get install npm")
        command = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts"]
        try:
            subprocess.run(
                [*command, "--prefix", str(PLACE), AXE],
                check=True,
                capture_output=True,
                timeout=INSTALLED_WITHIN_S,
            )
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
            pytest.skip(f"npm cannot install {AXE}: no registry within reach")
    return script.read_text(encoding="utf-8")


def serious(page: Page, axe: str) -> list[object]:
    page.evaluate(axe)
    return page.evaluate(RUN)


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_has_a_serious_fault(
    page: Page, address: str, nifti: Path, axe: str, scheme: str
) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    upload(page, address, nifti)
    bench(page)
    found = {"result": serious(page, axe)}
    for path, ready in (("", ".intake"), ("past", ".results_list"), ("followup", "h1, .headline")):
        page.goto(f"{address}/{path}")
        page.locator(ready).first.wait_for()
        page.wait_for_timeout(500)
        found[path or "start"] = serious(page, axe)
    assert not {name: faults for name, faults in found.items() if faults}
