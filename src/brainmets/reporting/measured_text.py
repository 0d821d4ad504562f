"""Measured figures as Markdown: every bar, what was measured, and whether it is met."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from brainmets.reporting.benchmark_report import benchmark_markdown, bundle_lines, worded

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["measured_markdown", "measured_section"]


def measured_markdown(document: Mapping[str, Any]) -> str:
    """Return the bars as one table, then every network in detail."""
    lines = ["# Measured", "", f"**{document['notice']}**", "", *_bars(document)]
    for one in document["bundles"]:
        lines += ["", f"## {one['name']}", "", *_details(one)]
    for one in document["cross_validated"]:
        title = f"## {one['network']}, {len(one['bundles'])} folds together"
        lines += ["", title, "", *_held_out(one["held_out"], "scan")]
    if document["benchmark"] is not None:
        lines += ["", *("#" * line.startswith("#") + line for line in _benchmark(document))]
    return "\n".join(lines) + "\n"


def measured_section(document: Mapping[str, Any], name: str) -> str:
    """Return one network's figures as a section of its model card.

    Pictures are left out, and the bundle's sha256, which the card's own words change.
    """
    (one,) = (bundle for bundle in document["bundles"] if bundle["name"] == name)
    lines = ["", "## Measured", "", f"`brainmets models measure {name} --data … --output …`:", ""]
    details = (line.partition(" Bundle sha256")[0] for line in _details(one))
    lines += [line for line in details if not line.startswith("![")]
    made: Mapping[str, Any] = document["benchmark"] or {"bundles": ()}
    for tested in made["bundles"]:
        if tested["name"] == name:
            lines += ["", f"Synthetic benchmark, version {made['benchmark']['version']}:", ""]
            lines += bundle_lines(tested, made)
    return "\n".join(lines).rstrip() + "\n"


def _benchmark(document: Mapping[str, Any]) -> list[str]:
    text = benchmark_markdown(document["benchmark"]).replace("(froc.svg)", "(benchmark/froc.svg)")
    return text.splitlines()


def _bars(document: Mapping[str, Any]) -> Iterator[str]:
    bars = document["bars"]
    yield "| network | figure | bar | measured | |"
    yield "|---|---|---|---|---|"
    for one in document["bundles"]:
        held = one["held_out"]
        if one["dims"] == 2:
            figure = "mean Dice a held-out slice"
            yield _bar(one["name"], figure, "≥", bars["slice_dice"], held["dice"])
            continue
        yield _bar(
            one["name"],
            "tumour-core Dice, held-out scans that enhance",
            "≥",
            bars["core_dice"],
            held["dice"],
        )
        alarms = held["false_components"]
        yield _bar(one["name"], "false components a scan", "≤", bars["false_components"], alarms)
        if one["healthy"] is not None:
            count = one["healthy"]["components"]
            met = count <= bars["healthy_components"]
            yield (
                f"| {one['name']} | components on the healthy head | ≤ "
                f"{bars['healthy_components']:g} | {count} | {_met(met)} |"
            )
    for one in document["cross_validated"]:
        name = f"{one['network']}, cross-validated"
        held = one["held_out"]
        yield _bar(name, "tumour-core Dice", "≥", bars["core_dice"], held["dice"])
        alarms = held["false_components"]
        yield _bar(name, "false components a scan", "≤", bars["false_components"], alarms)
    if document["benchmark"] is not None:
        for one in document["benchmark"]["bundles"]:
            for bar in one["bars"]:
                yield (
                    f"| {one['name']} | synthetic, {bar['stratum']}, at "
                    f"{bar['false_alarms_per_scan']:.2f} false positives a scan | "
                    f"≥ {bar['bar']:.2f} | {worded(bar['sensitivity'])} | {_met(bar['met'])} |"
                )


def _bar(name: str, figure: str, sign: str, bar: float, measured: Mapping[str, Any]) -> str:
    value = measured["value"]
    if value is None:
        return f"| {name} | {figure} | {sign} {bar:g} | – | nothing held out |"
    met = value >= bar if sign == "≥" else value <= bar
    return f"| {name} | {figure} | {sign} {bar:g} | {worded(measured, digits=3)} | {_met(met)} |"


def _met(met: bool) -> str:  # noqa: FBT001 - one word for a truth value
    return "met" if met else "**not met**"


def _details(one: Mapping[str, Any]) -> Iterator[str]:
    point = one["operating_point"]
    yield (
        f"Operating point: threshold {point['threshold']:g}, peak {point['peak']:g}, at least "
        f"{point['min_volume_mm3']:g} mm³. Bundle sha256 {one['sha256'][:16]}."
    )
    yield ""
    yield from _held_out(one["held_out"], "slice" if one["dims"] == 2 else "scan")
    for name in ("healthy", "ring_case"):
        seen = one.get(name)
        if seen is None:
            continue
        yield ""
        highest = "" if seen["highest"] is None else f", highest probability {seen['highest']:.2f}"
        yield (
            f"{seen['input']}: **{seen['components']} component"
            f"{'s' * (seen['components'] != 1)}**, {seen['volume_ml']:.1f} mL"
            f"{highest}."
        )
        yield ""
        yield f"![{seen['input']} and what was found]({seen['picture']})"


def _held_out(held: Mapping[str, Any], unit: str) -> Iterator[str]:
    left = f", {held['not_enhancing']} that do not enhance left out of Dice"
    yield (
        f"Mean Dice **{worded(held['dice'], digits=3)}** over {held['with_lesion']} held-out "
        f"{unit}s with lesion ({held['cases']} in all{left * bool(held['not_enhancing'])}; "
        f"intervals over {held['patients']} patients or blocks); "
        f"{worded(held['false_components'])} components a {unit} touch no lesion; lesion "
        f"sensitivity {worded(held['sensitivity'])}; no overlap at all in "
        f"{held['without_overlap']}."
    )
    if held.get("groups"):
        yield ""
        yield f"| | {unit}s | Dice | false components |"
        yield "|---|---|---|---|"
        for group, one in held["groups"].items():
            yield (
                f"| {group} | {one['cases']} | {worded(one['dice'], digits=3)} | "
                f"{worded(one['false_components'])} |"
            )
    if held.get("case_by_case"):
        yield ""
        yield "| case | | Dice | components | false |"
        yield "|---|---|---|---|---|"
        for row in held["case_by_case"]:
            dice = "–" if row["dice"] is None else f"{row['dice']:.3f}"
            counts = f"{row['components']} | {row['false']}"
            yield f"| {row['case']} | {row['group']} | {dice} | {counts} |"
