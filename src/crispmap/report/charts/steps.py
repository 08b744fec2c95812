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
_LEAST_SPAN = 0.5  # percent: smaller differences are insignificant and should not look large


@dataclass(frozen=True)
class Curve:
    """One line of a chart over the refinement steps."""

    name: str  # what the line shows; any text
    values: Sequence[float]  # shares 0..1, one a step, step 0 first; NaN leaves a gap
    colour: str = "currentColor"  # ``#rrggbb``, or ``currentColor`` for the colour of the page's text
    baseline: float = math.nan  # the same figure of the baseline map, drawn as a dashed line; NaN for none

    @property
    def paint(self) -> str:
        """The colour for matplotlib."""
        return INK if self.colour == "currentColor" else self.colour

    @property
    def last(self) -> float:
        """The figure after the last step; NaN without one."""
        return self.values[-1] if len(self.values) else math.nan


def steps_svg(curves: Sequence[Curve], *, title: str, value_name: str = "percent") -> str:
    """Return a line chart over the refinement steps as an SVG element.

    The vertical axis, in percent, spans the figures shown, not 0 to 100. The legend gives the last value of each line,
    the highest first, and a single curve's baseline; with more curves the page must explain the dashed lines.
    """
    entries = _entries(curves)

    def draw(figure: Figure) -> Tips:
        axes = empty_axes(figure, "refinement step (0 = coarse map)", value_name)
        tips = {f"steps-{number}": _line(axes, curve, f"steps-{number}") for number, curve in enumerate(curves)}
        _span(axes, curves)
        add_legend(figure, [(one.handle(), one.text(_NAME_LETTERS)) for one in entries], _COLUMNS)
        return tips

    said = f" After the last step: {', '.join(one.text() for one in entries)}." if entries else ""
    height = _AXES_PX + _ENTRY_PX * math.ceil(len(entries) / _COLUMNS)
    return chart_svg((_WIDTH_PX, height), draw, label=shown_text(f"{title}.{said}"))


@dataclass(frozen=True)
class _Entry:
    """A line of the legend."""

    name: str
    share: float
    paint: str
    dashed: bool = False

    def text(self, most: int | None = None) -> str:
        """Return the name, of at most ``most`` letters, and the value."""
        value = f"{100 * self.share:.1f}" if math.isfinite(self.share) else "–"
        return f"{self.name if most is None else shortened(self.name, most)} {value}"

    def handle(self) -> Artist:
        """Return the line's sample for the legend."""
        from matplotlib.lines import Line2D

        style = {"lw": 1.5, "ls": _DASHES} if self.dashed else {"lw": 2.2, "marker": "o", **_MARK}
        return Line2D([], [], color=self.paint, **style)


def _entries(curves: Sequence[Curve]) -> list[_Entry]:
    """Return the lines of the legend, the highest first, and the baseline of a single curve."""
    ordered = sorted(curves, key=lambda one: -one.last if math.isfinite(one.last) else math.inf)
    entries = [_Entry(one.name, one.last, one.paint) for one in ordered]
    if len(curves) == 1 and math.isfinite(curves[0].baseline):
        entries.append(_Entry("re-thresholded", curves[0].baseline, curves[0].paint, dashed=True))
    return entries


def _line(axes: Axes, curve: Curve, gid: str) -> list[str]:
    """Draw a curve with its points and its baseline; return the tips of its points."""
    values = [100 * float(value) for value in curve.values]
    for paint, wider, opacity in ((INK, 1.4, FAINT), (curve.paint, 0.0, 1.0)):
        if math.isfinite(curve.baseline):
            axes.axhline(100 * curve.baseline, lw=1.5 + wider, ls=_DASHES, color=paint, alpha=opacity, clip_on=False)
        axes.plot(range(len(values)), values, lw=2.2 + wider, color=paint, alpha=opacity, clip_on=False)
    axes.plot(range(len(values)), values, "o", color=curve.paint, gid=gid, clip_on=False, **_MARK)
    return [f"{curve.name}, step {step}: {value:.2f} %" for step, value in enumerate(values) if math.isfinite(value)]


def _span(axes: Axes, curves: Sequence[Curve]) -> None:
    """Fit the axes to the figures with a margin, within 0 to 100 percent, and put ticks at whole steps."""
    shares = [value for curve in curves for value in (*curve.values, curve.baseline) if math.isfinite(value)]
    low, high = (100 * min(shares), 100 * max(shares)) if shares else (0.0, 100.0)
    air = max(0.08 * (high - low), (_LEAST_SPAN - (high - low)) / 2)
    axes.set_ylim(max(0.0, low - air), min(100.0, high + air) if low < 100 else 100.0)
    last = max(0, *(len(curve.values) - 1 for curve in curves), 0)
    axes.set_xlim(-0.25, last + 0.25)
    axes.set_xticks(range(0, last + 1, max(1, math.ceil(last / 10))))
    axes.grid(axis="y", clip_on=False)
    axes.spines["left"].set_visible(False)
