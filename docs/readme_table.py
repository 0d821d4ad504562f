"""Write the table of measured figures into docs/results.md, from the JSON that the commands leave.

    brainmets models measure attention-unet-3d unet-plus-plus-3d attention-unet-2d \
        unet-plus-plus-2d --data ../shared/data --output measured
    brainmets compare attention-unet-2d … unet-plus-plus-2d … --held-out ../shared/data --out duel
    python docs/readme_table.py measured/measured.json --duel duel/comparison.json

The table goes between the two markers; without --write it is only printed.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

PAGE = Path(__file__).resolve().parent / "results.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
NETWORKS = {"attention-unet": "Attention U-Net", "unet-plus-plus": "U-Net++"}


def table(measured: Sequence[Mapping[str, Any]], duels: Sequence[Mapping[str, Any]]) -> str:
    """Return the table and one line for each claim; a network that was not measured has a dash."""
    bundles = [one for document in measured for one in document["bundles"]]
    folds = [one for document in measured for one in document["cross_validated"]]
    made = [
        one
        for document in measured
        if document["benchmark"] is not None
        for one in document["benchmark"]["bundles"]
    ]
    lines = [
        "| held out from every training and choice | " + " | ".join(NETWORKS.values()) + " |",
        "|---|---|---|",
    ]
    slices = {one["network"]: one["held_out"] for one in bundles if one["dims"] == 2}
    volumes = {one["network"]: one["held_out"] for one in bundles if one["dims"] == 3}
    volumes |= {one["network"]: one["held_out"] for one in folds}
    healthy = {one["network"]: one["healthy"] for one in bundles if one.get("healthy")}
    lines += [
        _row(f"T1c slices of three tumours{_count(slices)}: Dice", slices, _dice),
        _row("false components a slice", slices, _alarms),
        _row(f"T1c volumes of gliomas{_count(volumes)}: tumour-core Dice", volumes, _dice),
        _row("false components a scan", volumes, _alarms),
        _row("components on a healthy head", healthy, lambda one: str(one["components"])),
        *_synthetic({one["network"]: one for one in made}),
    ]
    for duel in duels:
        lines += ["", *(_verdict(claim) for claim in duel["claims"])]
    return "\n".join(lines)


def _row(name: str, by_network: Mapping[str, Any], shown: Any) -> str:
    cells = [shown(by_network[one]) if one in by_network else "–" for one in NETWORKS]
    return f"| {name} | " + " | ".join(cells) + " |"


def _synthetic(made: Mapping[str, Any]) -> Iterator[str]:
    if not made:
        return
    first = next(iter(made.values()))
    for number, stratum in enumerate(first["at_operating_point"][1:], start=1):
        count = stratum["tp"] + stratum["fn"]
        yield _row(
            f"synthetic heads, {count} lesions {stratum['name']}: sensitivity",
            made,
            lambda one, n=number: _interval(one["at_operating_point"][n]["sensitivity"]),
        )
    yield _row(
        "synthetic heads: false positives a scan",
        made,
        lambda one: _interval(one["at_operating_point"][0]["false_alarms_per_scan"]),
    )


def _count(by_network: Mapping[str, Any]) -> str:
    counts = {one["with_lesion"] for one in by_network.values()}
    return f" ({', '.join(map(str, sorted(counts)))})" if counts else ""


def _dice(held: Mapping[str, Any]) -> str:
    return _interval(held["dice"], digits=3)


def _alarms(held: Mapping[str, Any]) -> str:
    return _interval(held["false_components"])


def _interval(one: Mapping[str, Any], *, digits: int = 2) -> str:
    if one["value"] is None:
        return "–"
    value, low, high = (f"{one[name]:.{digits}f}" for name in ("value", "low", "high"))
    return f"{value} ({low}–{high})"


def _verdict(claim: Mapping[str, Any]) -> str:
    because = claim["because"][0].upper() + claim["because"][1:]
    return f"- “{claim['claim']}”: **{claim['verdict']}**. {because}."


def insert(readme: str, content: str) -> str:
    """Return the page with the content between its markers.

    Raises:
        SystemExit: the page has no markers.
    """
    head, begin, rest = readme.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        sys.exit(f"docs/results.md has no {BEGIN} … {END}")
    return f"{head}{BEGIN}\n{content}\n{END}{tail}"


def main() -> None:
    """Print the table, or write it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("measured", nargs="+", type=Path, help="measured.json of models measure")
    parser.add_argument("--duel", nargs="*", type=Path, default=[], help="comparison.json files")
    parser.add_argument("--write", action="store_true", help="write it into docs/results.md")
    chosen = parser.parse_args()
    measured, duels = (
        [json.loads(path.read_text(encoding="utf-8")) for path in paths]
        for paths in (chosen.measured, chosen.duel)
    )
    content = table(measured, duels)
    if chosen.write:
        PAGE.write_text(insert(PAGE.read_text(encoding="utf-8"), content), encoding="utf-8")
    sys.stdout.write(content + "\n")


if __name__ == "__main__":
    main()
