"""Draw scores as SVG in the colours of the page, and spectrograms as PNG.

matplotlib is imported when it is used: only pages have charts.
"""

from __future__ import annotations

import io
import math
import re
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stemsplit.audio.blocks import Block
from stemsplit.errors import printable
from stemsplit.evaluation.scores import Frames, StemScores

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Placeholder colours, and the colours of the page with which ``tidy`` replaces them.
INK, FAINT, BAND, SHADE, STEM = "#010203", "#040506", "#070809", "#0a0b0c", "#0d0e0f"
STYLE = {
    INK: "var(--ink)",
    FAINT: "var(--faint)",
    BAND: "var(--band)",
    SHADE: "var(--shade)",
    STEM: "var(--stem)",
}
#: Width and height of a chart in CSS pixels, for wide and for narrow pages.
WIDE, NARROW = (860, 150), (330, 140)
FIELD_WIDTH = 350
#: The most ticks on the time axis of a wide chart, and the possible distances between two, s.
TICKS = 10
CLOCK_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1_200, 1_800, 3_600)
#: Curves of BSS Eval: metric, dashes, width.
CURVES = (
    ("sir", (1, 2), 1.0),
    ("sar", (5, 2), 1.0),
    ("isr", (5, 2, 1, 2), 1.0),
    ("sdr", (), 2.0),
)
#: Spectrograms: window (s), range (dB), lowest and highest frequency (Hz), pixels, colours.
WINDOW = 0.09
RANGE = 80.0
LOWEST, HIGHEST = 40.0, 20_000.0
PIXELS = (800, 192)
SHADES = 64
QUIETEST = -55.0  # dB, the least level of the brightest colour: hides rounding noise in silence
COLOURS = "magma"


class Curve(NamedTuple):
    """Values of BSS Eval over time ``(N,)``, dB, and how to draw them; a main one has no dashes."""

    values: Frames
    colour: str
    dashes: tuple[int, ...]
    width: float


def draw_frames(
    stem: StemScores,
    window: float,
    hop: float,
    limits: tuple[float, float],
    part: tuple[float, float] | None,
) -> tuple[str, str]:
    """Return two SVGs, wide and narrow: BSS Eval of ``stem`` over the time of the song.

    ``limits`` (dB) are those of the vertical axis, ``part`` is the time to shade, in seconds.
    Undefined frames are gaps.
    """
    curves = [
        Curve(getattr(stem, metric), FAINT if dashes else STEM, dashes, width)
        for metric, dashes, width in CURVES
    ]
    return draw_curves(curves, window, hop, limits, part)


