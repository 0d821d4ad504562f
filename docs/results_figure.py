"""Draw the README's plot of sensitivity on metastases: `python docs/results_figure.py`.

Reads `docs/results/metastases.csv`: figures printed by
`python -m benchmarks.metastases attention-unet-3d --fold 0` on held-out patients of
BCBM-RadioGenomics. Writes `docs/images/sensitivity.png`. Change a figure in the CSV file, never in
the picture.
"""

from __future__ import annotations

import csv
from pathlib import Path

from matplotlib.figure import Figure

__all__ = ["draw", "read"]

DOCS = Path(__file__).resolve().parent
DATA = DOCS / "results" / "metastases.csv"
TARGET = DOCS / "images" / "sensitivity.png"
COLOURS = ("#1f6feb", "#bc4c00")
OFFSET = 0.09


def read(path: Path = DATA) -> dict[str, list[dict[str, str]]]:
    """Return the rows of each network, sizes in the order of the file."""
    rows: dict[str, list[dict[str, str]]] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            rows.setdefault(row["network"], []).append(row)
    return rows


def draw(rows: dict[str, list[dict[str, str]]], target: Path = TARGET) -> None:
    """Write the plot: one point with a 95 % interval for each size and network."""
    figure = Figure(figsize=(7.2, 3.1), layout="constrained")
    axis = figure.subplots()
    for place, (network, sizes) in enumerate(rows.items()):
        shift = OFFSET * (2 * place - 1)
        x = [number + shift for number in range(len(sizes))]
        found = [float(one["sensitivity"]) for one in sizes]
        known = [i for i, one in enumerate(sizes) if one["low"]]
        axis.errorbar(
            [x[i] for i in known],
            [found[i] for i in known],
            yerr=[
                [found[i] - float(sizes[i]["low"]) for i in known],
                [float(sizes[i]["high"]) - found[i] for i in known],
            ],
            fmt="none",
            ecolor=COLOURS[place],
            elinewidth=1.6,
            capsize=3,
        )
        axis.plot(x, found, "os"[place], color=COLOURS[place], label=network, markersize=7)
    sizes = next(iter(rows.values()))
    axis.set_xticks(
        range(len(sizes)),
        [
            f"{one['size'].replace('-', '–').replace('>=', '≥')}\n{one['lesions']} lesions"
            for one in sizes
        ],
    )
    axis.set_ylim(-0.02, 1.05)
    axis.set_ylabel("sensitivity")
    axis.set_title(
        "Metastases found by longest diameter, at 1.0 false positive a scan\n"
        "33 exams of 24 held-out patients, BCBM-RadioGenomics; bars: 95 % intervals",
        fontsize=9,
    )
    axis.grid(axis="y", alpha=0.3)
    axis.legend(loc="lower right", fontsize=8, frameon=False)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
    figure.savefig(target, dpi=130, metadata={"Software": None})


if __name__ == "__main__":
    draw(read())
