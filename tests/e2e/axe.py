"""axe-core in a browser page: the serious violations that it finds.

The script is npm's axe-core 4.12, as the package axe-playwright-python of the tests' requirements
carries it.
"""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Page

__all__ = ["serious"]

SETTLED_MS = 700
"""Until colours have faded from one scheme's to the other's."""

RUN = """async () => {
  const found = await axe.run(document, { resultTypes: ["violations"] });
  return found.violations
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .map(({ id, help, nodes }) => [id, help, nodes.slice(0, 6).map(({ target, failureSummary }) =>
      [target.join(" "), failureSummary.split("\\n")[1] ?? ""])]);
}"""


def serious(page: Page) -> list[object]:
    """Return every violation of serious or critical impact: its rule, and where."""
    script = files("axe_playwright_python") / "axe.min.js"
    page.wait_for_timeout(SETTLED_MS)
    page.evaluate(script.read_text(encoding="utf-8"))
    return page.evaluate(RUN)
