"""The figures of a comparison, as SVG: what a paper would print."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from brainmets.reporting.drawing import COLOURS, drawn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from brainmets.evaluation.comparison import Comparison, ModelResult

__all__ = ["CaseView", "draw_cases", "draw_plots"]

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
