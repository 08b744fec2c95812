"""Areas as charts: by period stacked by region, or by class beside what a sample corrects them to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from crispmap.areas.accuracy import Estimate
from crispmap.classes import class_colour
from crispmap.report.charts.svg import INK, Tips, add_legend, bare_axes, chart_svg, shortened, shown_text

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.figure import Figure

    from crispmap.types import DoubleArray

_WIDTH_PX, _AXES_PX, _ENTRY_PX, _BAR_PX = 560.0, 240.0, 18.0, 26.0
_MOST_REGIONS, _MOST_TICKS, _LETTERS = 8, 12, 24


@dataclass(frozen=True)
class ClassBar:
    """The area of a class, in square kilometres."""

    name: str
    colour: str
    mapped: float
    corrected: Estimate | None = None


def periods_svg(periods: Sequence[str], regions: Sequence[str], km2: DoubleArray, *, title: str) -> str:
    """Return areas (period, region) as bars over time, the largest regions one on the other, as an SVG element."""
    order = np.argsort(-km2.sum(axis=0), kind="stable")
    shown = [(regions[one], class_colour(one + 1), km2[:, one]) for one in sorted(order[:_MOST_REGIONS].tolist())]
    if len(order) > _MOST_REGIONS:
        others = km2[:, order[_MOST_REGIONS:]].sum(axis=1)
        shown.append((f"{len(order) - _MOST_REGIONS} others", class_colour(0), others))

    def draw(figure: Figure) -> Tips:
        axes, base, entries, tips = bare_axes(figure.subplots(), "", "km2"), np.zeros(len(periods)), [], {}
        places = np.arange(len(periods))
        for index, (name, colour, values) in enumerate(shown):
            bars = axes.bar(places, values, bottom=base, color=colour, width=0.8)
            for period, bar, value in zip(periods, bars, values.tolist(), strict=True):
                bar.set_gid(f"bar-{index}-{period}")
                tips[f"bar-{index}-{period}"] = [f"{name}, {period}: {value:.6g} km2"]
            entries.append((bars[0], shortened(name, _LETTERS)))
            base += values
        ticks = places[:: -(-len(periods) // _MOST_TICKS)]
        axes.set_xticks(ticks, [periods[one] for one in ticks])
        axes.grid(axis="y")
        add_legend(figure, entries, 3)
        return tips

    height = _AXES_PX + 30 + _ENTRY_PX * -(-len(shown) // 3)
    return chart_svg((_WIDTH_PX, height), draw, label=shown_text(f"{title}, by period and region."))


def classes_svg(bars: Sequence[ClassBar], *, title: str) -> str:
    """Return the area of each class as a bar and, where a sample corrects it, as a point with its 95 % interval."""

    def draw(figure: Figure) -> Tips:
        axes = bare_axes(figure.subplots(), "km2", "")
        places, tips, entries = np.arange(len(bars))[::-1], {}, []
        for place, one in zip(places, bars, strict=True):
            (bar,) = axes.barh([place], [one.mapped], color=one.colour, edgecolor=INK, linewidth=0.3, height=0.7)
            bar.set_gid(f"class-{place}")
            tips[f"class-{place}"] = [f"{one.name}: {one.mapped:.6g} km2 mapped"]
        known = [(place, one.corrected) for place, one in zip(places, bars, strict=True) if one.corrected is not None]
        known = [(place, one) for place, one in known if math.isfinite(one.margin)]
        if known:
            values, margins = [one.value for _, one in known], [one.margin for _, one in known]
            point: Artist = axes.errorbar(
                values, [place for place, _ in known], xerr=margins, fmt="o", color=INK, markersize=4, capsize=3, lw=1.2
            )[0]
            entries.append((point, "corrected by the sample, 95 % interval"))
        axes.set_yticks(places, [""] * len(bars))
        for label, one in zip(axes.get_yticklabels(), bars, strict=True):
            label.set_text(shown_text(shortened(one.name, _LETTERS)))
        axes.set_yticklabels([shown_text(shortened(one.name, _LETTERS)) for one in bars])
        axes.set_xlim(left=min(0.0, axes.get_xlim()[0]))
        add_legend(figure, entries, 1)
        return tips

    height = 60 + _BAR_PX * len(bars) + _ENTRY_PX
    return chart_svg((_WIDTH_PX, height), draw, label=shown_text(f"{title}, by class."))
