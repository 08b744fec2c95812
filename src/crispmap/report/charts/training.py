"""Loss and validation score over the steps of a training, as a chart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from crispmap.report.charts.svg import INK, Tips, add_legend, bare_axes, chart_svg, shown_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

_WIDTH_PX, _AXES_PX, _ENTRY_PX = 370.0, 165.0, 18.0
_MOST_MARKS = 60  # more points lie on each other: then the line is drawn alone
_SCORE_COLOUR = "#0089d0"  # on light and on dark pages

Points = Sequence[tuple[int, float]]  # step and value, in order


@dataclass(frozen=True)
class TrainingCurve:
    """What was measured during a training; every value is a finite number."""

    loss: Points = ()  # the mean over the steps since the point before
    mean_iou: Points = ()  # of the validation data, 0..1

    @property
    def is_empty(self) -> bool:
        """Whether nothing was measured."""
        return not (self.loss or self.mean_iou)


@dataclass(frozen=True)
class _Line:
    """A line of the chart, in axes of its own."""

    name: str
    points: Points
    colour: str
    summary: str  # for the legend


def training_svg(curve: TrainingCurve, *, title: str) -> str:
    """Return loss and mean IoU over the steps, one above the other, as an SVG element; only what was measured.

    The vertical axes span the values shown. The legend gives the last loss, and the highest mean IoU with its step.
    """
    lines = _lines(curve)

    def draw(figure: Figure) -> Tips:
        panels = figure.subplots(len(lines), sharex=True, squeeze=False)[:, 0]
        entries, tips = [], {}
        for number, (axes, line) in enumerate(zip(panels, lines, strict=True)):
            bare_axes(axes, "training step" if number == len(lines) - 1 else "", line.name)
            entries.append((_draw(axes, line, f"training-{number}"), line.summary))
            tips[f"training-{number}"] = [f"{line.name}, step {step:,}: {value:.4g}" for step, value in line.points]
        add_legend(figure, entries, 1)
        return tips

    height = 40.0 + (_AXES_PX + _ENTRY_PX) * len(lines)
    label = f"{title}: {'; '.join(line.summary for line in lines)}."
    return chart_svg((_WIDTH_PX, height), draw, label=shown_text(label))


def _lines(curve: TrainingCurve) -> list[_Line]:
    lines = []
    if curve.loss:
        step, last = curve.loss[-1]
        lines.append(_Line("loss", curve.loss, INK, f"loss, {last:.4g} after step {step:,}"))
    if curve.mean_iou:
        percent = [(step, 100 * value) for step, value in curve.mean_iou]
        step, best = max(percent, key=lambda point: point[1])  # the first of equals, as in the training
        summary = f"mean IoU of validation, highest {best:.1f} after step {step:,}"
        lines.append(_Line("mean IoU, %", percent, _SCORE_COLOUR, summary))
    return lines


def _draw(axes: Axes, line: _Line, gid: str) -> Line2D:
    """Draw a line, with its points where they are few; return it."""
    from matplotlib.ticker import MaxNLocator

    steps, values = zip(*line.points, strict=True)
    marks: dict[str, Any] = {}
    if len(steps) <= _MOST_MARKS:
        marks = {"marker": "o", "markersize": 4.5, "markeredgecolor": (INK, 0.5), "markeredgewidth": 1, "gid": gid}
    (drawn,) = axes.plot(steps, values, lw=1.8, color=line.colour, clip_on=False, **marks)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.margins(0.02, 0.08)
    axes.grid(axis="y", clip_on=False)
    axes.spines["left"].set_visible(False)
    return drawn
