"""Figures over the refinement steps, as a chart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from crispmap.report.charts.svg import FAINT, INK, Tips, add_legend, chart_svg, empty_axes, shortened, shown_text

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH_PX, _AXES_PX, _ENTRY_PX = 370.0, 240.0, 18.0
_COLUMNS = 2
_NAME_LETTERS = 18
_DASHES = (0, (5, 4))
_MARK: dict[str, Any] = {"markersize": 6, "markeredgecolor": (INK, 0.5), "markeredgewidth": 1}
_LEAST_SPAN = 0.5  # percent: smaller differences are no news, and would be drawn as a mountain range


@dataclass(frozen=True)
class Curve:
    """One line of a chart over the refinement steps.

    Attributes:
        name: What the line shows; any text.
        values: Shares 0..1, one a step, step 0 first; NaN leaves a gap.
        colour: ``#rrggbb``, or ``currentColor`` for the colour of the page's text.
        baseline: The same figure for the map to beat, drawn as a dashed line; NaN for none.
    """

    name: str
    values: Sequence[float]
    colour: str = "currentColor"
    baseline: float = math.nan

    @property
    def paint(self) -> str:
        """The colour, as matplotlib knows it."""
        return INK if self.colour == "currentColor" else self.colour

    @property
    def last(self) -> float:
        """The figure after the last step; NaN without one."""
        return self.values[-1] if len(self.values) else math.nan


def steps_svg(
    curves: Sequence[Curve], *, title: str, value_name: str = "percent", baseline_name: str = "re-thresholded"
) -> str:
    """Return a line chart over the refinement steps as an SVG element.

    The vertical axis, in percent, spans the figures shown, not 0 to 100. The legend gives the last value of each line,
    the highest first.

    Args:
        curves: The lines; those with a baseline get a dashed line of the same colour.
        title: What the chart shows; the label that a screen reader reads adds the values.
        value_name: What the vertical axis shows.
        baseline_name: What the dashed line of a single curve is called; with more curves, the caption must say.
    """
    ordered = sorted(curves, key=lambda one: -one.last if math.isfinite(one.last) else math.inf)
    baseline = curves[0].baseline if len(curves) == 1 else math.nan
    named = len(ordered) + math.isfinite(baseline)
    rows = math.ceil(named / _COLUMNS)

    def draw(figure: Figure) -> Tips:
        axes = empty_axes(figure, "refinement step (0 = coarse map)", value_name)
        tips = {f"steps-{number}": _line(axes, curve, f"steps-{number}") for number, curve in enumerate(curves)}
        _span(axes, curves)
        entries = [
            (_handle(one.paint), f"{shortened(one.name, _NAME_LETTERS)} {_percent(one.last)}") for one in ordered
        ]
        if math.isfinite(baseline):
            entries.append((_handle(curves[0].paint, dashed=True), f"{baseline_name} {_percent(baseline)}"))
        add_legend(figure, entries, _COLUMNS)
        return tips

    said = [f"{one.name} {_percent(one.last)}" for one in ordered]
    said += [f"{baseline_name} {_percent(baseline)}"] if math.isfinite(baseline) else []
    label = shown_text(f"{title}. After the last step: {', '.join(said)}." if said else f"{title}.")
    return chart_svg((_WIDTH_PX, _AXES_PX + _ENTRY_PX * rows), draw, label=label)


def _line(axes: Axes, curve: Curve, gid: str) -> list[str]:
    """Draw a curve with its points and its baseline; return what its points say."""
    values = [100 * float(value) for value in curve.values]
    for paint, wider, opacity in ((INK, 1.4, FAINT), (curve.paint, 0.0, 1.0)):
        if math.isfinite(curve.baseline):
            axes.axhline(100 * curve.baseline, lw=1.5 + wider, ls=_DASHES, color=paint, alpha=opacity, clip_on=False)
        axes.plot(range(len(values)), values, lw=2.2 + wider, color=paint, alpha=opacity, clip_on=False)
    axes.plot(range(len(values)), values, "o", color=curve.paint, gid=gid, clip_on=False, **_MARK)
    return [f"{curve.name}, step {step}: {value:.2f} %" for step, value in enumerate(values) if math.isfinite(value)]


def _span(axes: Axes, curves: Sequence[Curve]) -> None:
    """Let the axes span the figures with some air, within 0 to 100 percent, and the steps at whole numbers."""
    shares = [value for curve in curves for value in (*curve.values, curve.baseline) if math.isfinite(value)]
    low, high = (100 * min(shares), 100 * max(shares)) if shares else (0.0, 100.0)
    air = max(0.08 * (high - low), (_LEAST_SPAN - (high - low)) / 2)
    axes.set_ylim(max(0.0, low - air), min(100.0, high + air) if low < 100 else 100.0)
    last = max(0, *(len(curve.values) - 1 for curve in curves), 0)
    axes.set_xlim(-0.25, last + 0.25)
    axes.set_xticks(range(0, last + 1, max(1, math.ceil(last / 10))))
    axes.grid(axis="y", clip_on=False)
    axes.spines["left"].set_visible(False)


def _handle(paint: str, *, dashed: bool = False) -> Artist:
    """Return a piece of a line for the legend, with a point where the line has some."""
    from matplotlib.lines import Line2D

    if dashed:
        return Line2D([], [], color=paint, lw=1.5, ls=_DASHES)
    return Line2D([], [], color=paint, lw=2.2, marker="o", **_MARK)


def _percent(share: float) -> str:
    return f"{100 * share:.1f}" if math.isfinite(share) else "–"
