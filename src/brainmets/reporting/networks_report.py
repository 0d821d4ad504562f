"""Two networks against each other: Markdown with the conclusions first, and a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from brainmets.reporting.benchmark_report import worded
from brainmets.reporting.drawing import COLOURS, drawn_both

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["networks_markdown", "networks_pictures"]

TITLES = {"attention-unet": "Attention U-Net", "unet-plus-plus": "U-Net++"}

SIZES = {"diameter_mm": "longest diameter", "equivalent_mm": "diameter of the disc of equal area"}

DIVISIONS = {
    "all": "All",
    "size": "By size",
    "size third": "By size, thirds of the lesions",
    "sphericity": "By shape: sphericity, thirds of the lesions",
    "solidity": "By shape: solidity (share of the convex hull), thirds of the lesions",
}

CONCLUSIONS = {"confirmed": "CONFIRMED", "refuted": "REFUTED", "undecided": "UNDECIDED"}


def networks_markdown(document: Mapping[str, Any]) -> str:
    """Return conclusions, the rule, then every stratum with both networks and their difference."""
    a, b = _title(document["a"]), _title(document["b"])
    seeds = document["seeds"]
    lines = [f"# {a} against {b}", "", f"**{document['notice']}**", ""]
    lines += [
        f"- **{CONCLUSIONS[one['verdict']]}**: “{one['claim']}”: {one['because']}."
        for one in document["claims"]
    ]
    if not document["claims"]:
        lines.append("- No claim is about these two.")
    dice = ", ".join(f"{name} {value:.3f}" for name, value in document["case_dice_by_seed"].items())
    lines += [
        "",
        document["rule"],
        "",
        (
            f"{document['cases']} cases of {document['patients']} patients or blocks "
            f"({document['data']}); trainings: {len(seeds[document['a']])} and "
            f"{len(seeds[document['b']])}; mean case Dice {dice}. Sizes: "
            f"{SIZES[document['size']]} in mm. Intervals: 95 % bootstrap over patients or "
            "blocks, and trainings, at once; "
            "differences are paired."
        ),
    ]
    lines += ["", *(f"- {note}" for note in document["notes"])] if document["notes"] else []
    lines += ["", "![Both networks by size and shape](comparison.svg)"]
    for by, title in DIVISIONS.items():
        rows = [row for row in document["rows"] if row["by"] == by]
        if rows:
            lines += ["", f"## {title}", "", *_table(rows, a, b)]
    return "\n".join(lines) + "\n"


def networks_pictures(document: Mapping[str, Any]) -> tuple[str, bytes]:
    """Draw lesion Dice and sensitivity by size and by shape, as SVG and PNG.

    Raises:
        OptionError: matplotlib is not installed.
    """
    return drawn_both(_draw, document, columns=3)


def _table(rows: Sequence[Mapping[str, Any]], a: str, b: str) -> Iterator[str]:
    yield f"| | lesions | figure | {a} | {b} | difference |"
    yield "|---|---|---|---|---|---|"
    for row in rows:
        if row["difference"]["value"] is None:
            continue
        yield (
            f"| {row['stratum']} | {row['lesions']} | {row['figure']} | {worded(row['a'])} | "
            f"{worded(row['b'])} | {_signed(row['difference'])} |"
        )


def _signed(one: Mapping[str, Any]) -> str:
    text = f"{one['value']:+.3f} [{one['low']:+.3f}, {one['high']:+.3f}]"
    return f"**{text}**" if one["low"] > 0 or one["high"] < 0 else text


def _title(name: str) -> str:
    return TITLES.get(name, name)


def _draw(axes: Sequence[Any], document: Mapping[str, Any]) -> None:
    panels = (
        ("size" if _many(document, "size") else "size third", "lesion dice"),
        ("size" if _many(document, "size") else "size third", "sensitivity"),
        ("sphericity", "lesion dice"),
    )
    for axis, (by, figure) in zip(axes, panels, strict=True):
        rows = [
            row
            for row in document["rows"]
            if row["by"] == by and row["figure"] == figure and row["a"]["value"] is not None
        ]
        for number, network in enumerate(("a", "b")):
            for place, row in enumerate(rows):
                one = row[network]
                axis.errorbar(
                    place + 0.16 * (number - 0.5),
                    one["value"],
                    yerr=[
                        [max(one["value"] - one["low"], 0.0)],
                        [max(one["high"] - one["value"], 0.0)],
                    ],
                    fmt="o",
                    color=COLOURS[number],
                    markersize=4,
                    elinewidth=0.7,
                    capsize=2,
                    label=_title(document[network]) if place == 0 else None,
                )
        labels = [f"{_short(row['stratum'])}\nn = {row['lesions']}" for row in rows]
        axis.set_xticks(range(len(rows)), labels)
        axis.set_ylabel(figure)
        axis.set_ylim(0.0, 1.05)
        axis.set_title(DIVISIONS[by].split(",")[0], fontsize=7)
    axes[0].legend(loc="lower right")


def _many(document: Mapping[str, Any], by: str) -> bool:
    """Say whether more than one stratum of a division holds lesions."""
    rows = [r for r in document["rows"] if r["by"] == by and r["figure"] == "lesion dice"]
    return sum(row["lesions"] > 0 for row in rows) > 1


def _short(name: str) -> str:
    return (
        name.removesuffix(" third")
        .replace("least spherical", "least\nspherical")
        .replace("most spherical", "most\nspherical")
    )
