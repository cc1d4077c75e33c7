"""Draw values over the steps of training as SVG, in the colours of the page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from stemsplit.evaluation.report.charts import FAINT, INK, NARROW, WIDE, new_chart, tidy

#: Placeholder colours of sources, and the page's colours with which they are replaced.
COLOURS = {f"#0e0f{number:02x}": f"var(--c{number})" for number in range(8)}


class Line(NamedTuple):
    """Values ``y`` at ``x``."""

    x: Sequence[float]
    y: Sequence[float]
    colour: int | None = None  # number of a source; None: the colour of text


def draw_lines(
    lines: Sequence[Line], *, logarithmic: bool = False, mark: float | None = None
) -> tuple[str, str]:
    """Return two SVGs, wide and narrow, of ``lines``; NaN and ±∞ are gaps.

    ``mark`` is an x to point out. Only positive values show on a ``logarithmic`` axis.
    """
    from matplotlib.ticker import LogLocator

    drawn = []
    for size in (WIDE, NARROW):
        figure, axes = new_chart((size[0], size[1] + 40), 52)
        if mark is not None:
            axes.axvline(mark, color=FAINT, linewidth=1)
        for line in lines:
            colour = INK if line.colour is None else [*COLOURS][line.colour % len(COLOURS)]
            values = [y if math.isfinite(y) else math.nan for y in line.y]
            style = "o" if len(values) < 40 else None
            axes.plot(line.x, values, color=colour, linewidth=1.6, marker=style, markersize=3)
        if logarithmic:
            axes.set_yscale("log")
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.yaxis.set_major_formatter("{x:g}")
            axes.minorticks_off()
        drawn.append(tidy(figure))
    wide, narrow = (_coloured(svg) for svg in drawn)
    return wide, narrow


def _coloured(svg: str) -> str:
    for placeholder, colour in COLOURS.items():
        svg = svg.replace(placeholder, colour)
    return svg
