"""The benchmark's document as Markdown and as a picture of its FROC curves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from brainmets.reporting.drawing import COLOURS, drawn_both

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["benchmark_markdown", "bundle_lines", "froc_pictures", "worded"]

MOST_ALARMS_SHOWN = 8.0


def benchmark_markdown(document: Mapping[str, Any]) -> str:
    """Return the tables: sensitivity by size with 95 % intervals, false positives, bars."""
    suite = document["benchmark"]
    maps = suite["label_maps"]
    made_from = "formulas" if isinstance(maps, str) else ", ".join(maps)
    lines = [
        "# Synthetic benchmark",
        "",
        f"**{document['notice']}**",
        "",
        (
            f"Version {suite['version']}, {len(suite['heads'])} synthetic heads from {made_from}; "
            f"sha256 of their voxels {suite['sha256'][:16]}. Sizes are longest diameters; "
            "intervals are 95 % bootstrap intervals over heads."
        ),
        "",
        "![FROC curves](froc.svg)",
    ]
    for one in document["bundles"]:
        lines += ["", f"## {one['name']}", "", *bundle_lines(one, document)]
    return "\n".join(lines) + "\n"


def worded(interval: Mapping[str, Any], *, digits: int = 2) -> str:
    """Return an interval as `0.62 [0.48, 0.75]`, a dash where there is nothing to count."""
    if interval["value"] is None:
        return "–"
    value, low, high = (f"{interval[name]:.{digits}f}" for name in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


def froc_pictures(document: Mapping[str, Any]) -> tuple[str, bytes]:
    """Draw every network's curve, its operating point and the allowed rate, as SVG and PNG.

    Raises:
        OptionError: matplotlib is not installed.
    """
    return drawn_both(_draw, document, columns=2)


def bundle_lines(one: Mapping[str, Any], document: Mapping[str, Any]) -> list[str]:
    """Return one network's operating point, its table and what the columns mean."""
    point = one["operating_point"]
    allowed = one["at_allowed_false_alarms"]
    bars = {bar["stratum"]: bar for bar in one["bars"]}
    at_rate = {stratum["name"]: stratum for stratum in allowed["strata"]}
    rate = one["at_operating_point"][0]["false_alarms_per_scan"]
    lines = [
        (
            f"Operating point: threshold {point['threshold']:g}, peak {point['peak']:g}, at least "
            f"{point['min_volume_mm3']:g} mm³: **{worded(rate)} false positives a scan**, mean "
            f"Dice {one['dice']:.2f}, {one['seconds_a_scan']:.1f} s a scan."
        ),
        "",
        (
            f"| longest diameter | lesions | sensitivity | bar | false positives a scan | "
            f"at ≤ {document['allowed_false_alarms']:g} false positives |"
        ),
        "|---|---|---|---|---|---|",
    ]
    for stratum in one["at_operating_point"]:
        name = stratum["name"]
        bar = bars.get(name)
        held = "" if bar is None else f"{bar['bar']:.2f} {'met' if bar['met'] else '**not met**'}"
        lines.append(
            f"| {name} | {stratum['tp'] + stratum['fn']} | {worded(stratum['sensitivity'])} | "
            f"{held} | {worded(stratum['false_alarms_per_scan'])} | "
            f"{worded(at_rate[name]['sensitivity'])} |"
        )
    lines += [
        "",
        (
            "A bar is met where the sensitivity at the operating point reaches it with at most "
            f"{document['allowed_false_alarms']:g} false positives a scan. The last column moves "
            f"the peak to {allowed['confidence']:.3f}, read off these very heads: what the network "
            "could reach, not what it does."
        ),
    ]
    return lines


def _draw(axes: Sequence[Any], document: Mapping[str, Any]) -> None:
    curves, sizes = axes
    for number, one in enumerate(document["bundles"]):
        colour = COLOURS[number % len(COLOURS)]
        froc, every = one["froc"], one["at_operating_point"][0]
        if froc is not None:
            x = [0.0, *froc["false_alarms_per_scan"]]
            y = [0.0, *froc["sensitivity"]]
            curves.step(x, y, where="post", color=colour, label=one["name"])
        curves.plot(
            every["false_alarms_per_scan"]["value"],
            every["sensitivity"]["value"],
            "o",
            color=colour,
            markersize=4,
            label=None if froc is not None else one["name"],
        )
        _draw_sizes(sizes, one, colour, shift=0.14 * (number - (len(document["bundles"]) - 1) / 2))
    allowed = document["allowed_false_alarms"]
    curves.axvline(allowed, color="0.7", linewidth=0.7, linestyle=":")
    curves.set_xlabel("false positives a scan (dot: operating point)")
    curves.set_ylabel("sensitivity")
    curves.set_xlim(0.0, MOST_ALARMS_SHOWN)
    curves.set_ylim(0.0, 1.02)
    curves.legend(loc="lower right")
    strata = document["bundles"][0]["at_operating_point"][1:]
    bars = {bar["stratum"]: bar["bar"] for bar in document["bundles"][0]["bars"]}
    for place, stratum in enumerate(strata):
        if stratum["name"] in bars:
            level = bars[stratum["name"]]
            sizes.plot([place - 0.35, place + 0.35], [level, level], color="0.4", linestyle=":")
    labels = [f"{one['name']}\nn = {one['tp'] + one['fn']}" for one in strata]
    sizes.set_xticks(range(len(strata)), labels)
    sizes.set_xlabel("longest diameter (dotted: the bar)")
    sizes.set_ylabel("sensitivity")
    sizes.set_ylim(0.0, 1.05)


def _draw_sizes(axis: Any, one: Mapping[str, Any], colour: str, *, shift: float) -> None:
    for place, stratum in enumerate(one["at_operating_point"][1:]):
        found = stratum["sensitivity"]
        if found["value"] is None:
            continue
        below, above = found["value"] - found["low"], found["high"] - found["value"]
        axis.errorbar(
            place + shift,
            found["value"],
            yerr=[[max(below, 0.0)], [max(above, 0.0)]],
            fmt="o",
            color=colour,
            markersize=4,
            elinewidth=0.7,
            capsize=2,
        )