def draw_curves(
    curves: Sequence[Curve],
    window: float,
    hop: float,
    limits: tuple[float, float],
    part: tuple[float, float] | None,
) -> tuple[str, str]:
    """Return two SVGs, wide and narrow, of ``curves``, as ``draw_frames`` does."""
    frames = max(curve.values.size for curve in curves)
    end = (frames - 1) * hop + window
    drawn = []
    for size in (WIDE, NARROW):
        figure, axes = new_chart(size, 32)
        if part is not None:
            axes.axvspan(*part, color=SHADE, linewidth=0)
        for values, colour, dashes, width in curves:
            times = np.arange(values.size) * hop + window / 2
            (line,) = axes.plot(
                times,
                np.clip(values, *limits),  # ±∞ are drawn at the limits
                color=colour,
                linewidth=width,
                zorder=2 if dashes else 3,
                marker="o" if frames == 1 else None,
            )
            if dashes:
                line.set_dashes(dashes)
            elif frames < 90:
                line.set(marker="o", markersize=3.5)
        axes.set(xlim=(0, end), ylim=limits)
        ticks = time_ticks(end, TICKS if size == WIDE else TICKS // 2)
        axes.set_xticks(ticks, [_clock(tick) for tick in ticks])
        drawn.append(tidy(figure))
    return drawn[0], drawn[1]


def draw_field(rows: Mapping[str, tuple[float, Sequence[float]]]) -> str:
    """Return an SVG of our score of each stem among published ones, dB."""
    figure, axes = new_chart((FIELD_WIDTH, 34 + 30 * len(rows)), 96)
    for place, (own, others) in enumerate(rows.values()):
        axes.axhline(place, color=BAND, linewidth=1)
        axes.plot(others, [place] * len(others), "|", color=FAINT, markersize=12)
        axes.plot([own], [place], "o", color=INK, markersize=8)
    _name_rows(axes, list(rows))
    return tidy(figure)


def draw_boxes(stems: Mapping[str, Sequence[float]]) -> str:
    """Return an SVG with a box plot of the values of each stem; NaN and ±∞ are left out."""
    from matplotlib.cbook import boxplot_stats

    figure, axes = new_chart((FIELD_WIDTH, 34 + 30 * len(stems)), 96)
    for place, values in enumerate(stems.values()):
        finite = [value for value in values if math.isfinite(value)]
        if not finite:
            continue
        (box,) = boxplot_stats(finite)
        axes.hlines(place, box["whislo"], box["whishi"], color=INK, linewidth=1)
        axes.barh(
            place, box["q3"] - box["q1"], 0.55, box["q1"], color=SHADE, edgecolor=INK, linewidth=1
        )
        axes.vlines(box["med"], place - 0.27, place + 0.27, color=INK, linewidth=2.5)
        axes.plot(box["fliers"], [place] * len(box["fliers"]), "o", color=FAINT, markersize=4)
    _name_rows(axes, list(stems))
    return tidy(figure)


def frame_limits(stems: Sequence[StemScores]) -> tuple[float, float]:
    """Return limits (dB) for the curves of all ``stems``: multiples of ten around the values."""
    return limits_of([getattr(stem, metric) for stem in stems for metric, *_ in CURVES])


def limits_of(curves: Sequence[Frames]) -> tuple[float, float]:
    """Return limits (dB) for ``curves``: multiples of ten around their values."""
    values = np.concatenate([np.zeros(0), *curves])
    values = values[np.isfinite(values)]
    if not values.size:
        return 0.0, 20.0
    low, high = (10 * step for step in (np.floor(values.min() / 10), np.ceil(values.max() / 10)))
    return min(0.0, max(float(low), -30.0)), max(20.0, min(float(high), 60.0))


def draw_spectrograms(signals: Sequence[Block], sample_rate: int) -> tuple[list[bytes], float]:
    """Return a PNG of each of ``signals`` ``(C, T)``, and the level (dB) of the brightest colour.

    All share that level, a multiple of 5; the darkest colour is ``RANGE`` below it.
    """
    found = [spectrogram(signal, sample_rate) for signal in signals]
    loudest = max(float(levels.max()) for levels in found)
    brightest = max(5.0 * math.ceil(loudest / 5), QUIETEST)
    shades = [(levels - brightest + RANGE) * ((SHADES - 1) / RANGE) for levels in found]
    return [_paint(image[::-1]) for image in shades], brightest


def spectrogram(signal: Block, sample_rate: int) -> NDArray[np.float64]:
    """Return ``(192, N)``, N ≤ 800: the level (dB, 0 is a full-scale sine) by frequency and time.

    The first row is the lowest frequency, the spacing is logarithmic. The power is averaged over
    channels, so that signals of opposite phase do not cancel.
    """
    size = 1 << round(np.log2(WINDOW * sample_rate))
    columns, rows = PIXELS
    columns = min(columns, max(1, 4 * signal.shape[1] // size))
    taper = np.hanning(size + 2)[1:-1]
    padded = np.pad(signal, ((0, 0), (size // 2, size // 2)))
    starts = np.linspace(0, max(signal.shape[1] - 1, 0), columns).astype(int)
    bins = np.fft.rfftfreq(size, 1 / sample_rate)
    edges = np.geomspace(LOWEST, min(HIGHEST, sample_rate / 2), rows + 1)
    wanted = np.sqrt(edges[:-1] * edges[1:])
    power = np.empty((rows, columns))
    for column, start in enumerate(starts):
        pieces = padded[:, start : start + size] * taper
        spectrum = np.abs(np.fft.rfft(pieces) * (2 / taper.sum())) ** 2
        power[:, column] = _by_row(spectrum.mean(axis=0), bins, edges, wanted)
    return np.asarray(10 * np.log10(power + 1e-14))


def draw_scale() -> bytes:
    """Return a PNG of one row: the colours of spectrograms, from the darkest to the brightest."""
    return _paint(np.arange(SHADES)[None])


def frequency_marks(sample_rate: int) -> list[tuple[str, float]]:
    """Return labels for the frequency axis of a spectrogram, with their height (0 to 1)."""
    highest = min(HIGHEST, sample_rate / 2)
    return [
        (f"{frequency // 1000}k" if frequency >= 1000 else str(frequency),
         float(np.log(frequency / LOWEST) / np.log(highest / LOWEST)))
        for frequency in (100, 300, 1_000, 3_000, 10_000)
        if frequency < highest
    ]  # fmt: skip


def _by_row(power: Frames, bins: NDArray[Any], edges: NDArray[Any], wanted: NDArray[Any]) -> Frames:
    """Return the power of each row: the largest of the bins in it, else interpolated."""
    result = np.interp(wanted, bins, power)
    first, last = np.searchsorted(bins, edges[:-1]), np.searchsorted(bins, edges[1:])
    full = last > first + 1
    largest = np.maximum.reduceat(power, np.minimum(first, power.size - 1))
    return np.where(full, largest, result)


def _paint(shades: NDArray[Any]) -> bytes:
    """Return a PNG of ``shades`` (rows, columns), from 0 to ``SHADES`` - 1, in ``COLOURS``."""
    from matplotlib import colormaps
    from PIL import Image

    image = Image.fromarray(np.rint(shades).clip(0, SHADES - 1).astype(np.uint8))
    colours = colormaps[COLOURS](np.linspace(0, 1, SHADES))[:, :3]
    image.putpalette(np.rint(255 * colours).astype(np.uint8).tobytes())
    data = io.BytesIO()
    image.save(data, "PNG", optimize=True)
    return data.getvalue()


def new_chart(size: tuple[int, int], left: int) -> tuple[Figure, Axes]:
    """Return an empty chart of ``size`` pixels, with a margin at the ``left`` for its labels.

    The margins are fixed: computing them takes longer than everything else.
    """
    from matplotlib.figure import Figure

    width, height = size
    figure = Figure(figsize=(width / 72, height / 72))
    place = (left / width, 24 / height, 1 - (left + 10) / width, 1 - 32 / height)
    axes = figure.add_axes(place)
    axes.spines[:].set_visible(False)
    axes.grid(color=BAND, linewidth=1)
    axes.set_axisbelow(True)
    axes.tick_params(colors=INK, length=0, labelsize=11, pad=6)
    return figure, axes


def _name_rows(axes: Axes, stems: Sequence[str]) -> None:
    """Label the rows of a chart, one for each of ``stems``, and mark its values."""
    from matplotlib.ticker import MaxNLocator

    axes.set(ylim=(len(stems) - 0.5, -0.5))
    names = [name if len(name) < 14 else f"{name[:12]}…" for name in map(printable, stems)]
    axes.set_yticks(range(len(stems)), names, parse_math=False)
    axes.grid(visible=False, axis="y")
    axes.xaxis.set_major_locator(MaxNLocator(nbins=7, steps=[1, 2, 5, 10]))


def time_ticks(seconds: float, most: int) -> list[int]:
    """Return the seconds to mark from 0 to ``seconds``, round on a clock: at most ``most`` + 1."""
    step = next((step for step in CLOCK_STEPS if seconds / step <= most), CLOCK_STEPS[-1])
    return list(range(0, int(seconds) + 1, step))


def _clock(second: int) -> str:
    return f"{second // 60}:{second % 60:02}"


def tidy(figure: Figure) -> str:
    """Return ``figure`` as SVG to embed in the page: text stays text, colours are the page's."""
    import matplotlib

    data = io.StringIO()
    settings: Any = {"svg.fonttype": "none", "svg.hashsalt": "stemsplit"}
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        # The fonts of the page have glyphs that matplotlib's own font lacks.
        warnings.filterwarnings("ignore", "Glyph", UserWarning)
        figure.savefig(data, format="svg", transparent=True, metadata={"Date": None})
    svg = data.getvalue()
    for pattern, replacement in (
        (r"^.*?<svg[^>]*?(viewBox=\S+ \S+ \S+ \S+)[^>]*>", r'<svg \1 aria-hidden="true">'),
        (r"<(metadata|style).*?</\1>|<!--.*?-->", ""),
        (r"<g id=\"[^\"]*\"", "<g"),
        (r"xlink:href", "href"),
        (r"font-family: [^;\"]*;? ?", ""),
        (r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px"),
        (r"\s*\n\s*", " "),
    ):
        svg = re.sub(pattern, replacement, svg, flags=re.DOTALL)
    for drawn, shown in STYLE.items():
        svg = svg.replace(drawn, shown)
    return svg.strip()
