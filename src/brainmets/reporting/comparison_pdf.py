"""A comparison as a PDF to print, typeset by typst."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from brainmets import __version__
from brainmets.domain import RESEARCH_USE_ONLY
from brainmets.reporting.comparison import comparison_tables, methods_text
from brainmets.reporting.typeset import typeset

if TYPE_CHECKING:
    from collections.abc import Mapping

    from brainmets.evaluation.comparison import Comparison

__all__ = ["comparison_pdf"]

TEMPLATE = """
#let data = json("data.json")
#set document(title: data.title)
#set page(paper: "a4", margin: (x: 18mm, y: 20mm), footer: context [
  #set text(7pt, gray)
  #data.notice #h(1fr) #counter(page).display()
])
#set text(9pt, font: ("Libertinus Serif", "New Computer Modern"))
#set heading(numbering: none)
#show heading: set block(above: 1.2em, below: 0.6em)
= #data.title
#text(8pt, gray)[brainmets #data.version · scorer #data.scorer · region #data.region]

== What the tests show
#for line in data.conclusions [- #line]

#grid(columns: (1fr, 1fr), gutter: 8pt,
  ..data.plots.map(plot => grid.cell(colspan: plot.span,
    figure(image(plot.file, width: 100%), caption: text(8pt, plot.title), numbering: none))))

== Tables
#for one in data.tables [
  #block(breakable: false, width: 100%)[
    #text(8pt, weight: "bold", one.title)
    #set text(6.6pt)
    #table(columns: one.header.len(), stroke: none, inset: (x: 3pt, y: 2.2pt),
      align: (column, row) => if column == 0 { left } else { right },
      table.hline(stroke: 0.6pt),
      ..one.header.map(cell => strong(cell)),
      table.hline(stroke: 0.4pt),
      ..one.rows.flatten(),
      table.hline(stroke: 0.6pt))
  ]
]
#if data.cases != none [
  == Worst cases
  #figure(image(data.cases.file, width: 100%), caption: text(8pt, data.cases.title),
    numbering: none)
]

== Methods
#data.methods
"""


def comparison_pdf(
    comparison: Comparison, plots: Mapping[str, str], *, cases_svg: str | None = None
) -> bytes:
    """Return the PDF. All text goes through JSON, so no name can break the page.

    Raises:
        OptionError: typst is not installed.
    """
    with tempfile.TemporaryDirectory(prefix="brainmets-report-") as scratch:
        folder = Path(scratch)
        figures: list[dict[str, object]] = []
        for number, (title, svg) in enumerate(plots.items()):
            file = folder / f"plot-{number}.svg"
            file.write_text(svg, encoding="utf-8")
            span = 2 if "Bland" in title and len(comparison.models) > 1 else 1
            figures.append({"file": file.name, "title": title, "span": span})
        cases: dict[str, str] | None = None
        if cases_svg:
            (folder / "cases.svg").write_text(cases_svg, encoding="utf-8")
            cases = {"file": "cases.svg", "title": ", ".join(comparison.worst[:4])}
        data = {
            "title": "Comparison of " + ", ".join(model.name for model in comparison.models),
            "notice": RESEARCH_USE_ONLY,
            "version": __version__,
            "scorer": comparison.scorer,
            "region": comparison.region,
            "conclusions": list(comparison.conclusions),
            "plots": figures,
            "tables": [
                {"title": one.title, "header": one.header, "rows": one.rows}
                for one in comparison_tables(comparison)
            ],
            "cases": cases,
            "methods": methods_text(comparison),
        }
        return typeset(TEMPLATE, data, folder)
