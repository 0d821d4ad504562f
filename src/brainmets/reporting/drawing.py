"""Figures for print: one style, drawn as SVG and as PNG."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any

from brainmets.domain.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["COLOURS", "HEIGHT_INCH", "WIDTH_INCH", "drawn", "drawn_both"]

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Okabe & Ito: told apart by colour-blind readers and in grey print."""

STYLE: Mapping[str, Any] = {
    "font.size": 8.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "lines.linewidth": 1.2,
    "legend.frameon": False,
    "svg.hashsalt": "brainmets",  # the same comparison gives the same bytes
    "svg.fonttype": "path",
}

METADATA = re.compile(r"<metadata>.*?</metadata>", re.DOTALL)
"""Names addresses on the web, which a page that needs no network should not."""

WIDTH_INCH, HEIGHT_INCH = 3.4, 2.7
"""One column of a journal page."""

PNG_DPI = 200


def drawn(
    draw: Callable[..., None], subject: object, *, columns: int = 1, raster: bool = False
) -> str:
    """Let `draw` fill a figure's axes and return it as SVG.

    Raises:
        OptionError: matplotlib is not installed.
    """
    return drawn_both(draw, subject, columns=columns, raster=raster, png=False)[0]


def drawn_both(
    draw: Callable[..., None],
    subject: object,
    *,
    columns: int = 1,
    raster: bool = False,
    png: bool = True,
) -> tuple[str, bytes]:
    """Let `draw` fill a figure's axes and return it as SVG and as PNG.

    Raises:
        OptionError: matplotlib is not installed.
    """
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError as fault:
        raise OptionError(
            "no matplotlib, which draws the report's figures",
            expected="the extra `report`",
            remedy="pip install 'brainmets[report]'",
        ) from fault
    style: dict[Any, Any] = dict(STYLE)
    with mpl.rc_context(style):
        height = 2.4 if raster else HEIGHT_INCH
        figure = Figure(figsize=(WIDTH_INCH * (columns if not raster else 2), height))
        figure.set_layout_engine("constrained")
        axes = [figure.add_subplot(1, columns, n + 1) for n in range(columns)]
        draw(axes, subject)
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
        pixels = io.BytesIO()
        if png:
            figure.savefig(pixels, format="png", dpi=PNG_DPI, metadata={"Software": None})
    svg = out.getvalue()
    return METADATA.sub("", svg[svg.index("<svg") :]), pixels.getvalue()
