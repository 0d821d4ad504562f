"""A follow-up as one picture: sums and categories above, every lesion's diameter below.

SVG written by hand: it opens in any browser, prints sharp, and takes the colour of the text
around it, so it can be read on white and on black.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from brainmets.reporting.views import colour_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from brainmets.tracking import Followup, TrackedLesion

__all__ = ["chart_svg"]

WIDTH, LEFT, RIGHT = 760, 58, 96
SUM_TOP, SUM_BOTTOM = 64, 200
LESIONS_TOP, LESIONS_BOTTOM = 262, 480
HEIGHT = 532

BADGE = {
    "CR": "#1b7f4d",
    "PR": "#1f7a8c",
    "SD": "#66707a",
    "PD": "#b3372b",
    "non-CR/non-PD": "#66707a",
    "NE": "#8a6d1b",
}
"""Dark enough for white letters, clear of one another."""

SUM_COLOUR = "#2f8fa3"
LABEL_PX = 13
TICKS = 5

STYLE = (
    "svg{color:#17212b}"
    "@media(prefers-color-scheme:dark){svg{color:#e6ebf0}}"
    "text{font-family:ui-sans-serif,system-ui,Helvetica,Arial,sans-serif;fill:currentColor}"
)


def chart_svg(followup: Followup) -> str:
    """Return the chart; lesions under the colours that their outlines have in pictures."""
    days = followup.days
    xs = _positions(days)
    frame = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}"'
        f' width="{WIDTH}" height="{HEIGHT}" role="img" color="#17212b"'
        ' aria-label="Lesion sizes over time">'
    )
    parts = [
        frame,
        f"<title>{escape(_summary(followup))}</title><style>{STYLE}</style>",
        *_badges(followup, xs),
        *_sums(followup, xs),
        *_lesions(followup, xs),
        *_time_axis(days, xs),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scale:
    """Millimetres to pixels, from 0 at the bottom."""

    top: int
    bottom: int
    highest: float

    @classmethod
    def of(cls, values: Sequence[float], *, top: int, bottom: int) -> _Scale:
        """Choose a round end above every value."""
        step = _round_step(max(values, default=1.0) * 1.08 / TICKS)
        highest = step * math.ceil(max(max(values, default=1.0) * 1.08, step) / step)
        return cls(top=top, bottom=bottom, highest=highest)

    def __call__(self, mm: float) -> float:
        return self.bottom - (self.bottom - self.top) * mm / self.highest

    def grid(self, title: str) -> list[str]:
        """Draw lines and numbers."""
        step = _round_step(self.highest / TICKS)
        parts = [_text(LEFT, self.top - 12, title, size=12.5, weight=600)]
        for n in range(round(self.highest / step) + 1):
            y = self(n * step)
            parts.append(
                f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"'
                f' stroke="currentColor" stroke-opacity="{0.35 if n == 0 else 0.13}"/>'
            )
            parts.append(_text(LEFT - 8, y + 4, f"{n * step:g}", anchor="end", faint=True))
        return parts


def _positions(days: Sequence[int | None]) -> list[float]:
    """Where each scan stands: by its day, or evenly where no days are known."""
    last = days[-1]
    inner = WIDTH - LEFT - RIGHT - 40
    return [
        LEFT + 20 + inner * (day / last if day is not None and last else n / (len(days) - 1))
        for n, day in enumerate(days)
    ]


def _badges(followup: Followup, xs: Sequence[float]) -> list[str]:
    parts = [_text(LEFT, 16, "RANO-BM, by images alone", size=12.5, weight=600)]
    for x, response in zip(xs, followup.responses, strict=True):
        name = response.category or "baseline"
        colour = BADGE.get(name)
        width = 12 + 8 * len(name)
        if colour is None:
            parts.append(_text(x, 36, name, anchor="middle", faint=True))
            continue
        parts.append(
            f'<rect x="{x - width / 2:.1f}" y="22" width="{width}" height="20" rx="5"'
            f' fill="{colour}"><title>{escape("; ".join(response.reasons))}</title></rect>'
        )
        parts.append(_text(x, 36, name, anchor="middle", weight=650, colour="#fff"))
    return parts


def _sums(followup: Followup, xs: Sequence[float]) -> list[str]:
    """The sum of the targets, with the limits that make it a response or a progression."""
    sums = [response.sum_mm for response in followup.responses]
    if not any(lesion.target for lesion in followup.lesions):
        middle = (SUM_TOP + SUM_BOTTOM) / 2
        note = "No lesion of the first scan is large enough for a target."
        return [_text((LEFT + WIDTH - RIGHT) / 2, middle, note, anchor="middle", faint=True)]
    rules = followup.rules
    known = [total for total in sums if total is not None]
    first = sums[0]
    limits: list[tuple[float, str]] = []
    if first:
        limits = [((1 - rules.response) * first, "PR")]
        before = [total for total in sums[:-1] if total is not None]
        limits.append(((1 + rules.progression) * min(before), "PD"))
    scale = _Scale.of([*known, *(mm for mm, _ in limits)], top=SUM_TOP + 24, bottom=SUM_BOTTOM)
    parts = scale.grid("Sum of the targets' longest diameters, mm")
    for mm, name in limits:
        y = scale(mm)
        parts.append(
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"'
            f' stroke="{BADGE[name]}" stroke-width="1.2" stroke-dasharray="2 4"/>'
        )
        sign = "≤" if name == "PR" else "≥"
        parts.append(_text(WIDTH - RIGHT + 6, y + 4, f"{name} {sign} {mm:.0f}", faint=True))
    parts += _curve(xs, [None if s is None else scale(s) for s in sums], SUM_COLOUR, width=2.6)
    for x, total in zip(xs, sums, strict=True):
        if total is not None:
            parts.append(_text(x, scale(total) - 9, f"{total:.1f}", anchor="middle", weight=600))
    return parts


def _lesions(followup: Followup, xs: Sequence[float]) -> list[str]:
    lesions = followup.lesions
    sizes = [one.diameter_mm for lesion in lesions for one in lesion.sightings]
    known = [mm for mm in sizes if mm is not None]
    scale = _Scale.of(known or [1.0], top=LESIONS_TOP, bottom=LESIONS_BOTTOM)
    parts = scale.grid("Longest diameter of each lesion, mm  (solid: target, dashed: other)")
    ends: list[tuple[float, TrackedLesion]] = []
    for lesion in lesions:
        ys = _heights(lesion, scale)
        colour = _colour(lesion.id)
        parts += _curve(xs, ys, colour, width=2.0, dashed=not lesion.target)
        last = next((y for y in reversed(ys) if y is not None), None)
        if last is not None:
            ends.append((last, lesion))
    parts += _end_labels(ends)
    return parts


def _heights(lesion: TrackedLesion, scale: _Scale) -> list[float | None]:
    """Where the curve runs: at 0 only for the scan where a lesion is not yet or no longer there."""
    shown: list[float | None] = []
    sightings = lesion.sightings
    for n, one in enumerate(sightings):
        beside = (
            n + 1 < len(sightings) and sightings[n + 1].seen,
            n > 0 and sightings[n - 1].seen,
        )
        drawn = one.seen or (one.state in {"gone", "absent"} and any(beside))
        mm = one.diameter_mm
        shown.append(scale(mm) if drawn and mm is not None else None)
    return shown


def _curve(
    xs: Sequence[float],
    ys: Sequence[float | None],
    colour: str,
    *,
    width: float,
    dashed: bool = False,
) -> list[str]:
    """Draw a line through what is known, and a dot at each scan."""
    known = [(x, y) for x, y in zip(xs, ys, strict=True) if y is not None]
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in known)
    dash = ' stroke-dasharray="6 4"' if dashed else ""
    line = (
        f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="{width}"'
        f' stroke-linejoin="round"{dash}/>'
    )
    dots = (f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.4" fill="{colour}"/>' for x, y in known)
    return [line, *dots]


def _end_labels(ends: list[tuple[float, TrackedLesion]]) -> list[str]:
    """Name each curve at its end, moved apart where they would overlap."""
    parts: list[str] = []
    lowest = float("-inf")
    for y, lesion in sorted(ends, key=lambda end: (end[0], end[1].id)):
        lowest = max(y + 4, lowest + LABEL_PX)
        text = f"{lesion.id} {lesion.latest.state}"
        parts.append(
            f'<circle cx="{WIDTH - RIGHT + 10}" cy="{lowest - 4:.1f}" r="3.4"'
            f' fill="{_colour(lesion.id)}"/>'
        )
        parts.append(_text(WIDTH - RIGHT + 18, lowest, text))
    return parts


def _time_axis(days: Sequence[int | None], xs: Sequence[float]) -> list[str]:
    parts: list[str] = []
    room = float("-inf")
    for number, (day, x) in enumerate(zip(days, xs, strict=True), start=1):
        if x - room < 34:  # too near the one before to be read
            continue
        room = x
        name = f"scan {number}" if day is None else f"{day}"
        parts.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{LESIONS_BOTTOM}" y2="{LESIONS_BOTTOM + 5}"'
            ' stroke="currentColor" stroke-opacity="0.5"/>'
        )
        parts.append(_text(x, LESIONS_BOTTOM + 19, name, anchor="middle"))
    if days[0] is not None:
        middle = (LEFT + WIDTH - RIGHT) / 2
        title = "days since the first scan"
        parts.append(_text(middle, LESIONS_BOTTOM + 39, title, anchor="middle", faint=True))
    return parts


def _summary(followup: Followup) -> str:
    last = followup.responses[-1]
    return (
        f"{len(followup.lesions)} lesions over {len(followup.days)} scans;"
        f" last scan {last.category}: {'; '.join(last.reasons)}"
    )


def _colour(lesion: int) -> str:
    """The lesion's outline colour, dark enough for white paper and light enough for black."""
    return "#" + "".join(f"{round(0.78 * channel):02x}" for channel in colour_of(lesion))


def _round_step(step: float) -> float:
    """Return 1, 2 or 5 times a power of ten, not below `step`."""
    power = 10.0 ** math.floor(math.log10(max(step, 1e-6)))
    return next(power * n for n in (1, 2, 5, 10) if power * n >= step - 1e-9)


def _text(
    x: float,
    y: float,
    text: str,
    *,
    anchor: str = "start",
    size: float = 12,
    weight: int = 400,
    faint: bool = False,
    colour: str = "",
) -> str:
    more = f' style="fill:{colour}"' if colour else ""
    more += ' fill-opacity="0.72"' if faint else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" font-weight="{weight}"'
        f' text-anchor="{anchor}"{more}>{escape(text)}</text>'
    )
