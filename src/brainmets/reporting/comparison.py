"""A comparison as one HTML page that needs nothing else, and as the tables both reports share."""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from brainmets import __version__
from brainmets.domain import RESEARCH_USE_ONLY

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from brainmets.evaluation.comparison import Comparison, DetectionRow, ModelResult, PairResult
    from brainmets.evaluation.statistics import Interval

__all__ = ["ReportTable", "comparison_html", "comparison_tables", "methods_text"]

STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem}
table{border-collapse:collapse;font-size:.85rem;margin:.5rem 0 1rem}
caption{text-align:left;font-weight:600;padding:.3rem 0}
th,td{padding:.2rem .6rem;text-align:right;border-bottom:1px solid #ddd}
td{white-space:nowrap}
th:first-child,td:first-child{text-align:left}thead th{border-bottom:1.5px solid #222}
figure{margin:1rem 0}figure svg{max-width:100%;height:auto}figcaption{font-size:.85rem;color:#555}
.notice{color:#555;font-size:.85rem}.scroll{overflow-x:auto}
@media (prefers-color-scheme:dark){body{background:#fff}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportTable:
    """A table as text, ready for any kind of page."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def comparison_tables(comparison: Comparison) -> tuple[ReportTable, ...]:
    """Return the tables of the report, in order."""
    tables = [_models_table(comparison)]
    tables += [_strata_table(model) for model in comparison.models if model.summary.by_diameter]
    for pair in comparison.pairs:
        tables.append(_figures_table(pair))
        for title, rows in (("lesion size", pair.by_size), ("lesion shape", pair.by_shape)):
            if rows:
                tables.append(_detection_table(pair, title, rows))
    return tuple(tables)


def methods_text(comparison: Comparison) -> str:
    """Return how the figures came about, as a paper's methods section would say it."""
    first = comparison.models[0].summary
    left = (
        f" {len(comparison.left_out)} cases that not every model was scored on were left out."
        if comparison.left_out
        else ""
    )
    return (
        f"{first.cases} scans of {first.patients} patients, scorer {comparison.scorer}, region "
        f"{comparison.region}.{left} Figures are averaged within and then over patients; lesion "
        "counts are pooled. Intervals are 95 % percentile bootstrap intervals over patients. "
        "Models are compared on the same patients by sign-flip permutation tests, corrected over "
        "the figures of a pair by Holm's method. dz is the mean difference over the standard "
        "deviation of the differences, r the rank-biserial correlation. Detection by size and "
        "shape compares the same reference lesions; its p-values are not corrected."
    )


def comparison_html(
    comparison: Comparison, plots: Mapping[str, str], *, cases_svg: str | None = None
) -> str:
    """Return the page; figures are inline, nothing is fetched."""
    names = ", ".join(model.name for model in comparison.models)
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width,initial-scale=1">',
        f"<title>Comparison of {escape(names)}</title><style>{STYLE}</style></head><body>",
        f"<h1>Comparison of {escape(names)}</h1>",
        f'<p class="notice">{escape(RESEARCH_USE_ONLY)} brainmets {escape(__version__)}.</p>',
        "<h2>What the tests show</h2><ul>",
        *(f"<li>{escape(line)}</li>" for line in comparison.conclusions),
        "</ul>",
    ]
    for title, svg in plots.items():
        parts.append(f"<figure>{svg}<figcaption>{escape(title)}</figcaption></figure>")
    parts.append("<h2>Tables</h2>")
    parts += [_html_table(table) for table in comparison_tables(comparison)]
    if cases_svg:
        worst = escape(", ".join(comparison.worst[:4]))
        parts.append("<h2>Worst cases</h2>")
        parts.append(f"<figure>{cases_svg}<figcaption>{worst}</figcaption></figure>")
    parts.append(f"<h2>Methods</h2><p>{escape(methods_text(comparison))}</p></body></html>\n")
    return "\n".join(parts)


def _html_table(table: ReportTable) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in table.header)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in table.rows
    )
    return (
        f'<div class="scroll"><table><caption>{escape(table.title)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _models_table(comparison: Comparison) -> ReportTable:
    figures = [row.figure for row in comparison.pairs[0].rows]
    rows = [
        (figure, *(_interval(model.summary.means[figure]) for model in comparison.models))
        for figure in figures
    ]
    froc = [model.summary.froc for model in comparison.models]
    if any(curve is not None for curve in froc):
        cells = ("–" if curve is None else _short(curve.score) for curve in froc)
        rows.append(("FROC score", *cells))
    return ReportTable(
        title="Mean over patients [95 % interval]",
        header=("", *(model.name for model in comparison.models)),
        rows=tuple(rows),
    )


def _strata_table(model: ModelResult) -> ReportTable:
    return ReportTable(
        title=f"{model.name}: lesions pooled, by longest diameter",
        header=("size", "lesions", "sensitivity", "precision", "F1", "false positives a scan"),
        rows=tuple(
            (
                one.name,
                str(one.tp + one.fn),
                _interval(one.sensitivity),
                _interval(one.precision),
                _interval(one.f1),
                _interval(one.false_alarms_per_scan),
            )
            for one in model.summary.by_diameter
        ),
    )


def _figures_table(pair: PairResult) -> ReportTable:
    return ReportTable(
        title=f"{pair.b} minus {pair.a}, paired by patient",
        header=("", "difference", "p", "p (Holm)", "p (Wilcoxon)", "dz", "r", "higher/lower", "n"),
        rows=tuple(
            (
                row.figure,
                _interval(row.test.difference),
                _p(row.test.p_flip),
                _p(row.p_holm),
                _p(row.test.p_wilcoxon),
                _short(row.test.cohen_dz),
                _short(row.test.rank_biserial),
                f"{row.test.better}/{row.test.worse}",
                str(row.test.difference.n),
            )
            for row in pair.rows
        ),
    )


def _detection_table(pair: PairResult, title: str, rows: Sequence[DetectionRow]) -> ReportTable:
    return ReportTable(
        title=f"{pair.b} minus {pair.a}: the same lesions found, by {title}",
        header=(
            "",
            "lesions",
            f"by {pair.a}",
            f"by {pair.b}",
            f"only {pair.a}",
            f"only {pair.b}",
            "difference",
            "p",
        ),
        rows=tuple(
            (
                row.stratum,
                str(row.lesions),
                str(row.found_a),
                str(row.found_b),
                str(row.only_a),
                str(row.only_b),
                _interval(row.difference),
                _p(row.p_flip),
            )
            for row in rows
        ),
    )


def _interval(one: Interval) -> str:
    if math.isnan(one.value):
        return "–"
    return f"{_short(one.value)} [{_short(one.low)}, {_short(one.high)}]"


def _short(value: float) -> str:
    if math.isnan(value):
        return "–"
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.4g}"


def _p(value: float) -> str:
    if math.isnan(value):
        return "–"
    return "<0.001" if value < 0.001 else f"{value:.3f}"
