"""How operating points were chosen, as a section of the model card."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["tuning_section"]


def tuning_section(document: Mapping[str, Any], unit: str) -> str:
    """Return the section in Markdown; `unit` is `scan` or `slice`."""
    counted = ", ".join(
        f"{one['cases']} {source} {unit}s of {one['patients']} patients or blocks with "
        f"{one['lesions']} lesions"
        for source, one in document["cases"].items()
    )
    lines = [
        "",
        "## Operating points",
        "",
        f"Chosen on validation cases only ({counted}), never on test cases.",
        "The figures are those of the same cases, and are therefore optimistic.",
        "",
        f"| point | threshold | peak | min. mm³ | Dice | sensitivity | FP per {unit} | allowed |",
        "|---|---|---|---|---|---|---|---|",
    ]
    before = document["before"]
    if "dice" in before:
        lines.append(_row("before", before, "–"))
    lines += [
        _row(f"**{name}** (default)" if name == "balanced" else name, one, f"{one['allowed']:g}")
        for name, one in document["points"].items()
    ]
    lines += ["", _on_rejector(document["rejector"]), ""]
    return "\n".join(lines)


def _row(name: str, one: Mapping[str, Any], allowed: str) -> str:
    dice, found = (
        "–" if one[figure] is None else f"{one[figure]:.3f}" for figure in ("dice", "sensitivity")
    )
    return (
        f"| {name} | {one['grow']:g} | {one['peak']:g} | {one['min_volume_mm3']:g} | {dice} | "
        f"{found} | {one['false_alarms']:.2f} | {allowed} |"
    )


def _on_rejector(tried: Mapping[str, Any] | None) -> str:
    if tried is None:
        return "No rejector of components was tried."
    components = f"{tried['real']} real and {tried['false']} false components"
    if "gain" not in tried:
        return f"Rejector of components: not fitted, {tried['because']} ({components})."
    gain = tried["gain"]
    verb = "kept" if tried["kept"] else "not kept"
    rates = ", ".join(f"{rate:g}" for rate in tried["rates"])
    peaks = " The peaks above are its probabilities, on patients that it was not fitted to."
    return (
        f"Rejector of components ({components}; logistic regression, measured on patients it was "
        f"not fitted to): {verb}, {tried['because']}. Lesions found, mean at {rates} false "
        f"positives, {tried['found_without']:.3f} without and {tried['found_with']:.3f} with it; "
        f"gain {gain['value']:+.3f} [{gain['low']:+.3f}, {gain['high']:+.3f}]."
        + (peaks if tried["kept"] else "")
    )
