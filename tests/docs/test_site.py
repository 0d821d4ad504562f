"""The documentation site builds without a warning, is complete, and asks no other host."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest
from playwright.sync_api import expect, sync_playwright

import brainmets
from tests.unit.test_measure import load_script

REPOSITORY = Path(__file__).resolve().parents[2]
LOADED = re.compile(
    r"<(?:script|img|iframe|source|audio|video)[^>]*?\ssrc=\"([^\"]+)\""
    r"|<link[^>]*?\shref=\"([^\"]+)\"|url\(([^)]+)\)|@import\s+\"([^\"]+)\""
)
CHROMIUM = "/usr/bin/chromium"
MODULES = ("Bundle", "Predictor", "find_lesions", "Geometry", "Volume", "Mask", "Case")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    load_script("build_site").build(folder / "out", stage=folder / "stage")
    return folder / "out"


def test_every_page_is_built_and_searchable(site: Path) -> None:
    pages = {
        page.relative_to(REPOSITORY / "docs").with_suffix(".html")
        for page in (REPOSITORY / "docs").rglob("*.md")
        if page.name != "template.md"
    }
    assert not [str(page) for page in pages if not (site / page).is_file()]
    index = (site / "search.json").read_text(encoding="utf-8")
    assert "Troubleshooting" in index
    assert "CHANGELOG.html" in index


def test_no_page_loads_anything_from_another_host(site: Path) -> None:
    loaded = {
        (file.name, target)
        for file in site.rglob("*")
        if file.suffix in {".html", ".css"}
        for found in LOADED.finditer(file.read_text(encoding="utf-8"))
        for target in filter(None, found.groups())
    }
    assert len(loaded) > 20
    assert not {one for one in loaded if re.match(r"['\"]?(?:https?:)?//", one[1])}


@pytest.mark.e2e
@pytest.mark.skipif(not Path(CHROMIUM).exists(), reason="needs Chromium")
def test_pages_opened_as_files_are_searchable_offline(site: Path) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        elsewhere: list[str] = []
        page.on("request", lambda one: elsewhere.append(one.url))
        page.goto((site / "reference" / "cli.html").as_uri())
        page.keyboard.press("/")
        page.get_by_placeholder("Search").last.fill("nadir")
        expect(page.locator("body")).to_contain_text("smallest sum of diameters", timeout=60_000)
        browser.close()
    assert elsewhere
    assert not [url for url in elsewhere if not url.startswith(("file:", "data:", "blob:"))]


def test_public_classes_are_documented(site: Path) -> None:
    page = (site / "reference" / "python.html").read_text(encoding="utf-8")
    names = set(brainmets.__all__) - {
        "BrainmetsError",
        "SynthesisConfig",
        "__version__",
        "list_models",
    }
    for name in (*MODULES, *names):
        assert re.search(rf'id="brainmets\.[\w.]+\.{name}"', page), name
    for network in ("AttentionUNet", "UNetPlusPlus"):
        assert f'id="brainmets.python.networks.{network}.from_pretrained"' in page


def test_a_link_that_leads_nowhere_is_kept_for_the_strict_build(tmp_path: Path) -> None:
    script = load_script("build_site")
    page = tmp_path / "docs" / "page.md"
    original = REPOSITORY / "docs" / "index.md"

    text = script.relink("[a](nowhere.md) [b](../nothing/x.py)", original, page, page.parent)
    known = script.relink("[tests](../tests/conftest.py)", original, page, page.parent)

    assert text == "[a](nowhere.md) [b](../nothing/x.py)"
    assert known == "`tests/conftest.py`"


def test_every_decision_is_listed_with_its_title() -> None:
    listed = (REPOSITORY / "docs" / "adr" / "index.md").read_text(encoding="utf-8")
    for page in (REPOSITORY / "docs" / "adr").glob("0*.md"):
        title = page.read_text(encoding="utf-8").split("\n", 1)[0]
        number, decision = title.removeprefix("# ").split(". ", 1)
        assert f"- [{number}]({page.name}): {decision}" in listed, page.name


def test_readme_and_results_show_the_figures_of_the_plot() -> None:
    with (REPOSITORY / "docs" / "results" / "metastases.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    shown = (REPOSITORY / "docs" / "results.md").read_text(encoding="utf-8")
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    assert len(rows) == 8
    for row in rows:
        interval = f" ({row['low']}–{row['high']})" if row["low"] else ""
        assert f"| {row['sensitivity']}{interval} |" in shown, row
        if row["size"] in {"5-10 mm", ">= 10 mm"}:
            assert f"| {row['sensitivity']}{interval} |" in readme, row


def test_the_plot_is_drawn_from_its_data(tmp_path: Path) -> None:
    script = load_script("results_figure")
    script.draw(script.read(), tmp_path / "plot.png")
    assert (tmp_path / "plot.png").stat().st_size > 10_000


def test_every_picture_is_made_by_a_command() -> None:
    text = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8")
    row = re.compile(r"^\| `(docs/images/[^`]+)` \| `python ([^`]+)` \|$", re.MULTILINE)
    commands = dict(row.findall(text))
    pictures = {f"docs/images/{one.name}" for one in (REPOSITORY / "docs" / "images").iterdir()}
    assert set(commands) == pictures
    for command in commands.values():
        module = command.removeprefix("-m ")
        script = command if module == command else f"{module.replace('.', '/')}.py"
        assert (REPOSITORY / script).is_file(), command


def test_readme_is_short_and_no_cell_is_a_paragraph() -> None:
    lines = (REPOSITORY / "README.md").read_text(encoding="utf-8").splitlines()
    cells = [cell.strip() for line in lines if line.startswith("|") for cell in line.split("|")]
    assert len(lines) < 140
    assert len(cells) > 40
    assert not [cell for cell in cells if len(cell) > 60]


@pytest.mark.parametrize("repository", ["", "https://example.org/team/brainmets"])
def test_package_indexes_get_a_readme_without_relative_links(repository: str) -> None:
    script = load_script("../hatch_build")
    text = script.absolute_links((REPOSITORY / "README.md").read_text(encoding="utf-8"), repository)
    links = re.findall(r"\]\(([^)]+)\)", text)

    assert not [link for link in links if not link.startswith("https://")]
    below = [link.removeprefix(f"{repository}/") for link in links if repository in link]
    if repository:
        paths = [re.sub(r"^(blob|raw)/main/", "", link) for link in below]
        assert len(paths) > 8
        assert not [path for path in paths if not (REPOSITORY / path).exists()]
    assert "| 0.67 (0.46–0.83) |" in text
