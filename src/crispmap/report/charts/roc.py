"""Receiver operating characteristics of several methods, as a chart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from crispmap.report.charts.svg import INK, Tips, add_legend, chart_svg, empty_axes, shortened, shown_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# After Okabe and Ito, of middle lightness: distinct on light and on dark pages.
COLOURS = ("#d55e00", "#0089d0", "#009e73", "#cc79a7", "#c98a00", "#8064d8")
DASHES = ("", "6 3", "2 3")

_WIDTH_PX, _AXES_PX, _ENTRY_PX = 340.0, 330.0, 18.0
_TICKS = (0, 0.25, 0.5, 0.75, 1)
_NAME_LETTERS = 34


@dataclass(frozen=True)
class RocLine:
    """One line of the chart."""

    name: str  # the method; any text
    auc: str  # area under the curve, as text
    false_positive_rate: Sequence[float]  # 0..1, rising
    true_positive_rate: Sequence[float]  # as many, 0..1, rising
    colour: str  # ``#rrggbb``
    dash: str  # lengths of dashes and gaps, as in "6 3"; empty for a whole line


def style_of(index: int) -> tuple[str, str]:
    """Return colour and dashes of the n-th line; the first 18 differ."""
    return COLOURS[index % len(COLOURS)], DASHES[index // len(COLOURS) % len(DASHES)]


def roc_svg(lines: Sequence[RocLine], *, title: str) -> str:
    """Return the chart as an SVG element, its legend with the area under each curve."""

    def draw(figure: Figure) -> Tips:
        axes = empty_axes(figure, "false positive rate", "true positive rate")
        axes.plot([0, 1], [0, 1], color=INK, alpha=0.3, lw=1, ls=(0, (1, 4)), clip_on=False)
        entries, tips = [], {}
        for number, line in enumerate(lines):
            style: dict[str, Any] = {
                "color": line.colour,
                "lw": 1.8,
                "ls": (0, tuple(map(float, line.dash.split()))) if line.dash else "-",
            }
            shares = line.false_positive_rate, line.true_positive_rate
            (drawn,) = axes.plot(*shares, gid=f"roc-{number}", clip_on=False, **style)
            entries.append((drawn, f"{line.auc} {shortened(line.name, _NAME_LETTERS)}"))
            tips[f"roc-{number}"] = [f"{line.name}, AUC {line.auc}"]
        axes.set(xlim=(0, 1), ylim=(0, 1), xticks=_TICKS, yticks=_TICKS, box_aspect=1)
        axes.xaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_major_formatter("{x:g}")
        axes.grid(clip_on=False)
        add_legend(figure, entries, 1)
        return tips

    areas = ", ".join(f"{line.name} {line.auc}" for line in lines)
    label = shown_text(f"{title}. Area under the curve: {areas}." if lines else f"{title}.")
    return chart_svg((_WIDTH_PX, _AXES_PX + _ENTRY_PX * len(lines)), draw, label=label)
