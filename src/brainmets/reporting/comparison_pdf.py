"""A comparison as a PDF to print, typeset by typst."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from brainmets import __version__
from brainmets.domain import RESEARCH_USE_ONLY
from brainmets.reporting.comparison import comparison_tables, methods_text
from brainmets.reporting.drawing import COLOURS, drawn
from brainmets.reporting.typeset import typeset

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from brainmets.evaluation.comparison import Comparison, ModelResult

__all__ = ["CaseView", "comparison_pdf", "draw_cases", "draw_plots"]

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


CaseView = tuple[str, "NDArray[np.float32]", "Sequence[tuple[str, NDArray[np.bool_]]]", float]
"""Case id, the slice's pixels, name and outline of each mask, height over width of a pixel."""

REFERENCE_COLOUR = "#F0E442"


def draw_plots(comparison: Comparison) -> dict[str, str]:
    """Return the figures as SVG by title.

    Raises:
        OptionError: matplotlib is not installed.
    """
    plots: dict[str, str] = {}
    if comparison.scorer == "brainmets":
        plots["Sensitivity against false positives (FROC)"] = drawn(_froc, comparison)
        plots["Sensitivity by lesion size"] = drawn(_sizes, comparison)
        plots["Volume agreement (Bland–Altman)"] = drawn(
            _bland_altman, comparison, columns=len(comparison.models)
        )
    if len(comparison.models) == 2:
        plots["Patient by patient"] = drawn(_patients, comparison)
    return plots


def draw_cases(views: Sequence[CaseView]) -> str:
    """Return the worst cases as one SVG: the slice, the reference's outline, each model's."""

    def draw(axes: Sequence[Any], _comparison: None) -> None:
        for axis, (name, pixels, outlines, aspect) in zip(axes, views, strict=True):
            low, high = np.quantile(pixels, (0.01, 0.995))
            shown = {"cmap": "gray", "vmin": low, "vmax": max(high, low + 1e-6)}
            axis.imshow(pixels, aspect=aspect, interpolation="nearest", **shown)
            colours = (REFERENCE_COLOUR, *COLOURS)
            for colour, (_, mask) in zip(colours, outlines, strict=False):
                if mask.any():
                    axis.contour(mask, levels=[0.5], colors=colour, linewidths=0.7)
            axis.set_title(name, fontsize=7)
            axis.set_axis_off()
        names = [label for label, _ in views[0][2]]
        text = "   ".join(names)
        axes[0].figure.suptitle(f"outlines: {text}", fontsize=7)
        for n, label in enumerate(names):
            colour = REFERENCE_COLOUR if n == 0 else COLOURS[(n - 1) % len(COLOURS)]
            axes[0].plot([], [], color=colour, label=label)
        axes[0].legend(fontsize=5, loc="lower left", labelcolor="white")

    return drawn(draw, None, columns=len(views), raster=True)


def _coloured(comparison: Comparison) -> list[tuple[str, ModelResult]]:
    return [(COLOURS[n % len(COLOURS)], model) for n, model in enumerate(comparison.models)]


def _froc(axes: Sequence[Any], comparison: Comparison) -> None:
    (axis,) = axes
    for colour, model in _coloured(comparison):
        curve = model.summary.froc
        if curve is not None:
            x = np.concatenate(([0.0], curve.false_alarms_per_scan))
            y = np.concatenate(([0.0], curve.sensitivity))
            axis.step(x, y, where="post", color=colour)
        every = model.summary.by_diameter[0]
        rate, found = every.false_alarms_per_scan, every.sensitivity
        axis.errorbar(
            rate.value,
            found.value,
            xerr=_arms(rate.value, rate.low, rate.high),
            yerr=_arms(found.value, found.low, found.high),
            fmt="o",
            color=colour,
            markersize=4,
            elinewidth=0.7,
            label=model.name,
        )
    axis.set_xlabel("false positives per scan")
    axis.set_ylabel("sensitivity")
    axis.set_ylim(0.0, 1.02)
    axis.set_xlim(left=0.0)
    axis.legend(loc="lower right")


def _sizes(axes: Sequence[Any], comparison: Comparison) -> None:
    (axis,) = axes
    shift = 0.16
    for n, (colour, model) in enumerate(_coloured(comparison)):
        strata = model.summary.by_diameter[1:]
        places = np.arange(len(strata)) + shift * (n - (len(comparison.models) - 1) / 2)
        values = np.array([one.sensitivity.value for one in strata])
        arms = np.array(
            [_arms(o.sensitivity.value, o.sensitivity.low, o.sensitivity.high) for o in strata]
        )
        known = ~np.isnan(values)
        axis.errorbar(
            places[known],
            values[known],
            yerr=arms[known, :, 0].T,
            fmt="o-",
            color=colour,
            markersize=4,
            elinewidth=0.7,
            capsize=2,
            label=model.name,
        )
    strata = comparison.models[0].summary.by_diameter[1:]
    axis.set_xticks(range(len(strata)), [f"{s.name}\nn = {s.tp + s.fn}" for s in strata])
    axis.set_xlabel("longest diameter")
    axis.set_ylabel("sensitivity")
    axis.set_ylim(0.0, 1.05)
    axis.legend(loc="lower right")


def _bland_altman(axes: Sequence[Any], comparison: Comparison) -> None:
    for axis, (colour, model) in zip(axes, _coloured(comparison), strict=True):
        reference, error = _volumes(model, comparison.region)
        middle = reference + error / 2
        axis.scatter(middle, error, s=8, color=colour, alpha=0.7, linewidths=0)
        bias = float(error.mean()) if len(error) else 0.0
        spread = 1.96 * float(error.std(ddof=1)) if len(error) > 1 else 0.0
        axis.axhline(0.0, color="0.8", linewidth=0.6)
        axis.axhline(bias, color=colour)
        for limit in (bias - spread, bias + spread):
            axis.axhline(limit, color=colour, linestyle="--", linewidth=0.8)
        axis.set_title(f"{model.name}: bias {bias:+.2f} ml, limits ±{spread:.2f} ml", fontsize=7)
        axis.set_xlabel("mean of both volumes, ml")
        axis.set_ylabel("predicted − reference, ml")


def _volumes(model: ModelResult, region: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return reference volumes and errors in ml, scan by scan."""
    rows = [
        (one.values["reference_volume_mm3"] / 1e3, one.values["volume_error_mm3"] / 1e3)
        for case in model.cases
        for one in case.regions
        if one.region == region
    ]
    table = np.array(rows, dtype=np.float64).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def _patients(axes: Sequence[Any], comparison: Comparison) -> None:
    from brainmets.evaluation.cohort import patient_means
    from brainmets.evaluation.comparison import FIGURES

    (axis,) = axes
    one, other = comparison.models
    figure = FIGURES[comparison.scorer][0]
    a, b = (patient_means(model.cases, comparison.region, figure) for model in (one, other))
    patients = sorted(set(a) & set(b))
    x, y = [a[p] for p in patients], [b[p] for p in patients]
    axis.plot([0, 1], [0, 1], color="0.8", linewidth=0.6)
    axis.scatter(x, y, s=10, color=COLOURS[0], alpha=0.7, linewidths=0)
    axis.set_xlabel(f"{figure}, {one.name}")
    axis.set_ylabel(f"{figure}, {other.name}")
    axis.set_xlim(-0.02, 1.02)
    axis.set_ylim(-0.02, 1.02)
    axis.set_aspect("equal")


def _arms(value: float, low: float, high: float) -> list[list[float]]:
    return [[max(value - low, 0.0)], [max(high - value, 0.0)]]
